"""softmax_kl on every backend against the formula in fp64; failures that other libraries shipped, by name."""

import pytest
import torch
import torch.nn.functional as F
from logit_pairs import (
    BACKENDS,
    INFINITY,
    KLS,
    agree,
    every_backend,
    every_divergence,
    exact,
    pair,
    reference_and_chunked,
    value_and_gradient,
)

from kd_lab.how import softmax_kl
from kd_lab.how.chunked import chunked_softmax_kl
from kd_lab.how.divergences import DIVERGENCES

pytestmark = [
    pytest.mark.usefixtures("small_chunks"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning:triton"),  # NumPy's, about infinities that are meant
]


# What it computes


@every_divergence
@reference_and_chunked
@pytest.mark.parametrize("temperature", [1.0, 0.5, 3.0])
@pytest.mark.parametrize("shape", [(41, 7), (3, 5, 11), (1, 401), (2, 3, 2, 5), (1271,)])
def test_equals_the_formula_in_fp64(divergence, backend, temperature, shape):
    student, teacher = pair(*shape)
    options = {"divergence": divergence, "beta": 0.3, "temperature": temperature}
    agree(value_and_gradient(student, teacher, backend=backend, **options), exact(student, teacher, **options))


@every_divergence
def test_fp64_is_the_divergence_of_softmaxes(divergence):
    student, teacher = pair(4, 9, dtype=torch.float64)
    expected = DIVERGENCES[divergence]((student / 2).log_softmax(-1), (teacher / 2).log_softmax(-1), 0.3).mean()
    expected *= 1 if divergence == "total_variation" else 4
    for backend in ("auto", "chunked"):  # fp64 takes the reference whatever is asked for
        got = softmax_kl(student, teacher, divergence=divergence, beta=0.3, temperature=2.0, backend=backend)
        torch.testing.assert_close(got, expected, rtol=1e-14, atol=0)


@every_divergence
@reference_and_chunked
@pytest.mark.parametrize(
    ("student_dtype", "teacher_dtype"),
    [(torch.bfloat16, torch.bfloat16), (torch.float16, torch.float16), (torch.bfloat16, torch.float32)],
)
def test_half_precision_logits_get_full_precision_arithmetic(divergence, backend, student_dtype, teacher_dtype):
    student, teacher = pair(6, 33)
    student, teacher = student.to(student_dtype), teacher.to(teacher_dtype)
    options = {"divergence": divergence, "temperature": 2.0}
    value, gradient = value_and_gradient(student, teacher, backend=backend, **options)
    exact_value, exact_gradient = exact(student, teacher, **options)
    assert value.dtype == torch.float32
    assert gradient.dtype == student_dtype
    torch.testing.assert_close(value.double(), exact_value, rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient, exact_gradient.to(student_dtype), rtol=2e-2, atol=2e-7)


@every_divergence
@reference_and_chunked
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mask_and_reduction(divergence, backend, reduction):
    student, teacher = pair(4, 6, 13)
    mask = torch.rand(4, 6, generator=torch.Generator().manual_seed(1)) > 0.4
    upstream = torch.linspace(-1, 2, 24).view(4, 6) if reduction == "none" else 0.7
    options = {"divergence": divergence, "mask": mask, "reduction": reduction, "upstream": upstream}
    got = value_and_gradient(student, teacher, backend=backend, **options)
    agree(got, exact(student, teacher, **options))
    assert got[1][~mask].eq(0).all()
    if reduction == "none":
        assert got[0][~mask].eq(0).all()


@reference_and_chunked
def test_near_convergence_value_and_gradient_keep_their_digits(backend):
    """At KL = 5e-7 a bare Σ p·log(p/q) in fp32 is noise and often negative."""
    student, teacher = pair(2, 5000, spread=1.0)
    for distance, tolerance in ((1.0, 2e-5), (0.1, 3e-4), (0.01, 3e-3), (0.001, 2e-1)):
        close = teacher + distance * student
        for divergence in KLS:
            value, gradient = value_and_gradient(close, teacher, divergence=divergence, backend=backend)
            exact_value, exact_gradient = exact(close, teacher, divergence=divergence)
            assert value >= 0
            torch.testing.assert_close(value.double(), exact_value, rtol=tolerance, atol=0)
            assert (gradient - exact_gradient).norm() < tolerance * exact_gradient.norm()


@every_divergence
@every_backend
def test_equal_logits_give_exactly_nothing(divergence, backend):
    student, _ = pair(5, 50)
    value, gradient = value_and_gradient(student, student.clone(), divergence=divergence, backend=backend)
    assert 0 <= value < 2e-7
    assert gradient.abs().max() < 1e-7


def test_the_gradient_of_a_distribution_sums_to_nothing():
    student, teacher = pair(6, 300, spread=6.0)
    for divergence in DIVERGENCES:
        _, gradient = value_and_gradient(student, teacher, divergence=divergence, reduction="sum", backend="chunked")
        assert gradient.sum(-1).abs().max() < 1e-5


# Facts that public code gets wrong


@every_backend
def test_direction_agrees_with_torch_read_rightly(backend):
    """F.kl_div(input, target) is KL(target‖input)."""
    student, teacher = pair(3, 7)
    target = teacher.log_softmax(-1)
    expected = F.kl_div(student.log_softmax(-1), target, log_target=True, reduction="none").sum(-1).mean()
    torch.testing.assert_close(softmax_kl(student, teacher, backend=backend), expected)


@every_divergence
@every_backend
def test_temperature_is_in_the_gradient_as_in_the_value(divergence, backend):
    """τ applied to the value and not to the gradient: finite differences of the value must be the gradient."""
    student, teacher = pair(1, 5, seed=3)
    direction = torch.tensor([[0.3, -0.1, 0.4, 0.2, -0.5]])
    options = {"divergence": divergence, "temperature": 3.0}
    _, gradient = value_and_gradient(student, teacher, backend=backend, **options)
    step = 1e-6
    ends = [softmax_kl(student.double() + s * direction, teacher.double(), **options) for s in (step, -step)]
    slope = (ends[0] - ends[1]) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum().double(), slope, rtol=1e-4, atol=1e-7)


