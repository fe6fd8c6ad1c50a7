"""The fused kernels in Triton's interpreter: value and gradient against fp64, bytes counted, operators checked."""

import math
import os
import subprocess
import sys

import pytest
import torch

pytest.importorskip("triton", reason="Triton has no wheel here")
if os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("Triton came without its interpreter: set TRITON_INTERPRET=1", allow_module_level=True)

import kd_lab.how.kernels.launch as launch
from kd_lab.how.kernels import triton_softmax_kl
from kd_lab.how.kernels.count_bytes import count_bytes
from kd_lab.how.kernels.evidence import bytes_per_element, logits_at, relative_errors
from kd_lab.how.kernels.ops import multiply_rows_, softmax_kl_backward, softmax_kl_rows
from kd_lab.how.kernels.report import Row, rows
from kd_lab.how.reference import reference_softmax_kl

KLS = ["forward_kl", "reverse_kl"]
DIVERGENCES = [*KLS, "jsd", "skew_kl", "total_variation"]
every_divergence = pytest.mark.parametrize("divergence", DIVERGENCES)
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, about infinities that the kernels expect


def pair(*shape: int, seed: int = 0, spread: float = 3.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(spread * torch.randn(shape, generator=generator) for _ in range(2))


def fused(student, teacher, upstream=1.0, **options) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = student.detach().requires_grad_()
    loss = triton_softmax_kl(leaf, teacher, **options)
    (gradient,) = torch.autograd.grad((loss * upstream).sum(), leaf)
    return loss.detach(), gradient


def exact(student, teacher, upstream=1.0, weight=1.0, **options) -> tuple[torch.Tensor, torch.Tensor]:
    leaf = student.detach().double().requires_grad_()
    options = {"beta": 0.5, "temperature": 1.0, "scale_by_t2": True, "mask": None} | options
    loss = weight * reference_softmax_kl(leaf, teacher.double(), **options)
    (gradient,) = torch.autograd.grad((loss * upstream).sum(), leaf)
    return loss.detach(), gradient


def agree(got, wanted, tolerance: float = 3e-6) -> None:
    """Values to `tolerance` of each, gradients to `tolerance` of the largest."""
    torch.testing.assert_close(got[0].double(), wanted[0], rtol=tolerance, atol=1e-12)
    assert (got[1].double() - wanted[1]).abs().max() <= tolerance * wanted[1].abs().max()


# Value and gradient


@every_divergence
@pytest.mark.parametrize("shape", [(41, 7), (2, 3, 65), (5, 401), (2, 1271), (3, 1)])
@pytest.mark.parametrize("weight", [None, 0.25])
def test_equals_fp64(divergence, shape, weight, path):
    student, teacher = pair(*shape)
    mask = torch.rand(shape[:-1], generator=torch.Generator().manual_seed(2)) < 0.8
    options = {"divergence": divergence, "beta": 0.3, "temperature": 1.7, "mask": mask}
    upstream = torch.linspace(-1, 2, mask.numel()).view(mask.shape)
    got = fused(student, teacher, upstream, weight=None if weight is None else torch.tensor(weight), **options)
    wanted = exact(student, teacher, upstream, weight=weight or 1.0, **options)
    if shape[-1] == 1:
        assert got[0].eq(0).all()
        assert got[1].eq(0).all()
        return
    agree(got, wanted)
    assert got[0][~mask].eq(0).all()
    assert got[1][~mask].eq(0).all()


@every_divergence
@pytest.mark.parametrize("vocabulary", [4097, 16_384, 16_385, 20_480])
def test_equals_fp64_in_tiles_of_their_true_size(divergence, vocabulary):
    student, teacher = pair(1, vocabulary)
    for weight in (None, 1.0):
        options = {"divergence": divergence, "beta": 0.3, "temperature": 0.8}
        got = fused(student, teacher, weight=None if weight is None else torch.tensor(weight), **options)
        agree(got, exact(student, teacher, **options))


@every_divergence
@pytest.mark.parametrize(
    ("student_dtype", "teacher_dtype"),
    [
        (torch.bfloat16, torch.bfloat16),
        (torch.float16, torch.float16),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.bfloat16),
        (torch.float16, torch.bfloat16),
    ],
)
def test_half_precision_and_mixed_logits(divergence, student_dtype, teacher_dtype, path):
    student, teacher = pair(3, 401)
    student, teacher = student.to(student_dtype), teacher.to(teacher_dtype)
    options = {"divergence": divergence, "beta": 0.3, "temperature": 2.0}
    wanted = exact(student, teacher, **options)
    for weight in (None, torch.ones(3)):
        value, gradient = fused(student, teacher, weight=weight, **options)
        torch.testing.assert_close(value.double(), wanted[0], rtol=3e-6, atol=0)
        assert gradient.dtype == student_dtype
        # The interpreter rounds bf16 towards zero: one unit in its last place.
        unit = {torch.bfloat16: 2**-7, torch.float16: 2**-10, torch.float32: 3e-6}[student_dtype]
        torch.testing.assert_close(gradient.double(), wanted[1], rtol=unit, atol=6e-8)


