"""Each divergence against numbers worked out by hand, its limits, its closed-form gradient, and what always holds."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from kd_lab.how import forward_kl, jsd, reverse_kl, skew_kl, skew_reverse_kl, total_variation
from kd_lab.how.divergences import DIVERGENCES

ALL = [entry.function for entry in DIVERGENCES.values()]
MIXTURES = [entry.function for entry in DIVERGENCES.values() if entry.is_mixture]
INFINITY = math.inf


def log(*probabilities: float) -> torch.Tensor:
    return torch.tensor(probabilities, dtype=torch.float64).log()


def pair(seed: int, shape: tuple[int, ...] = (4, 7), spread: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, y = (spread * torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return x.requires_grad_(), y


# Student (½, ¼, ¼) and teacher (¼, ½, ¼): asymmetric enough that no two divergences agree by accident.
Q, P = (0.5, 0.25, 0.25), (0.25, 0.25, 0.5)
M = (0.375, 0.25, 0.375)


@pytest.mark.parametrize(
    ("divergence", "by_hand"),
    [
        # ¼·log(¼/½) + ¼·log(1) + ½·log(½/¼) = ¼·ln 2
        (lambda q, p: forward_kl(q, p), 0.25 * math.log(2)),
        (lambda q, p: reverse_kl(q, p), 0.25 * math.log(2)),
        # ½·(¼·log(2/3) + ½·log(4/3)) on each side
        (lambda q, p: jsd(q, p), 0.25 * math.log(2 / 3) + 0.5 * math.log(4 / 3)),
        (lambda q, p: skew_kl(q, p, beta=0.5), 0.25 * math.log(2 / 3) + 0.5 * math.log(4 / 3)),
        (lambda q, p: skew_reverse_kl(q, p, beta=0.5), 0.25 * math.log(2 / 3) + 0.5 * math.log(4 / 3)),
        (lambda q, p: total_variation(q, p), 0.25),
    ],
)
def test_three_tokens_by_hand(divergence, by_hand):
    assert divergence(log(*Q), log(*P)).item() == pytest.approx(by_hand, rel=1e-14)


@pytest.mark.parametrize(
    ("divergence", "by_hand"),
    [
        # q = (½, ½, 0), p = (¼, ½, ¼): the student may not say the third token, the teacher may.
        (lambda q, p: forward_kl(q, p), INFINITY),
        (lambda q, p: reverse_kl(q, p), 0.5 * math.log(2)),
        # m = ¾·p + ¼·q = (5/16, 8/16, 3/16)
        (
            lambda q, p: jsd(q, p, beta=0.75),
            0.75 * (0.25 * math.log(0.25 * 16 / 5) + 0.25 * math.log(0.25 * 16 / 3))
            + 0.25 * 0.5 * math.log(0.5 * 16 / 5),
        ),
        (lambda q, p: skew_kl(q, p, beta=0.75), 0.25 * math.log(0.25 * 16 / 5) + 0.25 * math.log(0.25 * 16 / 3)),
        (lambda q, p: skew_reverse_kl(q, p, beta=0.75), 0.5 * math.log(0.5 * 16 / 5)),
        (lambda q, p: total_variation(q, p), 0.25),
    ],
)
def test_an_impossible_token_by_hand(divergence, by_hand):
    assert divergence(log(0.5, 0.5, 0.0), log(0.25, 0.5, 0.25)).item() == pytest.approx(by_hand, rel=1e-14)


def test_direction_forward_is_teacher_first_in_the_formula():
    """F.kl_div(input, target) is KL(target‖input); forward KL is KL(teacher‖student), so the teacher is its target."""
    x, y = pair(0)
    student, teacher = x.log_softmax(-1), y.log_softmax(-1)
    torch_forward = torch.nn.functional.kl_div(student, teacher, log_target=True, reduction="none").sum(-1)
    torch.testing.assert_close(forward_kl(student, teacher), torch_forward, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(reverse_kl(teacher, student), torch_forward, rtol=1e-12, atol=1e-14)
    assert not torch.allclose(reverse_kl(student, teacher), torch_forward, rtol=1e-2)


@pytest.mark.parametrize("divergence", ALL)
def test_zero_at_equality_in_value_and_gradient(divergence):
    """A divergence and not a cross-entropy with the same gradient."""
    x, _ = pair(1)
    value = divergence(x.log_softmax(-1), x.detach().log_softmax(-1))
    assert value.abs().max() < 1e-15
    assert torch.autograd.grad(value.sum(), x)[0].abs().max() < 1e-15


def test_cross_entropy_has_the_gradient_of_forward_kl_and_not_its_value():
    x, y = pair(2)
    p = y.softmax(-1)
    cross_entropy = -(p * x.log_softmax(-1)).sum(-1)
    kl = forward_kl(x.log_softmax(-1), y.log_softmax(-1))
    torch.testing.assert_close(
        torch.autograd.grad(cross_entropy.sum(), x)[0], torch.autograd.grad(kl.sum(), x)[0], rtol=1e-12, atol=1e-14
    )
    entropy = -(p * p.log()).sum(-1)
    torch.testing.assert_close(cross_entropy - kl, entropy)
    assert entropy.min() > 0.1


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.8])
def test_jsd_is_the_sum_that_defines_it(beta):
    x, y = pair(3)
    q, p = x.softmax(-1), y.softmax(-1)
    m = beta * p + (1 - beta) * q
    defined = beta * (p * (p / m).log()).sum(-1) + (1 - beta) * (q * (q / m).log()).sum(-1)
    torch.testing.assert_close(jsd(q.log(), p.log(), beta), defined, rtol=1e-12, atol=1e-14)


def test_jsd_of_one_half_is_symmetric_and_others_are_mirrored():
    x, y = (logits.log_softmax(-1) for logits in pair(4))
    torch.testing.assert_close(jsd(x, y), jsd(y, x))
    torch.testing.assert_close(jsd(x, y, 0.3), jsd(y, x, 0.7))
    assert not torch.allclose(jsd(x, y, 0.3), jsd(y, x, 0.3), rtol=1e-3)


def test_jsd_vanishes_at_both_ends_and_only_its_quotients_are_the_kls():
    x, y = (logits.log_softmax(-1) for logits in pair(5))
    small = 1e-7
    assert jsd(x, y, small).max() < 1e-5
    assert jsd(x, y, 1 - small).max() < 1e-5
    torch.testing.assert_close(jsd(x, y, small) / small, forward_kl(x, y), rtol=1e-4, atol=0)
    torch.testing.assert_close(jsd(x, y, 1 - small) / small, reverse_kl(x, y), rtol=1e-4, atol=0)


def test_skew_kl_tends_to_forward_kl():
    x, y = (logits.log_softmax(-1) for logits in pair(6))
    torch.testing.assert_close(skew_kl(x, y, 1e-8), forward_kl(x, y), rtol=1e-5, atol=0)


def test_skew_reverse_kl_is_skew_kl_with_the_two_exchanged_and_tends_to_reverse_kl():
    x, y = (logits.log_softmax(-1) for logits in pair(6))
    torch.testing.assert_close(skew_reverse_kl(x, y, 0.8), skew_kl(y, x, 0.2))
    torch.testing.assert_close(skew_reverse_kl(x, y, 1 - 1e-8), reverse_kl(x, y), rtol=1e-5, atol=0)


@pytest.mark.parametrize("divergence", MIXTURES)
@pytest.mark.parametrize(("beta", "instead"), [(0, "forward_kl"), (1, "reverse_kl"), (-0.1, "0 < beta < 1")])
def test_beta_at_the_ends_is_refused_with_what_to_use(divergence, beta, instead):
    x, y = (logits.log_softmax(-1) for logits in pair(7))
    if (divergence, beta) in [(skew_kl, 1), (skew_reverse_kl, 0)]:
        instead = "always 0"
    with pytest.raises(ValueError, match=instead):
        divergence(x, y, beta)


GRADIENTS = {
    forward_kl: lambda q, p, beta: q - p,
    reverse_kl: lambda q, p, beta: q * ((q / p).log() - (q * (q / p).log()).sum(-1, keepdim=True)),
    jsd: lambda q, p, beta: (
        (1 - beta) * q * ((q / mix(q, p, beta)).log() - (q * (q / mix(q, p, beta)).log()).sum(-1, keepdim=True))
    ),
    skew_kl: lambda q, p, beta: (
        (1 - beta) * q * ((q * p / mix(q, p, beta)).sum(-1, keepdim=True) - p / mix(q, p, beta))
    ),
    skew_reverse_kl: lambda q, p, beta: (
        q * (skew_reverse_slope(q, p, beta) - (q * skew_reverse_slope(q, p, beta)).sum(-1, keepdim=True))
    ),
    total_variation: lambda q, p, beta: q / 2 * ((q - p).sign() - (q * (q - p).sign()).sum(-1, keepdim=True)),
}


def mix(q: torch.Tensor, p: torch.Tensor, beta: float) -> torch.Tensor:
    return beta * p + (1 - beta) * q


def skew_reverse_slope(q: torch.Tensor, p: torch.Tensor, beta: float) -> torch.Tensor:
    return (q / mix(q, p, beta)).log() - (1 - beta) * q / mix(q, p, beta)


@pytest.mark.parametrize("beta", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("divergence", ALL)
def test_gradient_is_the_closed_form(divergence, beta):
    x, y = pair(8)
    arguments = (beta,) if divergence in MIXTURES else ()
    value = divergence(x.log_softmax(-1), y.log_softmax(-1), *arguments)
    closed = GRADIENTS[divergence](x.detach().softmax(-1), y.softmax(-1), beta)
    torch.testing.assert_close(torch.autograd.grad(value.sum(), x)[0], closed, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("divergence", [forward_kl, reverse_kl, *MIXTURES])
def test_second_derivatives_are_right_too(divergence):
    x, y = pair(9, (2, 4))
    teacher = y.log_softmax(-1)
    assert torch.autograd.gradgradcheck(lambda logits: divergence(logits.log_softmax(-1), teacher), x)


@pytest.mark.parametrize("divergence", ALL)
def test_the_same_masked_vocabulary_on_both_sides_changes_nothing(divergence):
    """−inf in the same column of both is 0·log(0/0) = 0, and no NaN in the gradient."""
    x, y = pair(10, (3, 5))
    plain = divergence(x.log_softmax(-1), y.log_softmax(-1))
    wall = torch.full((3, 2), -INFINITY, dtype=torch.float64)
    masked = divergence(torch.cat([x, wall], -1).log_softmax(-1), torch.cat([y, wall], -1).log_softmax(-1))
    torch.testing.assert_close(masked, plain)
    torch.testing.assert_close(torch.autograd.grad(masked.sum(), x)[0], torch.autograd.grad(plain.sum(), x)[0])


@pytest.mark.parametrize("divergence", ALL)
@pytest.mark.parametrize("impossible_to", ["student", "teacher"])
def test_gradient_is_finite_wherever_the_value_is(divergence, impossible_to):
    x = torch.tensor([1.0, -0.5, -INFINITY if impossible_to == "student" else 0.3], dtype=torch.float64)
    y = torch.tensor([0.2, 0.7, -INFINITY if impossible_to == "teacher" else 0.1], dtype=torch.float64)
    x.requires_grad_()
    value = divergence(x.log_softmax(-1), y.log_softmax(-1))
    gradient = torch.autograd.grad(value, x)[0]
    assert not value.isnan()
    truly_infinite = (divergence, impossible_to) in [(forward_kl, "student"), (reverse_kl, "teacher")]
    assert value.isinf() == truly_infinite
    if not truly_infinite or divergence is forward_kl:  # q − p is finite even there
        assert gradient.isfinite().all()


@pytest.mark.parametrize("divergence", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_probabilities_that_underflow(divergence, dtype):
    """log(P + Q) is log 0 where both underflow; the logarithm of the mixture must be made in log space."""
    x = torch.tensor([0.0, -2000.0, -1990.0], dtype=dtype, requires_grad=True)
    y = torch.tensor([0.0, -1995.0, -2005.0], dtype=dtype)
    value = divergence(x.log_softmax(-1), y.log_softmax(-1))
    assert value.item() == 0
    assert torch.autograd.grad(value, x)[0].eq(0).all()


@pytest.mark.parametrize("divergence", ALL)
def test_near_equality_single_precision_keeps_its_digits_and_its_sign(divergence):
    generator = torch.Generator().manual_seed(11)
    y = torch.randn(8, 20_000, generator=generator)
    x = y + 0.01 * torch.randn(8, 20_000, generator=generator)
    exact = divergence(x.double().log_softmax(-1), y.double().log_softmax(-1))
    single = divergence(x.log_softmax(-1), y.log_softmax(-1))
    assert single.min() >= 0
    torch.testing.assert_close(single.double(), exact, rtol=1e-2, atol=0)


def test_bounds():
    q, p = log(1.0, 0.0), log(0.0, 1.0)
    assert jsd(q, p, 0.3).item() == pytest.approx(-0.3 * math.log(0.3) - 0.7 * math.log(0.7))
    assert skew_kl(q, p, 0.1).item() == pytest.approx(-math.log(0.1))
    assert skew_reverse_kl(q, p, 0.9).item() == pytest.approx(-math.log(0.1))
    assert total_variation(q, p).item() == 1


def test_the_table_names_the_functions_and_only_what_reads_beta_gets_it():
    x, y = (logits.log_softmax(-1) for logits in pair(12))
    for name, entry in DIVERGENCES.items():
        assert entry.name == name == entry.function.__name__
        extra = (0.3,) if entry.is_mixture else ()
        torch.testing.assert_close(entry(x, y, 0.3), entry.function(x, y, *extra))
    assert [name for name, entry in DIVERGENCES.items() if entry.is_kl] == ["forward_kl", "reverse_kl"]
    assert [name for name, entry in DIVERGENCES.items() if not entry.carries_t2] == ["total_variation"]
    assert DIVERGENCES["jsd"].title(0.25) == "JSD(0.25)"
    assert DIVERGENCES["reverse_kl"].title(0.25) == "reverse KL"
    assert [DIVERGENCES["jsd"].scale(2.0, scale_by_t2) for scale_by_t2 in (True, False)] == [4, 1]
    assert DIVERGENCES["total_variation"].scale(2.0) == 1


@pytest.mark.parametrize("divergence", ALL)
def test_a_batch_of_one_does_not_broadcast(divergence):
    one, many = torch.zeros(1, 3).log_softmax(-1), torch.zeros(4, 3).log_softmax(-1)
    with pytest.raises((ValueError, TypeCheckError), match="shape"):
        divergence(one, many)


logits = st.lists(st.floats(-30, 30), min_size=5, max_size=5).map(lambda row: torch.tensor(row, dtype=torch.float64))


@settings(max_examples=60, deadline=None)
@given(x=logits, y=logits, beta=st.floats(0.01, 0.99), shift=st.floats(-50, 50))
def test_what_holds_for_every_pair(x, y, beta, shift):
    student, teacher = x.log_softmax(-1), y.log_softmax(-1)
    values = torch.stack(
        [
            forward_kl(student, teacher),
            reverse_kl(student, teacher),
            jsd(student, teacher, beta),
            skew_kl(student, teacher, beta),
            skew_reverse_kl(student, teacher, beta),
            total_variation(student, teacher),
        ]
    )
    assert values.min() >= -1e-14  # rounding, and nothing more
    assert values[2] <= -beta * math.log(beta) - (1 - beta) * math.log(1 - beta) + 1e-12
    assert values[3] <= -math.log(beta) + 1e-12
    assert values[4] <= -math.log1p(-beta) + 1e-12
    assert values[5] <= 1 + 1e-12
    assert values[5] ** 2 <= values[:2].min() / 2 + 1e-12  # Pinsker
    shifted = (x + shift).log_softmax(-1)
    torch.testing.assert_close(jsd(shifted, teacher, beta), values[2], rtol=1e-9, atol=1e-12)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(forward_kl(student[order], teacher[order]), values[0], rtol=1e-9, atol=1e-12)