@every_backend
def test_the_gradient_settles_as_the_temperature_grows(backend):
    """With τ² for the KLs and mixtures; total variation scales as τ and so carries none."""
    student, teacher = pair(4, 9, spread=1.0)
    for divergence in DIVERGENCES:
        norms = [
            value_and_gradient(student, teacher, divergence=divergence, temperature=t, backend=backend)[1].norm()
            for t in (20.0, 40.0)
        ]
        settled = 0.5 if divergence == "total_variation" else 1.0
        assert (norms[1] / norms[0]).item() == pytest.approx(settled, rel=0.1)


@every_divergence
@every_backend
def test_without_t2_value_and_gradient_both_lose_it(divergence, backend):
    student, teacher = pair(4, 9)
    options = {"divergence": divergence, "temperature": 3.0, "backend": backend}
    factor = 1 if divergence == "total_variation" else 9
    with_t2 = value_and_gradient(student, teacher, **options)
    without = value_and_gradient(student, teacher, scale_by_t2=False, **options)
    for a, b in zip(with_t2, without, strict=True):
        torch.testing.assert_close(a, factor * b)


@every_backend
def test_a_mixed_hard_label_loss_carries_the_same_factors_in_value_and_gradient(backend):
    student, teacher = pair(6, 11)
    labels = torch.arange(6)

    def mixed(logits, backend):
        soft = softmax_kl(logits, teacher.to(logits.dtype), temperature=2.0, backend=backend)
        return 3.0 * (0.7 * soft + 0.3 * F.cross_entropy(logits, labels))

    logits = student.clone().requires_grad_()
    logits_64 = student.double().requires_grad_()
    loss, loss_64 = mixed(logits, backend), mixed(logits_64, "reference")
    torch.testing.assert_close(loss.double(), loss_64, rtol=1e-5, atol=0)
    torch.testing.assert_close(
        torch.autograd.grad(loss, logits)[0].double(), torch.autograd.grad(loss_64, logits_64)[0], rtol=1e-4, atol=1e-7
    )


@every_backend
def test_mean_is_neither_batchmean_nor_the_mean_over_the_vocabulary(backend):
    """On (B, T, V) torch's batchmean divides by B alone and its mean by B·T·V."""
    student, teacher = pair(2, 5, 7)
    ours = softmax_kl(student, teacher, backend=backend)
    elements = F.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), log_target=True, reduction="none")
    torch.testing.assert_close(ours, elements.sum() / 10)


