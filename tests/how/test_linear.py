"""linear_softmax_kl equals softmax_kl of the two products, in value and in every gradient, and needs no N×V."""

import subprocess
import sys
from inspect import unwrap

import pytest
import torch

import kd_lab.how.chunked as chunked
import kd_lab.how.linear_sweep as linear_sweep
from kd_lab.how import linear_softmax_kl, softmax_kl
from kd_lab.how.divergences import DIVERGENCES

B, T, V, WIDTH, TEACHER_WIDTH = 3, 5, 97, 8, 11
MASK = torch.tensor([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0], [0, 1, 1, 1, 1]], dtype=torch.bool)
TOLERANCE = {torch.float32: 3e-6, torch.float64: 1e-12, torch.bfloat16: 8e-3}


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Four rows of logits alive at once, two rows in a chunk of those."""
    monkeypatch.setattr(linear_sweep, "LOGITS", 4 * V)
    monkeypatch.setattr(chunked, "CHUNK", 2 * V)


def heads(dtype=torch.float32, seed: int = 0) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Student's hidden, weight and bias, which want gradients, and the teacher's."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [[(B, T, width), (V, width), (V,)] for width in (WIDTH, TEACHER_WIDTH)]
    student, teacher = ([torch.randn(shape, generator=generator).to(dtype) for shape in side] for side in shapes)
    return [tensor.requires_grad_() for tensor in student], teacher


def fused(student, teacher, **options):
    return linear_softmax_kl(
        student[0], student[1], teacher[0], teacher[1], student_bias=student[2], teacher_bias=teacher[2], **options
    )


def unfused(student, teacher, **options):
    """In fp64, from the tensors as they are after rounding to their dtype."""
    logits = [h.double() @ w.double().T + b.double() for h, w, b in (student, teacher)]
    return softmax_kl(*logits, backend="reference", **options)


def close(got: torch.Tensor, wanted: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(got.double(), wanted.double(), rtol=0, atol=tolerance * wanted.abs().max().item())


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("mask", [None, MASK])
def test_equals_the_unfused_in_value_and_gradients(divergence, dtype, mask):
    student, teacher = heads(dtype)
    options = {"divergence": divergence, "temperature": 1.5, "mask": mask}
    loss, expected = fused(student, teacher, **options), unfused(student, teacher, **options)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
    gradients = torch.autograd.grad(loss, student)
    for got, wanted, tensor in zip(gradients, torch.autograd.grad(expected, student), student, strict=True):
        assert got.dtype == tensor.dtype
        close(got, wanted, TOLERANCE[dtype])


@pytest.mark.parametrize("backend", ["reference", "chunked"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("upstream", ["one", "scaled", "a different one for each position"])
def test_any_upstream_gradient_and_a_second_backward(backend, reduction, upstream):
    student, teacher = heads()
    factor = {"one": 1.0, "scaled": -0.3, "a different one for each position": torch.linspace(-1, 2, B * T).view(B, T)}
    options = {"reduction": reduction, "mask": MASK}
    loss, expected = fused(student, teacher, backend=backend, **options), unfused(student, teacher, **options)
    wanted = torch.autograd.grad((expected * factor[upstream]).sum(), student)
    for _ in range(2):
        got = torch.autograd.grad((loss * factor[upstream]).sum(), student, retain_graph=True)
        for a, b in zip(got, wanted, strict=True):
            close(a, b, 3e-6)


@pytest.mark.parametrize("wanted", [(0,), (1,), (0, 2), (0, 1)])
def test_only_what_requires_a_gradient_gets_one(wanted):
    student, teacher = heads()
    student = [tensor.requires_grad_(i in wanted) for i, tensor in enumerate(tensor.detach() for tensor in student)]
    teacher = [tensor.requires_grad_() for tensor in teacher]
    fused(student, teacher).backward()
    assert [tensor.grad is not None for tensor in student] == [i in wanted for i in range(3)]
    assert all(tensor.grad is None for tensor in teacher)


def test_a_tied_head_gets_the_sum_of_both_uses():
    (hidden, weight, _), teacher = heads()
    embedded = weight[torch.arange(B * T).view(B, T)] + hidden.detach()
    loss = linear_softmax_kl(embedded, weight, teacher[0], teacher[1])
    expected = softmax_kl(embedded @ weight.T, teacher[0] @ teacher[1].T)
    got, wanted = (torch.autograd.grad(x, weight, retain_graph=True)[0] for x in (loss, expected))
    close(got, wanted, 1e-5)


@pytest.mark.parametrize("rows", [1, 3, 7, 1000])
def test_hidden_states_and_mask_are_cut_at_the_same_places(rows, monkeypatch):
    monkeypatch.setattr(linear_sweep, "LOGITS", rows * V)
    student, teacher = heads()
    loss, expected = fused(student, teacher, mask=MASK), unfused(student, teacher, mask=MASK)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)


def test_every_position_masked():
    student, teacher = heads()
    loss = fused(student, teacher, mask=torch.zeros(B, T, dtype=torch.bool))
    assert loss == 0
    assert all(gradient.eq(0).all() for gradient in torch.autograd.grad(2 * loss, student))


def test_no_position_at_all():
    student, teacher = heads()
    loss = fused([student[0][:0], *student[1:]], [teacher[0][:0], *teacher[1:]])
    assert loss == 0
    assert all(gradient.eq(0).all() for gradient in torch.autograd.grad(loss, student))


def test_masked_hidden_states_are_never_read():
    student, teacher = heads()
    spoiled = [student[0].detach().masked_fill(~MASK[..., None], torch.nan).requires_grad_(), *student[1:]]
    loss, clean = fused(spoiled, teacher, mask=MASK), fused(student, teacher, mask=MASK)
    torch.testing.assert_close(loss, clean)
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, spoiled))


def test_strided_hidden_states():
    student, teacher = heads()
    longer = torch.cat([student[0].detach(), torch.randn(B, 1, WIDTH)], 1).requires_grad_()
    strided = [longer[:, :-1], *student[1:]]
    torch.testing.assert_close(fused(strided, teacher), fused(student, teacher))


def test_token_count_under_gradient_accumulation():
    student, teacher = heads()
    parts = [
        fused([student[0][i], *student[1:]], [teacher[0][i], *teacher[1:]], mask=MASK[i], normalizer=MASK.sum())
        for i in range(B)
    ]
    torch.testing.assert_close(sum(parts), fused(student, teacher, mask=MASK))


def test_a_half_precision_gradient_survives_a_loss_scale():
    """It is kept in fp32 until the scale is in: 1e-8 is nothing in fp16, and 1e-8 · 2¹⁶ is not."""
    student, teacher = heads(torch.float16)
    options = {"normalizer": 1e7}
    got = torch.autograd.grad(2.0**16 * fused(student, teacher, **options), student)
    wanted = torch.autograd.grad(2.0**16 * unfused(student, teacher, **options), student)
    for a, b in zip(got, wanted, strict=True):
        close(a, b, 2e-3)


def test_without_gradients_none_are_made(monkeypatch):
    asked, sweep = [], linear_sweep._sweep
    monkeypatch.setattr(linear_sweep, "_sweep", lambda *given: asked.append(given[5:]) or sweep(*given))
    student, teacher = heads()
    with torch.no_grad():
        loss = fused(student, teacher)
    assert not loss.requires_grad
    ((upstream, _, gradients),) = asked
    assert upstream is None
    assert [one.numel() for one in gradients] == [0, 0, 0]
    torch.testing.assert_close(loss.double(), unfused(student, teacher).detach(), rtol=1e-5, atol=0)


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_it_never_holds_all_the_logits(monkeypatch, backend):
    """No single allocation is more than a small part of one side's logits."""
    n, v = 512, 4096
    monkeypatch.setattr(linear_sweep, "LOGITS", n * v // 32)
    monkeypatch.setattr(chunked, "CHUNK", n * v // 256)
    hidden, weight = torch.randn(n, 16, requires_grad=True), torch.randn(v, 16, requires_grad=True)
    labels = torch.arange(n)
    with torch.profiler.profile(profile_memory=True) as profile:
        options = {"backend": backend, "student_softcap": 5.0, "labels": labels, "label_weight": 0.5}
        linear_softmax_kl(hidden, weight, hidden.detach(), weight.detach().flip(0), **options).backward()
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    assert largest < n * v * 4 / 16


HEADS = {
    "student_logit_scale": 0.5,
    "teacher_logit_scale": -1.25,
    "student_softcap": 3.0,
    "teacher_softcap": 2.0,
}
LABELS = torch.arange(B * T).view(B, T).mul(7).remainder(V)


def by_hand(student, teacher, options):
    """Scale, cap, divergence and labels in fp64, as their models and papers have it."""
    sides = []
    for side, (hidden, weight, bias) in (("student", student), ("teacher", teacher)):
        logits = options[f"{side}_logit_scale"] * (hidden.double() @ weight.double().T + bias.double())
        cap = options[f"{side}_softcap"]
        sides.append(cap * torch.tanh(logits / cap))
    counted = options["mask"] & (options["labels"] != -1)
    gap = softmax_kl(*sides, divergence=options["divergence"], temperature=2.0, mask=counted)
    surprise = torch.nn.functional.cross_entropy(sides[0][counted], options["labels"][counted])
    return (1 - options["label_weight"]) * gap + options["label_weight"] * surprise


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("backend", ["auto", "reference", "triton"])
@pytest.mark.parametrize("label_weight", [0.3, 1.0])
def test_scales_caps_and_labels_in_the_same_sweep(divergence, backend, label_weight):
    if backend == "triton":
        pytest.importorskip("triton")
    student, teacher = heads()
    labels = LABELS.clone()
    labels[0, 1] = labels[2, 4] = -1
    options = HEADS | {"labels": labels, "label_weight": label_weight, "mask": MASK, "divergence": divergence}
    loss = fused(student, teacher, **options, ignore_index=-1, temperature=2.0, backend=backend)
    expected = by_hand(student, teacher, options)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
    wanted = torch.autograd.grad(expected, student)
    for got, exact in zip(torch.autograd.grad(3 * loss, student), wanted, strict=True):
        close(got / 3, exact, 1e-5)


@pytest.mark.parametrize("backend", ["auto", "reference", "triton"])
def test_labels_alone_are_read_where_the_divergence_is_infinite(backend):
    if backend == "triton":
        pytest.importorskip("triton")
    student, teacher = heads()
    options = {"labels": LABELS, "label_weight": 1.0}
    expected = fused(student, teacher, **options)
    teacher[2] = torch.zeros(V).index_fill(0, torch.tensor([1]), -torch.inf)
    loss = fused(student, teacher, **options, divergence="reverse_kl", backend=backend)
    torch.testing.assert_close(loss, expected)
    for got, exact in zip(*(torch.autograd.grad(x, student) for x in (loss, expected)), strict=True):
        close(got, exact, 1e-5)


def test_weights_are_factors_without_a_gradient():
    student, teacher = heads()
    weights = torch.linspace(-1, 2, B * T).view(B, T)
    options = {"mask": MASK, "weights": weights, "normalizer": 3.0}
    loss, expected = fused(student, teacher, **options), unfused(student, teacher, **options)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
    for got, wanted in zip(*(torch.autograd.grad(x, student) for x in (loss, expected)), strict=True):
        close(got, wanted, 1e-5)
    for backend in ("auto", "reference"):  # NaN where nothing counts
        loss = fused(student, teacher, **options | {"weights": weights.masked_fill(~MASK, torch.nan)}, backend=backend)
        torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-6)
        assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, student))


