"""The fused kernels in Triton's interpreter against the formula in fp64, in value and gradient, on both of their paths.

`tests/how/test_softmax_kl.py` holds this backend to the same failures as the others, on rows that fit in one tile. Here
are those in which tiles, strides, dtypes or what is kept for the backward pass have a part.
"""

import itertools
import math
import os
from typing import no_type_check

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

pytest.importorskip("triton", reason="Triton has wheels for Linux only")
if os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("Triton came without its interpreter: set TRITON_INTERPRET=1", allow_module_level=True)

import triton
from triton import language as tl

from kd_lab.how import softmax_kl
from kd_lab.how.divergences import DIVERGENCES as TABLE
from kd_lab.how.kernels import triton_softmax_kl
from kd_lab.how.kernels.audit.evidence import count_bytes, relative_errors
from kd_lab.how.kernels.audit.report import GAPS
from kd_lab.how.kernels.tile import against_mixture
from kd_lab.how.reference import reference_softmax_kl

KLS = [name for name, entry in TABLE.items() if entry.is_kl]
DIVERGENCES = list(TABLE)
every_divergence = pytest.mark.parametrize("divergence", DIVERGENCES)
a_kl_and_a_mixture = pytest.mark.parametrize("divergence", ["forward_kl", "jsd"])
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, about infinities that the kernels expect
WIDE = 600  # four tiles of 128 columns, of which some are held and some are not, and a rest


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


def agree(got, wanted, student, temperature: float = 1.0, factor: float = 1.0) -> None:
    """Values to 3e-6 of each. A gradient is τ·q·(h − Σ q·h) for slopes h of a few nats at most, and fp32 knows an
    exponent of size E, and so q and h, to about E·2⁻²³: it is held to E·2⁻²² of its factor τ·q at the likeliest token,
    and not to a share of itself, of which a difference of nearly equal slopes leaves nothing.
    """
    torch.testing.assert_close(got[0].double(), wanted[0], rtol=3e-6, atol=1e-12)
    softened = student.double() / temperature
    likeliest = softened.softmax(-1).max().item()
    exponent = max(16.0, softened.abs().max().item())
    limit = exponent * 2**-22 * likeliest * max(temperature, 1 / temperature) * factor
    assert (got[1].double() - wanted[1]).abs().max() <= limit


# Value and gradient


@every_divergence
@pytest.mark.parametrize(
    ("shape", "weight"), [((9, 7), None), ((2, 2, 41), 0.25), ((2, 401), None), ((1, 1271), 0.25), ((1, 128), 0.25)]
)
def test_equals_fp64(divergence, shape, weight, path):
    student, teacher = pair(*shape)
    mask = torch.arange(math.prod(shape[:-1])).view(shape[:-1]) != 3
    options = {"divergence": divergence, "beta": 0.3, "temperature": 1.7, "mask": mask}
    upstream = torch.linspace(-1, 2, mask.numel()).view(mask.shape)
    got = fused(student, teacher, upstream, weight=None if weight is None else torch.tensor(weight), **options)
    wanted = exact(student, teacher, upstream, weight=weight or 1.0, **options)
    agree(got, wanted, student, 1.7, factor=2.0)
    assert got[0][~mask].eq(0).all()
    assert got[1][~mask].eq(0).all()


@every_divergence
def test_labels_are_mixed_in_by_the_same_sweeps(divergence, path):
    """Cross-entropy at τ = 1 beside a softened divergence; neither where the mask leaves a position out."""
    student, teacher = pair(7, WIDE)
    student[:, 300] = teacher[:, 300] = -math.inf  # no label, and no NaN
    labels = torch.tensor([0, 599, 301, 130, -100, 520, 7])
    mask = torch.tensor([True, True, True, True, False, True, True])
    upstream = torch.linspace(-1, 2, 7)
    options = {"divergence": divergence, "beta": 0.3, "temperature": 1.7, "mask": mask}
    leaf = student.double().requires_grad_()
    surprise = cross_entropy(leaf, labels, reduction="none", ignore_index=-100)
    divergences = reference_softmax_kl(leaf, teacher.double(), scale_by_t2=True, **options)
    wanted = 0.5 * (0.75 * divergences + 0.25 * surprise)
    (wanted_gradient,) = torch.autograd.grad((wanted * upstream).sum(), leaf)
    for weight in (None, torch.tensor(0.5)):
        scale = 0.5 if weight is None else 1.0
        mixed = options | {"labels": labels, "label_weight": 0.25, "weight": weight}
        value, gradient = fused(student, teacher, scale * upstream, **mixed)
        agree((scale * value, gradient), (wanted.detach(), wanted_gradient), student, 1.7, factor=2.0)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("label_weight", [0.0, 0.25, 1.0])