@every_backend
def test_vocabulary_padded_with_zeros_is_phantom_mass_and_refused(backend):
    """151,936 against 152,064, in small: padding with zeros is wrong, slicing or −inf on both sides is right."""
    student, teacher = pair(4, 12)
    with pytest.raises(ValueError, match=r"12 entries and the teacher's 10.*logits\[..., :V\].*V = 10"):
        softmax_kl(student, teacher[:, :10], backend=backend)
    shared = softmax_kl(student[:, :10], teacher[:, :10], backend=backend)
    phantom = softmax_kl(F.pad(student[:, :10], (0, 2)), F.pad(teacher[:, :10], (0, 2)), backend=backend)
    walled = [F.pad(logits[:, :10], (0, 2), value=-INFINITY) for logits in (student, teacher)]
    torch.testing.assert_close(softmax_kl(*walled, backend=backend), shared)
    assert (phantom - shared).abs() > 1e-3


@every_backend
def test_a_batch_of_one_does_not_broadcast(backend):
    student, teacher = pair(4, 5)
    with pytest.raises(ValueError, match=r"\(1, 5\).*nothing is broadcast"):
        softmax_kl(student, teacher[:1], backend=backend)
    with pytest.raises(ValueError, match=r"nothing is broadcast"):
        softmax_kl(student.view(2, 2, 5), teacher.view(2, 2, 5), mask=torch.tensor([True, False]), backend=backend)


# Failures that others shipped


@every_divergence
@every_backend
def test_nan_where_p_and_q_both_underflow(divergence, backend):
    student = torch.tensor([[0.0, -400.0, -390.0]])
    teacher = torch.tensor([[0.0, -395.0, -405.0]])
    value, gradient = value_and_gradient(student, teacher, divergence=divergence, backend=backend)
    assert value == 0
    assert gradient.eq(0).all()


@every_divergence
@every_backend
@pytest.mark.parametrize("scale", [1e4, 1e30])
def test_extreme_logits(divergence, backend, scale):
    student = torch.tensor([[1.0, -1.0, 0.0], [0.0, 0.0, 1.0]]) * scale
    teacher = torch.tensor([[1.0, 0.0, -1.0], [0.0, 0.5, -1.0]]) * scale
    value, gradient = value_and_gradient(student, teacher, divergence=divergence, reduction="none", backend=backend)
    exact_value, _ = exact(student, teacher, divergence=divergence, reduction="none")
    torch.testing.assert_close(value.double(), exact_value, rtol=1e-5, atol=1e-6)
    assert gradient.isfinite().all()


@every_divergence
@every_backend
def test_finite_loss_with_nan_gradient(divergence, backend):
    """Eager reverse KL and JSD with −inf: the value is right by luck and the gradient is not."""
    student, teacher = pair(4, 6)
    side = teacher if divergence == "forward_kl" else student
    side[:, 2] = -INFINITY
    value, gradient = value_and_gradient(student, teacher, divergence=divergence, backend=backend)
    assert value.isfinite()
    assert gradient.isfinite().all()
    agree((value, gradient), exact(student, teacher, divergence=divergence))


@every_divergence
@every_backend
def test_minus_infinity_in_the_same_column_of_both(divergence, backend):
    student, teacher = pair(4, 6)
    walled = [torch.cat([t[:, :3], torch.full((4, 2), -INFINITY), t[:, 3:]], -1) for t in (student, teacher)]
    options = {"divergence": divergence, "temperature": 2.0, "backend": backend}
    value, gradient = value_and_gradient(student, teacher, **options)
    walled_value, walled_gradient = value_and_gradient(*walled, **options)
    torch.testing.assert_close(walled_value, value)
    torch.testing.assert_close(walled_gradient[:, [0, 1, 2, 5, 6, 7]], gradient)
    assert walled_gradient[:, 3:5].eq(0).all()


@every_backend
def test_teacher_minus_infinity_under_reverse_kl_is_infinite_there_and_nowhere_else(backend):
    student, teacher = pair(3, 6)
    teacher[1, 2] = -INFINITY
    value, gradient = value_and_gradient(student, teacher, divergence="reverse_kl", reduction="none", backend=backend)
    assert value.isinf().tolist() == [False, True, False]
    assert not gradient[1].isfinite().all()
    assert gradient[[0, 2]].isfinite().all()
    mask = torch.tensor([True, False, True])
    value, gradient = value_and_gradient(student, teacher, divergence="reverse_kl", mask=mask, backend=backend)
    assert value.isfinite()
    assert gradient.isfinite().all()