@every_divergence
@pytest.mark.parametrize("kl", [5e-1, 5e-3, 5e-5, 5e-7])
def test_near_convergence_every_digit_is_kept(divergence, kl):
    bound = Row(divergence, "early", 30_000, math.inf, ()).error_bound[kl]
    value, gradient = relative_errors(divergence, 30_000, kl)
    assert value < bound
    assert gradient < 3e-6


@every_divergence
def test_never_negative_and_nothing_at_equality(divergence, path):
    student, teacher = pair(24, 200)
    distances = torch.logspace(-8, 0, 24)[:, None]
    assert triton_softmax_kl(teacher + distances * student, teacher, divergence=divergence).ge(0).all()
    value, gradient = fused(teacher, teacher.clone(), divergence=divergence)
    assert value.eq(0).all()
    assert gradient.eq(0).all()


@every_divergence
def test_a_constant_on_all_logits_changes_nothing(divergence, path):
    """The pivot of the online KL moves by the constant; where it starts from 0, e^100 must not reach the sums."""
    student, teacher = pair(2, 100)
    for constant in (100.0, -100.0):
        options = {"divergence": divergence, "beta": 0.3}
        agree(fused(student + constant, teacher, **options), exact(student + constant, teacher, **options), 3e-5)


@pytest.mark.parametrize("divergence", KLS)
def test_a_tile_of_strangers_does_not_spoil_the_rest(divergence, path):
    """Logits that differ by 120 where neither side puts any mass, in the tile that is read first and in the others."""
    student, teacher = pair(1, 100)
    student = teacher + 1e-3 * student
    for columns in (slice(96, 100), slice(0, 16), slice(40, 60)):
        far_student, far_teacher = student.clone(), teacher.clone()
        far_student[:, columns] -= 300
        far_teacher[:, columns] -= 180
        value, gradient = fused(far_student, far_teacher, divergence=divergence)
        wanted = exact(far_student, far_teacher, divergence=divergence)
        assert value >= 0
        assert (value - wanted[0]).abs() < 2e-6
        assert (gradient - wanted[1]).abs().max() < 2e-6


@every_divergence
def test_kl_of_hundreds_of_nats(divergence, path):
    student, teacher = pair(2, 90, spread=100.0)
    agree(fused(student, teacher, divergence=divergence), exact(student, teacher, divergence=divergence), 3e-5)


# Failures that others shipped, where the kernels could share them; tests/how/test_softmax_kl.py has all of them by name


def test_int32_overflow_past_2_to_the_31_elements():
    """Row 1 begins 2³¹ + 64 elements after row 0, in memory that is reserved and never touched in between."""
    stride = 2**31 + 64
    storage = torch.empty(stride + 64, dtype=torch.bfloat16)
    student = storage.as_strided((2, 40), (stride, 1))
    values, teacher = (t.to(torch.bfloat16) for t in pair(2, 40))
    student.copy_(values)
    got = triton_softmax_kl(student, teacher, divergence="forward_kl")
    torch.testing.assert_close(got, triton_softmax_kl(values, teacher, divergence="forward_kl"))
    assert got[0] != got[1]


LAYOUTS = {
    "next token's slice": lambda t: t[:, :-1],
    "shifted slice": lambda t: t[:, 1:],
    "time first": lambda t: t.transpose(0, 1),
    "cut vocabulary": lambda t: t[..., :-3],
    "three leading axes that do not fold": lambda t: t.view(2, 2, 6, 70)[:, :, 1:5].transpose(0, 2),
    "one teacher row for all": lambda t: t[:1, :1].expand(3, 5, 70),
}