def test_torch_func_takes_its_gradient():
    (hidden, *student), teacher = heads()
    got = torch.func.grad(lambda h: fused([h, *student], teacher, mask=MASK))(hidden.detach())
    close(got, torch.autograd.grad(unfused([hidden, *student], teacher, mask=MASK), hidden)[0], 1e-5)


def test_labels_of_no_weight_still_say_which_positions_count():
    student, teacher = heads()
    labels = LABELS.masked_fill(~MASK, -100)
    torch.testing.assert_close(fused(student, teacher, labels=labels), fused(student, teacher, mask=MASK))


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_autocast_does_not_multiply_in_half_precision(backend):
    """A product in bf16 was wrong by 2e-3; the hidden states themselves may be rounded, here they are not."""
    student, teacher = heads()
    with torch.autocast("cpu", torch.bfloat16):
        loss = fused(student, teacher, backend=backend)
    gradients = torch.autograd.grad(loss, student)
    expected = unfused(student, teacher)
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=0)
    for got, wanted in zip(gradients, torch.autograd.grad(expected, student), strict=True):
        close(got, wanted, 1e-5)


def test_a_second_derivative_is_refused_in_words_and_the_reference_has_one():
    student, teacher = heads()
    with pytest.raises(ValueError, match=r'differentiated again.*write backend="reference"'):
        torch.autograd.grad(fused(student, teacher), student, create_graph=True)

    def curvature(loss):
        slopes = torch.autograd.grad(loss, student, create_graph=True)
        return torch.autograd.grad(sum(slope.square().sum() for slope in slopes), student)

    got = curvature(fused(student, teacher, backend="reference"))
    for mine, exact in zip(got, curvature(unfused(student, teacher)), strict=True):
        close(mine, exact, 1e-4)