def test_softmax_kl_means_the_same_with_this_backend(reduction, label_weight, path):
    """Labels, an ignored one, weights and a normalizer of shape [1]: their meaning is the public function's."""
    student, teacher = pair(5, WIDE)
    if label_weight == 1:
        student[0, 3] = -math.inf  # and 0·∞ is not in the loss
    options = {
        "labels": torch.tensor([1, -7, 599, 40, 5]),
        "label_weight": label_weight,
        "ignore_index": -7,
        "mask": torch.tensor([True, True, True, False, True]),
        "weights": torch.tensor([1.0, 2.0, 0.5, 1.0, 0.0]),
        "normalizer": torch.tensor([7.0]) if reduction == "mean" else None,
        "reduction": reduction,
        "temperature": 2.0,
    }
    results = []
    for backend, dtype in (("triton", torch.float32), ("reference", torch.float64)):
        leaf = student.to(dtype).requires_grad_()
        value = softmax_kl(leaf, teacher.to(dtype), backend=backend, **options)
        results.append((value.detach().double(), *(g.double() for g in torch.autograd.grad(value.sum(), leaf))))
    for got, wanted in zip(*results, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-6)


def test_a_student_sure_of_its_label_keeps_the_digits_of_its_surprise(path):
    """Logits of a hundred: lse(s) alone is known to 8e-6."""
    student, _ = pair(1, WIDE, spread=0.1)
    student += 100
    student[0, 40] += 12  # −log q = 3.6e-3
    label = torch.tensor([40])
    value, _ = fused(student, student.clone(), divergence="forward_kl", labels=label, label_weight=0.5)
    wanted = 0.5 * cross_entropy(student.double(), label)
    torch.testing.assert_close(value[0].double(), wanted, rtol=1e-4, atol=0)


def test_labels_cost_no_further_sweep(path):
    student, teacher = pair(1, WIDE)
    moved = []
    for options in ({}, {"labels": torch.tensor([5]), "label_weight": 0.5}):
        with count_bytes() as traffic:
            fused(student, teacher, divergence="jsd", **options)
        moved.append(traffic.moved)
    assert moved[1] - moved[0] <= 2 * 8 + 4 + 2 * 4  # the label twice, its logit, a fourth number kept


@pytest.mark.parametrize("label", [WIDE, -7])
def test_a_label_outside_the_vocabulary_is_no_silent_zero(label, path):
    for weight in (None, torch.ones(1)):
        got = fused(*pair(1, WIDE), divergence="jsd", labels=torch.tensor([label]), label_weight=0.5, weight=weight)
        assert all(tensor.isnan().all() for tensor in got)


@every_divergence
@pytest.mark.parametrize("vocabulary", [4097, 16_385])
def test_equals_fp64_in_tiles_of_their_true_size(divergence, vocabulary):
    student, teacher = pair(1, vocabulary)
    for weight in (None, 1.0):
        options = {"divergence": divergence, "beta": 0.3, "temperature": 0.5}
        got = fused(student, teacher, weight=None if weight is None else torch.tensor(weight), **options)
        agree(got, exact(student, teacher, **options), student, 0.5)