@every_divergence
@pytest.mark.parametrize("layout", LAYOUTS)
def test_strided_or_transposed_logits_are_read_where_they_lie(divergence, layout, path, monkeypatch):
    student, teacher = (LAYOUTS[layout](t) for t in pair(4, 6, 70))
    mask = torch.arange(student[..., 0].numel()).view(student.shape[:-1]) % 3 != 1
    wanted = exact(student, teacher, divergence=divergence, mask=mask)
    contiguous = torch.Tensor.contiguous

    def small_only(tensor, *rest, **options):
        assert tensor.is_contiguous() or tensor.numel() <= mask.numel(), "a hidden copy of logits"
        return contiguous(tensor, *rest, **options)

    monkeypatch.setattr(torch.Tensor, "contiguous", small_only)
    agree(fused(student, teacher, divergence=divergence, mask=mask), wanted)


def test_a_last_axis_that_is_not_contiguous_is_copied_and_right(path):
    student, teacher = (t.transpose(0, 1) for t in pair(70, 4))
    agree(fused(student, teacher, divergence="jsd"), exact(student, teacher, divergence="jsd"))


@every_divergence
def test_second_backward_on_a_retained_graph_and_a_gradient_that_was_handed_over(divergence, path):
    """The gradient made in forward is given away at the first backward; later ones must not write into it."""
    student, teacher = pair(3, 70)
    student.requires_grad_()
    for weight in (None, torch.tensor(0.5)):
        loss = triton_softmax_kl(student, teacher, divergence=divergence, weight=weight).sum()
        (first,) = torch.autograd.grad(loss, student, retain_graph=True)
        kept = first.clone()
        (second,) = torch.autograd.grad(3 * loss, student, retain_graph=True)
        (third,) = torch.autograd.grad(loss, student)
        assert torch.equal(first, kept)
        torch.testing.assert_close(second, 3 * first, rtol=1e-5, atol=1e-9)
        torch.testing.assert_close(third, first, rtol=1e-5, atol=1e-9)


def test_fp16_gradients_wait_for_the_loss_scale(path):
    """Made in forward with a mean's weight they would have underflowed."""
    student, teacher = (t.half() for t in pair(2, 70, spread=0.5))
    weight = torch.tensor(1e-6)
    _, gradient = fused(student, teacher, 2.0**20, divergence="forward_kl", weight=weight)
    _, wanted = exact(student, teacher, 2.0**20, weight=1e-6, divergence="forward_kl")
    torch.testing.assert_close(gradient.double(), wanted, rtol=2e-3, atol=1e-7)


def test_a_masked_row_is_not_read_even_where_it_is_nan(path):
    student, teacher = pair(3, 70)
    student[1], teacher[1] = math.nan, math.inf
    mask = torch.tensor([True, False, True])
    for weight in (None, torch.tensor(1.0)):
        value, gradient = fused(
            student, teacher, torch.tensor([1.0, math.inf, 1.0]), divergence="jsd", mask=mask, weight=weight
        )
        assert value[1] == 0
        assert gradient[1].eq(0).all()
        assert gradient.isfinite().all()


# Bytes


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_bytes_are_within_the_budget(row):
    assert bytes_per_element(row.divergence, row.vocabulary, row.path) <= row.bound


def test_the_count_counts(path):
    """Two fp32 numbers read, one written, and nothing for a lane that is masked out."""
    gradient = torch.ones(2, 70)
    with count_bytes() as traffic:
        multiply_rows_(gradient, None, torch.tensor([1.0, 3.0]))
    assert (traffic.loaded, traffic.stored) == (2 * 4 + 70 * 4, 70 * 4)
    assert gradient[:, 0].tolist() == [1.0, 3.0]


def test_backward_of_the_loss_itself_is_free_where_the_gradient_is_made_already():
    student, teacher = logits_at(0.5, 4096, torch.bfloat16)
    student.requires_grad_()
    loss = triton_softmax_kl(student, teacher, divergence="forward_kl", weight=torch.tensor(1.0)).sum()
    with count_bytes() as traffic:
        loss.backward()
    assert traffic.moved <= 8