@every_backend
def test_student_minus_infinity_under_forward_kl_is_infinite_with_a_finite_gradient(backend):
    student, teacher = pair(3, 6)
    student[1, 2] = -INFINITY
    value, gradient = value_and_gradient(student, teacher, reduction="none", backend=backend)
    assert value.isinf().tolist() == [False, True, False]
    torch.testing.assert_close(gradient, student.softmax(-1) - teacher.softmax(-1), rtol=1e-5, atol=1e-6)


@every_divergence
@every_backend
def test_in_place_gradient_that_corrupts_the_logits(divergence, backend):
    student, teacher = pair(5, 60)
    before = student.clone(), teacher.clone()
    leaf = student.requires_grad_()
    softmax_kl(leaf * 1.0, teacher, divergence=divergence, backend=backend).backward()
    assert torch.equal(leaf.detach(), before[0])
    assert torch.equal(teacher, before[1])


@every_divergence
@every_backend
def test_second_backward_on_a_retained_graph(divergence, backend):
    student, teacher = pair(5, 60)
    student.requires_grad_()
    loss = softmax_kl(student, teacher, divergence=divergence, temperature=2.0, backend=backend)
    loss.backward(retain_graph=True)
    once = student.grad.clone()
    loss.backward(retain_graph=True)
    torch.testing.assert_close(student.grad, 2 * once, rtol=1e-4, atol=1e-8)
    (3 * loss).backward()
    torch.testing.assert_close(student.grad, 5 * once, rtol=1e-4, atol=1e-8)


@every_divergence
@every_backend
def test_reduction_none_with_a_gradient_made_in_forward(divergence, backend):
    student, teacher = pair(7, 40)
    options = {"divergence": divergence, "reduction": "none", "upstream": torch.linspace(-2, 3, 7)}
    agree(value_and_gradient(student, teacher, backend=backend, **options), exact(student, teacher, **options))


@every_backend
def test_stride_0_upstream_gradient_of_sum(backend):
    student, teacher = pair(7, 40)
    leaf = student.clone().requires_grad_()
    softmax_kl(leaf, teacher, reduction="none", backend=backend).sum().backward()
    _, gradient = exact(student, teacher, reduction="sum")
    torch.testing.assert_close(leaf.grad.double(), gradient, rtol=1e-5, atol=1e-6)


@every_backend
def test_upstream_of_zero_and_of_other_signs(backend):
    student, teacher = pair(7, 40)
    for upstream in (0.0, -2.0, 1e-20):
        _, gradient = value_and_gradient(student, teacher, upstream=upstream, backend=backend)
        _, expected = exact(student, teacher, upstream=upstream)
        torch.testing.assert_close(gradient.double(), expected, rtol=1e-4, atol=1e-7 * abs(upstream))


STRIDES = {
    "the next token's slice of [B, T+1, V]": lambda t: F.pad(t, (0, 0, 0, 1))[:, :-1],
    "every second column": lambda t: t.repeat_interleave(2, -1)[..., ::2],
    "batch and time swapped": lambda t: t.transpose(0, 1).contiguous().transpose(0, 1),
    "vocabulary first": lambda t: t.permute(2, 0, 1).contiguous().permute(1, 2, 0),
    "one row for all": lambda t: t[:1, :1].expand(t.shape),
}


@every_divergence
@reference_and_chunked
@pytest.mark.parametrize("layout", STRIDES)
def test_strided_or_transposed_logits_silently_wrong(divergence, backend, layout):
    student, teacher = (STRIDES[layout](t) for t in pair(4, 6, 21))
    assert not student.is_contiguous()
    mask = torch.arange(24).view(4, 6) % 3 != 1
    for chosen in (None, mask):
        options = {"divergence": divergence, "mask": chosen}
        agree(value_and_gradient(student, teacher, backend=backend, **options), exact(student, teacher, **options))


@every_backend
def test_a_label_mask_that_is_ignored(backend):
    student, teacher = pair(6, 8)
    mask = torch.tensor([True, True, False, True, False, True])
    kept = softmax_kl(student[mask], teacher[mask], backend=backend)
    torch.testing.assert_close(softmax_kl(student, teacher, mask=mask, backend=backend), kept)
    garbage = student.clone()
    garbage[~mask] = float("nan")
    value, gradient = value_and_gradient(garbage, teacher, mask=mask, backend=backend)
    torch.testing.assert_close(value, kept)
    assert gradient[~mask].eq(0).all()
    assert gradient.isfinite().all()