@pytest.mark.parametrize("divergence", KLS)
def test_the_mass_under_a_wall_is_kept_in_tiles_of_their_true_size(divergence):
    """A third of one side's mass is in two columns, which are read first, and where the other has none."""
    free, walled = torch.zeros(1, 4098), torch.zeros(1, 4098)
    free[:, 4096:], walled[:, 4096:] = math.log(1024), -math.inf
    student, teacher = (walled, free) if divergence == "reverse_kl" else (free, walled)
    value, gradient = fused(student, teacher, divergence=divergence)
    assert value.item() == pytest.approx(math.log(1.5), rel=1e-6)
    agree((value, gradient), exact(student, teacher, divergence=divergence), student.clamp_min(-16))


@every_divergence
def test_a_vocabulary_of_one_token_holds_no_information(divergence, path):
    value, gradient = fused(*pair(2, 1), divergence=divergence)
    assert value.eq(0).all()
    assert gradient.eq(0).all()


@a_kl_and_a_mixture
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
def test_half_precision_and_mixed_dtypes(divergence, student_dtype, teacher_dtype, path):
    student, teacher = pair(1, WIDE)
    student, teacher = student.to(student_dtype), teacher.to(teacher_dtype)
    options = {"divergence": divergence, "beta": 0.3, "temperature": 2.0}
    wanted = exact(student, teacher, **options)
    for weight in (None, torch.ones(1)):
        value, gradient = fused(student, teacher, weight=weight, **options)
        torch.testing.assert_close(value.double(), wanted[0], rtol=3e-6, atol=0)
        assert gradient.dtype == student_dtype
        # The interpreter rounds bf16 towards zero: one unit in its last place.
        unit = {torch.bfloat16: 2**-7, torch.float16: 2**-10, torch.float32: 1e-5}[student_dtype]
        torch.testing.assert_close(gradient.double(), wanted[1], rtol=unit, atol=6e-8)


@every_divergence
@pytest.mark.parametrize("kl", GAPS)
def test_near_convergence_every_digit_is_kept(divergence, kl):
    value, gradient = relative_errors(divergence, 30_000, kl)
    assert value < GAPS[kl]
    assert gradient < 3e-6


@triton.jit
@no_type_check
def _against_mixture(d, at_teacher, at_student, beta, BLOCK: tl.constexpr):
    lanes = tl.arange(0, BLOCK)
    log_teacher, log_student, _ = against_mixture(tl.load(d + lanes), beta)
    tl.store(at_teacher + lanes, log_teacher)
    tl.store(at_student + lanes, log_student)


@pytest.mark.parametrize("beta", [1 / 128, 1 / 8, 1 / 2, 7 / 8, 127 / 128])  # 1 − β is exact in fp32
def test_the_logarithms_against_a_mixture_keep_every_digit(beta):
    """Also where a side is nearly the mixture and d is not small: log(p/m) is 3e-3 at d = ½ and β = 127/128."""
    d = torch.cat([torch.linspace(-8, 8, 1018), torch.tensor([1e-6, -1e-6, 0.5, -0.5, 0.0, math.inf])])
    at_teacher, at_student = torch.empty(1024), torch.empty(1024)
    _against_mixture[(1,)](d, at_teacher, at_student, beta, BLOCK=1024)
    of_teacher = torch.log1p((1 - beta) * torch.expm1(-d.double()))  # log(m/p)
    of_student = torch.log1p(beta * torch.expm1(d.double()))  # log(m/q)
    torch.testing.assert_close(-at_teacher.double(), of_teacher, rtol=1e-6, atol=0)
    torch.testing.assert_close(-at_student.double(), of_student, rtol=1e-6, atol=0)


@pytest.mark.parametrize("divergence", ["jsd", "skew_kl", "skew_reverse_kl"])
@pytest.mark.parametrize("beta", [1 / 8, 7 / 8, 127 / 128])  # as above
def test_near_convergence_at_other_mixtures(divergence, beta):
    for kl in (5e-1, 5e-3):
        value, gradient = relative_errors(divergence, 10_000, kl, beta=beta)
        assert value < GAPS[kl]
        assert gradient < 3e-6