COMPILED = """
import torch
from kd_lab.how import linear_softmax_kl
from kd_lab.how.divergences import DIVERGENCES

torch.manual_seed(0)
student = [torch.randn(shape).requires_grad_() for shape in ((2, 3, 8), (50, 8), (50,))]
teacher = [torch.randn(2, 3, 5), torch.randn(50, 5)]
mask = torch.tensor([[True, False, True], [True, True, False]])
labels = torch.arange(6).view(2, 3)

def loss(temperature, **options):
    heads = {"student_bias": student[2], "student_softcap": 4.0, "teacher_logit_scale": 0.5}
    return linear_softmax_kl(
        *student[:2], *teacher, **heads, labels=labels, label_weight=0.25, mask=mask, temperature=temperature, **options
    )

def show(function, *arguments, **options):
    value = function(*arguments, **options)
    gradients = torch.autograd.grad(2 * value, student)
    print(value.item(), *(gradient.norm().item() for gradient in gradients))

for options in [{"divergence": name} for name in DIVERGENCES] + [{"backend": "reference"}, {"reduction": "sum"}]:
    torch.compiler.reset()
    show(loss, 2.0, **options)
    show(torch.compile(loss, backend="aot_eager", fullgraph=True), 2.0, **options)
torch.compiler.reset()
counter = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
for temperature in (1.0, 1.5, 2.0, 2.5, 3.0):
    torch.compile(loss, backend=counter, fullgraph=True)(temperature).backward()
print(counter.frame_count)
"""