@every_divergence
@every_backend
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_every_row_masked(divergence, backend, reduction):
    student, teacher = pair(2, 3, 100)
    mask = torch.zeros(2, 3, dtype=torch.bool)
    value, gradient = value_and_gradient(
        student, teacher, divergence=divergence, mask=mask, reduction=reduction, backend=backend
    )
    assert value.eq(0).all()
    assert gradient.eq(0).all()


@every_divergence
@every_backend
@pytest.mark.parametrize("shape", [(0, 5), (3, 0, 5)])
def test_no_position_at_all(divergence, backend, shape):
    student, teacher = pair(*shape)
    for mask in (None, torch.ones(shape[:-1], dtype=torch.bool)):
        value, gradient = value_and_gradient(student, teacher, divergence=divergence, mask=mask, backend=backend)
        assert value == 0
        assert gradient.shape == student.shape


@every_backend
def test_token_count_under_gradient_accumulation(backend):
    student, teacher = pair(8, 9, 10)
    mask = torch.arange(9) < torch.tensor([9, 8, 7, 1, 2, 1, 3, 2])[:, None]
    whole, gradient = value_and_gradient(student, teacher, mask=mask, backend=backend)
    leaf = student.clone().requires_grad_()
    parts = [
        softmax_kl(leaf[rows], teacher[rows], mask=mask[rows], normalizer=mask.sum(), backend=backend)
        for rows in (slice(0, 3), slice(3, 8))
    ]
    for part in parts:
        part.backward()
    torch.testing.assert_close(sum(parts), whole)
    torch.testing.assert_close(leaf.grad, gradient)
    wrong = sum(softmax_kl(leaf[r], teacher[r], mask=mask[r]) for r in (slice(0, 3), slice(3, 8))) / 2
    assert (wrong - whole).abs() > 1e-2


@every_backend
def test_bf16_logits_stored_before_the_fp32_maths(backend):
    """A log-probability rounded to bf16 costs per cents of the gradient; logits widened first cost none."""
    student, teacher = pair(4, 200, spread=1.0, dtype=torch.bfloat16)
    close = (teacher.float() + 0.05 * student.float()).to(torch.bfloat16)
    _, gradient = value_and_gradient(close.float(), teacher.float(), backend=backend)
    _, expected = exact(close, teacher)
    rounded = close.log_softmax(-1).exp().double() - teacher.log_softmax(-1).exp().double()
    assert (gradient - expected).norm() < 1e-4 * expected.norm()
    assert (rounded / 4 - expected).norm() > 1e-2 * expected.norm()


# How it behaves


def test_the_teacher_gets_no_gradient():
    student, teacher = (t.requires_grad_() for t in pair(3, 50))
    for backend in BACKENDS:
        softmax_kl(student, teacher, backend=backend).backward()
    assert teacher.grad is None


@every_backend
def test_without_gradients(backend):
    student, teacher = pair(5, 60)
    expected = exact(student, teacher)[0]
    student.requires_grad_()
    with torch.no_grad():
        value = softmax_kl(student, teacher, backend=backend)
    assert not value.requires_grad
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=0)
    with torch.inference_mode():
        value = softmax_kl(student * 1.0, teacher * 1.0, backend=backend)
    torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=0)


# Labels, weights, a normalizer


@every_divergence
@every_backend
@pytest.mark.parametrize(("temperature", "reduction"), [(1.0, "mean"), (2.0, "none")])
def test_labels_are_mixed_in_with_the_factors_of_the_formula(divergence, backend, temperature, reduction):
    student, teacher = pair(4, 6, 13)
    labels = torch.arange(24).view(4, 6) % 13
    labels[0, :3] = labels[2, 5] = -100
    mask = torch.arange(24).view(4, 6) % 7 != 3
    counted = mask & (labels != -100)
    options = {"divergence": divergence, "temperature": temperature, "reduction": reduction}
    upstream = torch.linspace(-1, 2, 24).view(4, 6) if reduction == "none" else 0.7
    for weight in (0.0, 0.25, 1.0):
        got = value_and_gradient(
            student,
            teacher,
            mask=mask,
            labels=labels,
            label_weight=weight,
            backend=backend,
            upstream=upstream,
            **options,
        )
        leaf = student.double().requires_grad_()
        hard = F.cross_entropy(leaf.view(24, 13), labels.flatten(), reduction="none").view(4, 6).where(counted, 0)
        soft = softmax_kl(leaf, teacher.double(), mask=counted, **(options | {"reduction": "none"}))
        loss = (1 - weight) * soft + weight * hard
        if reduction == "mean":
            loss = loss.sum() / counted.sum()
        agree(got, (loss.detach(), torch.autograd.grad((loss * upstream).sum(), leaf)[0]))