@every_divergence
def test_never_negative_and_nothing_at_equality(divergence, path):
    student, teacher = pair(5, WIDE)
    distances = torch.logspace(-8, 0, 5)[:, None]
    assert triton_softmax_kl(teacher + distances * student, teacher, divergence=divergence).ge(0).all()
    value, gradient = fused(teacher[:1], teacher[:1].clone(), divergence=divergence)
    assert value.eq(0).all()
    assert gradient.eq(0).all()


@every_divergence
def test_a_constant_on_all_logits_changes_nothing(divergence, path):
    """The pivot of the online KL moves by the constant; where it starts from 0, e^100 must not reach the sums."""
    student, teacher = pair(1, WIDE)
    wanted = exact(student, teacher, divergence=divergence)
    for constant in (100.0, -100.0):
        moved = student + constant  # rounded to 100·2⁻²⁴
        value, gradient = fused(moved, teacher, divergence=divergence)
        torch.testing.assert_close(value.double(), wanted[0], rtol=3e-5, atol=0)
        torch.testing.assert_close(gradient.double(), wanted[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("divergence", KLS)
def test_a_tile_of_strangers_does_not_spoil_the_rest(divergence, path):
    """Logits that differ by 120 where neither side puts any mass, in the tile that is read first and in the others."""
    student, teacher = pair(1, WIDE)
    student = teacher + 1e-3 * student
    for columns in (slice(512, 600), slice(200, 300)):
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
    student, teacher = pair(2, WIDE, spread=100.0)
    agree(fused(student, teacher, divergence=divergence), exact(student, teacher, divergence=divergence), student)


# Failures that others shipped, where tiles, strides or kept numbers could bring them in


@every_divergence
def test_nan_where_p_and_q_both_underflow_in_a_whole_tile(divergence, path):
    student, teacher = pair(1, WIDE)
    for columns in (slice(512, 600), slice(0, 384)):  # what is read first; what is streamed, and in part held
        low_student, low_teacher = student.clone(), teacher.clone()
        low_student[:, columns] -= 400
        low_teacher[:, columns] -= 395
        got = fused(low_student, low_teacher, divergence=divergence)
        agree(got, exact(low_student, low_teacher, divergence=divergence), student)


@every_divergence
def test_minus_infinity_in_the_same_columns_of_both_masks_a_whole_tile(divergence, path):
    """A masked vocabulary: its padding, or tokens that a grammar forbids. Zeros there would be phantom mass."""
    student, teacher = pair(1, WIDE)
    for columns in (slice(500, 600), slice(0, 390)):
        kept = torch.ones(WIDE, dtype=torch.bool)
        kept[columns] = False
        walled = [torch.where(kept, t, -math.inf) for t in (student, teacher)]
        value, gradient = fused(*walled, divergence=divergence)
        wanted = exact(student[:, kept], teacher[:, kept], divergence=divergence)
        agree((value, gradient[:, kept]), wanted, walled[0][:, kept])
        assert gradient[:, ~kept].eq(0).all()


# Columns of 600 in tiles of 128: the rest, 512 to 600, is read first, and the tiles then come from the left.
WALLS = ([slice(100, 300)], [slice(512, 600)], [slice(512, 600), slice(0, 200)])


def walled(logits: torch.Tensor, low: float) -> torch.Tensor:
    """One row of logits for each of WALLS, with `low` in its columns."""
    rows = logits.repeat(len(WALLS), 1)
    for row, wall in zip(rows, WALLS, strict=True):
        for columns in wall:
            row[columns] = low
    return rows


def agree_in_each_row(student: torch.Tensor, teacher: torch.Tensor, divergence: str) -> None:
    got = fused(student, teacher, divergence=divergence)
    assert all(tensor.isfinite().all() for tensor in got)
    wanted = exact(student, teacher, divergence=divergence)
    for row in range(len(student)):
        agree([tensor[row] for tensor in got], [tensor[row] for tensor in wanted], student[row].clamp_min(-16))


@every_divergence
@pytest.mark.parametrize("low", [-math.inf, -300.0, -1e9, torch.finfo(torch.float32).min])
def test_finite_loss_with_nan_gradient_where_one_side_is_minus_infinity(divergence, low, path):
    """A filtered or constrained teacher, or such a student; also with a number written for −inf. The other side's mass
    there stays in the loss, and the pivot of the online KL forgets the fill of a tile that is read first."""
    student, teacher = pair(1, WIDE)
    student = teacher + 0.1 * student  # beyond ln 2 the online KL is not what gives the value
    if divergence != "forward_kl":
        agree_in_each_row(walled(student, low), teacher.expand(len(WALLS), -1), divergence)
    if divergence != "reverse_kl":
        agree_in_each_row(student.expand(len(WALLS), -1), walled(teacher, low), divergence)


@every_divergence
@pytest.mark.parametrize(
    ("low_student", "low_teacher"),
    [
        (-1e4, -1e9),
        (torch.finfo(torch.float32).min, torch.finfo(torch.bfloat16).min),  # their differences overflow in a sum
        (-1e4, -math.inf),  # the probabilities there are 0, even in fp64
        (-math.inf, -1e4),
    ],
)
def test_two_numbers_written_for_minus_infinity(divergence, low_student, low_teacher, path):
    student, teacher = pair(1, WIDE)
    student = teacher + 0.1 * student
    agree_in_each_row(walled(student, low_student), walled(teacher, low_teacher), divergence)


@pytest.mark.parametrize("divergence", KLS)
def test_an_infinite_kl_stays_infinite_through_the_tiles_that_follow(divergence, path):
    """Teacher −inf under reverse KL; under forward KL student −inf, whose gradient q − p is finite all the same."""
    student, teacher = pair(1, WIDE)
    side = teacher if divergence == "reverse_kl" else student
    side[:, 520] = -math.inf  # in the tile that is read first
    value, gradient = fused(student, teacher, divergence=divergence)
    assert value.isinf()
    if divergence == "forward_kl":
        torch.testing.assert_close(gradient, student.softmax(-1) - teacher.softmax(-1), rtol=1e-5, atol=1e-7)


@every_divergence
@pytest.mark.parametrize("special", [math.nan, math.inf, -math.inf])
def test_nan_and_infinity_are_not_swallowed(divergence, special, path):
    """A NaN loss beside a gradient of zeros looks like a student that has arrived. In each row but the last the value
    stands in one column, in one of the tile that V leaves over, or in all; on one side or on both."""
    student, teacher = pair(10, WIDE)
    places = itertools.product(
        (slice(5, 6), slice(520, 521), slice(None)), ((student,), (teacher,), (student, teacher))
    )
    for row, (columns, sides) in enumerate(places):
        for side in sides:
            side[row, columns] = special
    options = {"divergence": divergence, "beta": 0.3, "temperature": 2.0}
    wanted_value, wanted_gradient = exact(student, teacher, **options)
    assert wanted_value[-1].isfinite()
    for weight in (None, torch.tensor(1.0)):
        value, gradient = fused(student, teacher, weight=weight, **options)
        torch.testing.assert_close(value.double(), wanted_value, rtol=3e-6, atol=0, equal_nan=True)
        torch.testing.assert_close(gradient.double(), wanted_gradient, rtol=1e-4, atol=1e-6, equal_nan=True)


@a_kl_and_a_mixture
def test_int32_overflow_past_2_to_the_31_elements(divergence, path):
    """Row 1 begins 2³¹ + 64 elements after row 0, in memory that is reserved and never touched in between."""
    stride = 2**31 + 64
    storage = torch.empty(stride + WIDE, dtype=torch.bfloat16)
    student = storage.as_strided((2, WIDE), (stride, 1))
    values, teacher = (t.to(torch.bfloat16) for t in pair(2, WIDE))
    student.copy_(values)
    got, wanted = (fused(t, teacher, divergence=divergence) for t in (student, values))
    torch.testing.assert_close(got, wanted)
    assert got[0][0] != got[0][1]


LAYOUTS = {
    "next token's slice": lambda t: t[:, :-1],
    "shifted slice": lambda t: t[:, 1:],
    "time first": lambda t: t.transpose(0, 1),
    "cut vocabulary": lambda t: t[..., :-3],
    "three leading axes that do not fold": lambda t: t.view(2, 1, 4, WIDE)[:, :, 1:3].transpose(0, 2),
    "one row for all": lambda t: t[:1, :1].expand(3, 2, WIDE),
}


@a_kl_and_a_mixture
@pytest.mark.parametrize("layout", LAYOUTS)
def test_strided_or_transposed_logits_are_read_where_they_lie(divergence, layout, path, monkeypatch):
    student, teacher = (LAYOUTS[layout](t) for t in pair(2, 4, WIDE))
    mask = torch.arange(student[..., 0].numel()).view(student.shape[:-1]) % 3 != 1
    wanted = exact(student, teacher, divergence=divergence, mask=mask)
    contiguous = torch.Tensor.contiguous

    def small_only(tensor, *rest, **options):
        assert tensor.is_contiguous() or tensor.numel() <= mask.numel(), "a hidden copy of logits"
        return contiguous(tensor, *rest, **options)

    monkeypatch.setattr(torch.Tensor, "contiguous", small_only)
    agree(fused(student, teacher, divergence=divergence, mask=mask), wanted, student)


@st.composite
def layouts(draw) -> torch.Tensor:
    """Positions of any shape as a view of numbered memory: axes in any order, sliced, stepped over, repeated."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    margins = draw(st.lists(st.integers(0, 1), min_size=len(sizes), max_size=len(sizes)))
    steps = draw(st.lists(st.integers(1, 2), min_size=len(sizes), max_size=len(sizes)))
    whole = [margin + size * step for size, margin, step in zip(sizes, margins, steps, strict=True)]
    memory = torch.arange(math.prod(whole)).view(whole)
    cuts = tuple(slice(margin, None, step) for margin, step in zip(margins, steps, strict=True))
    view = memory[cuts].permute(draw(st.permutations(range(len(sizes)))))
    repeated = draw(st.integers(-1, len(sizes) - 1))
    return view if repeated < 0 else view.narrow(repeated, 0, 1).expand(view.shape)


@settings(max_examples=25, deadline=None)
@given(layout=layouts(), teacher_packed=st.booleans(), divergence=st.sampled_from(DIVERGENCES), late=st.booleans())
def test_any_strides_and_any_number_of_leading_axes(layout, teacher_packed, divergence, late):
    """The rows of both sides lie as `layout` lies in its memory; one side may be contiguous beside the other."""
    rows = int(layout.max()) + 1
    student, teacher = (
        memory.as_strided((*layout.shape, 9), (*(12 * stride for stride in layout.stride()), 1), 12 * offset)
        for memory, offset in zip(pair(12 * rows), (layout.storage_offset(), layout.storage_offset()), strict=True)
    )
    if teacher_packed:
        teacher = teacher.contiguous()
    mask = torch.arange(layout.numel()).view(layout.shape) % 4 != 1
    upstream = torch.linspace(-1, 2, layout.numel()).view(layout.shape)
    options = {"divergence": divergence, "beta": 0.3, "mask": mask}
    got = fused(student, teacher, upstream, weight=None if late else torch.tensor(0.5), **options)
    agree(got, exact(student, teacher, upstream, weight=1.0 if late else 0.5, **options), student, factor=2.0)


def test_a_last_axis_that_is_not_contiguous_is_copied_and_right(path):
    student, teacher = (t.transpose(0, 1) for t in pair(WIDE, 2))
    agree(fused(student, teacher, divergence="jsd"), exact(student, teacher, divergence="jsd"), student)


@every_divergence
def test_second_backward_on_a_retained_graph(divergence, path):
    """A gradient made in forward is given away at the first backward; later ones must not write into it."""
    student, teacher = pair(1, WIDE)
    student.requires_grad_()
    for weight in (None, torch.tensor(0.5)):
        loss = triton_softmax_kl(student, teacher, divergence=divergence, weight=weight).sum()
        (first,) = torch.autograd.grad(loss, student, retain_graph=True)
        kept = first.clone()
        (second,) = torch.autograd.grad(3 * loss, student)
        assert torch.equal(first, kept)
        torch.testing.assert_close(second, 3 * first, rtol=1e-5, atol=1e-9)


@a_kl_and_a_mixture
def test_in_place_gradient_leaves_the_logits_as_they_were(divergence, path):
    student, teacher = pair(1, WIDE)
    before = student.clone(), teacher.clone()
    for weight in (None, torch.tensor(0.5)):
        fused(student, teacher, 3.0, divergence=divergence, weight=weight)
        assert torch.equal(student, before[0])
        assert torch.equal(teacher, before[1])


def test_stride_0_upstream_gradient_of_sum_reaches_every_row(path):
    student, teacher = pair(3, WIDE)
    for weight in (None, torch.tensor(1.0)):
        leaf = student.clone().requires_grad_()
        triton_softmax_kl(leaf, teacher, divergence="forward_kl", weight=weight).sum().backward()
        torch.testing.assert_close(leaf.grad, student.softmax(-1) - teacher.softmax(-1), rtol=1e-4, atol=1e-7)


def test_fp16_gradients_wait_for_the_loss_scale(path):
    """Made in forward with a mean's weight they would have underflowed."""
    student, teacher = (t.half() for t in pair(2, WIDE, spread=0.5))
    weight = torch.tensor(1e-6)
    _, gradient = fused(student, teacher, 2.0**20, divergence="forward_kl", weight=weight)
    _, wanted = exact(student, teacher, 2.0**20, weight=1e-6, divergence="forward_kl")
    torch.testing.assert_close(gradient.double(), wanted, rtol=2e-3, atol=1e-7)


@a_kl_and_a_mixture
def test_bf16_logits_are_widened_before_the_maths(divergence, path):
    """Stored as bf16 log-probabilities they would cost per cents of the gradient, more as the student nears."""
    noise, teacher = pair(1, WIDE, spread=1.0)
    teacher = teacher.bfloat16()
    student = (teacher.float() + 0.05 * noise).bfloat16()
    got = fused(student.float(), teacher, divergence=divergence)[1]  # an fp32 leaf shows the gradient unrounded
    wanted = exact(student, teacher, divergence=divergence)[1]
    rounded = exact(student.log_softmax(-1), teacher.log_softmax(-1), divergence=divergence)[1]
    assert (got - wanted).norm() < 1e-5 * wanted.norm()
    assert (rounded - wanted).norm() > 1e-2 * wanted.norm()


def test_a_masked_row_is_not_read_even_where_it_is_nan(path):
    student, teacher = pair(3, WIDE)
    student[1], teacher[1] = math.nan, math.inf
    mask = torch.tensor([True, False, True])
    for weight in (None, torch.tensor(1.0)):
        value, gradient = fused(
            student, teacher, torch.tensor([1.0, math.inf, 1.0]), divergence="jsd", mask=mask, weight=weight
        )
        assert value[1] == 0
        assert gradient[1].eq(0).all()
        assert gradient.isfinite().all()


@every_divergence
def test_every_row_masked_reads_no_logit(divergence, path):
    student, teacher = pair(2, WIDE)
    mask = torch.zeros(2, dtype=torch.bool)
    for weight, rounds in ((None, 2), (torch.tensor(1.0), 1)):  # how often the mask itself is looked at
        with count_bytes() as traffic:
            value, gradient = fused(student, teacher, divergence=divergence, mask=mask, weight=weight)
        assert value.eq(0).all()
        assert gradient.eq(0).all()
        assert traffic.loaded <= 2 * rounds + 2 * (1 + 4)  # and `multiply_rows` at its factor


@pytest.mark.parametrize("shape", [(0, 5), (3, 0, 5)])
def test_no_position_at_all(shape):
    value, gradient = fused(*pair(*shape), divergence="jsd")
    assert value.shape == shape[:-1]
    assert gradient.shape == shape


def test_fp64_goes_to_the_reference():
    with pytest.raises(ValueError, match=r'student_logits have dtype torch.float64.*backend="reference"'):
        triton_softmax_kl(*(t.double() for t in pair(2, 3)), divergence="jsd")