def test_under_torch_compile_fullgraph_it_is_the_same():
    """In a process of its own: the checker of annotations, which runs in the tests, is nothing to compile."""
    run = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    *rows, graphs = ([float(number) for number in line.split()] for line in run.stdout.splitlines())
    assert len(rows) == 2 * (len(DIVERGENCES) + 2)
    for eager, compiled in zip(rows[::2], rows[1::2], strict=True):
        assert compiled == pytest.approx(eager, rel=1e-5)
    assert graphs[0] <= 2  # one for the first temperature, one for all others


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"student_weight": torch.zeros(WIDTH, V)}, r"student_weight has shape \(8, 97\).*transpose"),
        ({"teacher_weight": torch.zeros(V + 3, TEACHER_WIDTH)}, r"97 entries and the teacher's 100.*weight\[:V\]"),
        ({"teacher_hidden": torch.zeros(1, T, TEACHER_WIDTH)}, r"expected the same positions"),
        ({"student_bias": torch.zeros(V + 1)}, r"student_bias has shape \(98,\)"),
        ({"student_weight": torch.zeros(V, WIDTH, dtype=torch.long)}, r"torch.int64"),
        ({"mask": MASK[0]}, r"nothing is broadcast"),
        ({"backend": "cublas"}, r"'cublas'"),
        ({"temperature": -1.0}, r"temperature is -1.0"),
        ({"student_softcap": 0.0}, r"student_softcap is 0.0; expected a positive number"),
        ({"teacher_logit_scale": 0.0}, r"teacher_logit_scale is 0.0; expected a finite number"),
        ({"label_weight": 0.5}, r"there are no labels"),
        ({"labels": LABELS[0]}, r"labels have shape \(5,\)"),
        ({"labels": LABELS + V, "label_weight": 0.5}, r"labels run from 97"),
        ({"weights": torch.ones(T)}, r"weights has .*shape \(5,\)"),
    ],
)
def test_what_is_refused_and_what_it_says(change, says):
    arguments = {
        "student_hidden": torch.zeros(B, T, WIDTH),
        "student_weight": torch.zeros(V, WIDTH),
        "teacher_hidden": torch.zeros(B, T, TEACHER_WIDTH),
        "teacher_weight": torch.zeros(V, TEACHER_WIDTH),
    }
    with pytest.raises(ValueError, match=says):
        unwrap(linear_softmax_kl)(**(arguments | change))  # as outside the tests, where no annotations are checked