@every_backend
def test_labels_alone_are_a_mask(backend):
    student, teacher = pair(3, 5)
    labels = torch.tensor([4, -1, 0])
    expected = softmax_kl(student[::2], teacher[::2], backend=backend)
    torch.testing.assert_close(softmax_kl(student, teacher, labels=labels, ignore_index=-1, backend=backend), expected)


@every_backend
def test_the_weight_of_the_labels_may_be_all(backend):
    """1 − w = 0 times an infinite divergence is no divergence, and not NaN."""
    student, teacher = pair(3, 90)
    teacher[:, 4] = -INFINITY
    labels = torch.tensor([1, 2, 3])
    options = {"divergence": "reverse_kl", "labels": labels, "label_weight": 1.0, "backend": backend}
    value, gradient = value_and_gradient(student, teacher, **options)
    torch.testing.assert_close(value, F.cross_entropy(student, labels))
    assert gradient.isfinite().all()


@every_divergence
@every_backend
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights_multiply_positions_and_the_mean_still_counts_them(divergence, backend, reduction):
    student, teacher = pair(4, 6, 13)
    mask = torch.arange(24).view(4, 6) % 7 != 3
    weights = torch.linspace(0, 2, 24).view(4, 6)
    options = {"divergence": divergence, "reduction": reduction, "mask": mask}
    got = value_and_gradient(student, teacher, weights=weights, backend=backend, **options)
    leaf = student.double().requires_grad_()
    losses = softmax_kl(leaf, teacher.double(), divergence=divergence, mask=mask, reduction="none") * weights
    loss = {"mean": losses.sum() / mask.sum(), "sum": losses.sum(), "none": losses}[reduction]
    agree(got, (loss.detach(), torch.autograd.grad(loss.sum(), leaf)[0]))


@every_divergence
@every_backend
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_weights_that_are_no_numbers_matter_nowhere_that_does_not_count(divergence, backend, reduction):
    """Importance ratios of paddings are 0/0 or infinite; the position may be masked, or its label be ignored."""
    mask, labels = torch.tensor([True, False, True, True]), torch.tensor([0, 0, -100, 0])
    student, teacher = pair(4, 13)
    options = {"divergence": divergence, "reduction": reduction, "mask": mask, "labels": labels}
    for path in (backend, "auto"):
        results = []
        for nothing in (0.0, torch.nan, torch.inf):
            weights = torch.tensor([2.0, nothing, nothing, 2.0])
            results.append(value_and_gradient(student, teacher, weights=weights, backend=path, **options))
        for got in results[1:]:
            assert all(torch.equal(a, b) for a, b in zip(got, results[0], strict=True))


def test_a_position_of_weight_0_has_its_gradient_if_another_upstream_comes():
    """The gradient is made for what is expected, and here nothing was; a factor cannot bring it back."""
    student, teacher = pair(3, 90)
    weights, upstream = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 1.0, 3.0])
    leaf = student.clone().requires_grad_()
    losses, _ = chunked_softmax_kl(
        leaf,
        teacher,
        divergence="jsd",
        beta=0.5,
        temperature=1.0,
        scale_by_t2=True,
        mask=None,
        expected_upstream=weights,
    )
    losses.backward(upstream)
    _, expected = exact(student, teacher, divergence="jsd", reduction="none", upstream=upstream)
    torch.testing.assert_close(leaf.grad.double(), expected, rtol=1e-4, atol=1e-7)


@every_backend
@pytest.mark.parametrize("mask", [None, torch.tensor([True, False, True])])
def test_a_normalizer_may_have_one_element_and_0_is_the_mean_of_nothing(backend, mask):
    student, teacher = pair(3, 90)
    for normalizer in (
        torch.tensor(4),
        torch.tensor([4.0]),
        torch.tensor([[4]]),
        torch.tensor(4.0, dtype=torch.float64),
    ):
        got = value_and_gradient(student, teacher, mask=mask, normalizer=normalizer, backend=backend)
        assert got[0].shape == ()
        assert got[0].dtype == torch.float32
        agree(got, exact(student, teacher, mask=mask, normalizer=4))
    value, gradient = value_and_gradient(student, teacher, mask=mask, normalizer=torch.tensor(0), backend=backend)
    assert value == 0
    assert gradient.eq(0).all()