def test_what_the_backward_pass_needs_is_at_most_12_bytes_a_row():
    student, teacher = logits_at(0.5, 20_000, torch.bfloat16)
    _, statistics, gradient = softmax_kl_rows(student, teacher, None, None, "jsd", 0.5, 1.0, 1.0, "statistics")
    assert statistics.numel() * statistics.itemsize == 12
    assert gradient.numel() == 0


def test_gradient_rows_are_padded_so_that_their_stores_are_vectors():
    student, teacher = pair(3, 21)
    assert fused(student, teacher, divergence="forward_kl")[1].stride() == (32, 1)


# Operators


@pytest.mark.parametrize("save", ["statistics", "gradient"])
@pytest.mark.parametrize("divergence", ["forward_kl", "jsd"])
def test_opcheck(divergence, save, path):
    student, teacher = pair(2, 3, 70)
    mask = torch.tensor([[True, True, False], [True, False, True]])
    weight = torch.rand(2, 3) if save == "gradient" else None
    options = (divergence, 0.3, 2.0, 4.0)
    torch.library.opcheck(softmax_kl_rows, (student.requires_grad_(), teacher, mask, weight, *options, save))
    _, statistics, _ = softmax_kl_rows(student.detach(), teacher, mask, weight, *options, "statistics")
    torch.library.opcheck(
        softmax_kl_backward, (student.detach(), teacher, mask, torch.rand(2, 3), statistics, *options)
    )
    torch.library.opcheck(multiply_rows_, (torch.rand(2, 3, 70), mask, torch.rand(2, 3)))


COMPILED = """
import torch
from kd_lab.how.kernels import triton_softmax_kl
torch.manual_seed(0)
student, teacher = torch.randn(2, 3, 70, requires_grad=True), torch.randn(2, 3, 70)
mask = torch.tensor([[True, True, False], [True, False, True]])
for weight in (None, torch.tensor(0.25)):
    for divergence in ("forward_kl", "jsd"):
        def loss(student, teacher):
            doubled = 2 * student  # something to compile beside the operator
            return triton_softmax_kl(doubled, teacher, divergence=divergence, mask=mask, weight=weight).sum() * 3
        (wanted,) = torch.autograd.grad(loss(student, teacher), student)
        torch._dynamo.reset()
        compiled = torch.compile(loss, fullgraph=True)
        for _ in range(2):
            value = compiled(student, teacher)
            (got,) = torch.autograd.grad(value, student)
            torch.testing.assert_close(value, loss(student, teacher))
            torch.testing.assert_close(got, wanted)
print("same")
"""


def test_torch_compile_fullgraph():
    """In a process of its own, without the checker of annotations, and with no gradient graph cached by an older one."""
    environment = os.environ | {"TORCHINDUCTOR_AUTOGRAD_CACHE": "0"}
    run = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, env=environment)
    assert run.stdout.strip() == "same", run.stderr[-2000:]


def test_no_second_derivative_is_faked():
    student, teacher = pair(2, 30)
    student.requires_grad_()
    loss = triton_softmax_kl(student, teacher, divergence="forward_kl").sum()
    (gradient,) = torch.autograd.grad(loss, student, create_graph=True)
    with pytest.raises(RuntimeError):
        gradient.sum().backward()


def test_no_gradient_is_made_where_none_is_needed():
    student, teacher = logits_at(0.5, 4096, torch.bfloat16)
    student.requires_grad_()
    with torch.no_grad(), count_bytes() as traffic:
        triton_softmax_kl(student, teacher, divergence="forward_kl", weight=torch.tensor(1.0))
    assert traffic.stored == 4


@pytest.mark.parametrize("shape", [(0, 5), (3, 0, 5)])
def test_no_position_at_all(shape):
    value, gradient = fused(*pair(*shape), divergence="jsd")
    assert value.shape == shape[:-1]
    assert gradient.shape == shape


# What it refuses


def test_fp64_goes_to_the_reference():
    with pytest.raises(ValueError, match=r'student_logits have dtype torch.float64.*backend="reference"'):
        triton_softmax_kl(*(t.double() for t in pair(2, 3)), divergence="jsd")


def test_without_the_interpreter_the_cpu_is_refused():
    code = "import torch; from kd_lab.how.kernels import triton_softmax_kl as f; f(*torch.ones(2, 3), divergence='jsd')"
    environment = os.environ | {"TRITON_INTERPRET": "0"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert "set TRITON_INTERPRET=1 in the environment before Python starts" in run.stderr
