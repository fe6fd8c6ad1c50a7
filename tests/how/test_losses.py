"""The choices of a recipe that compare distributions or tokens: what they mix, what they refuse, and in which dtype."""

import pytest
import torch
import torch.nn.functional as F

from kd_lab.contracts import Head
from kd_lab.how import Divergence, NegativeLogLikelihood, PolicyGradient, skew_reverse_kl, softmax_kl, top_k
from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.feature_losses import SquaredError
from kd_lab.worlds import Batch

P = torch.tensor([0.5, 0.25, 0.25], dtype=torch.float64)
Q = torch.tensor([0.125, 0.125, 0.75], dtype=torch.float64)
BATCH = Batch(torch.tensor([[0, 1, 2, 0]]), torch.tensor([[True, True, False]]))


def logits(seed: int, vocabulary: int = 40, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(1, 3, vocabulary, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_divergence_is_softmax_kl_and_says_its_name(divergence):
    how = Divergence(divergence, beta=0.3, temperature=2.0)
    expected = softmax_kl(logits(0), logits(1), divergence=divergence, beta=0.3, temperature=2.0, mask=BATCH.mask)
    torch.testing.assert_close(how(logits(0), logits(1), BATCH), expected)
    assert str(how) == DIVERGENCES[divergence].title(0.3) + ", τ = 2"


def test_labels_are_mixed_in_by_their_share():
    student, teacher = logits(0), logits(1)
    gap = softmax_kl(student, teacher, temperature=2.0, mask=BATCH.mask)
    labels = F.cross_entropy(student[0, :2], torch.tensor([1, 2]))
    for share in (0.0, 0.25, 1.0):
        how = Divergence(temperature=2.0, label_weight=share)
        torch.testing.assert_close(how(student, teacher, BATCH), (1 - share) * gap + share * labels)
        assert how.reads_labels == (share > 0)
    torch.testing.assert_close(NegativeLogLikelihood()(student, BATCH.targets, BATCH), labels)
    assert NegativeLogLikelihood.reads_labels


@pytest.mark.parametrize("hold_mixture", [False, True])
def test_a_held_mixture_changes_no_value(hold_mixture):
    student = torch.stack([Q, P, Q]).log()[None].requires_grad_()
    teacher = torch.stack([P, P, Q * 0 + 1 / 3]).log()[None]
    loss = Divergence("skew_reverse_kl", beta=0.9, hold_mixture=hold_mixture)(student, teacher, BATCH)
    assert loss.item() == pytest.approx(skew_reverse_kl(Q.log(), P.log(), 0.9).item() / 2)
    loss.backward()
    assert student.grad[0, 2].abs().sum() == 0


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_held_mixture_gets_no_gradient(temperature):
    # ∇_logits τ²·Σ q·log(q/m) at a fixed m is τ·q·(log(q/m) − KL)
    student = (temperature * Q.log()).expand(1, 3, 3).clone().requires_grad_()
    teacher = (temperature * P.log()).expand(1, 3, 3)
    Divergence("skew_reverse_kl", beta=0.9, temperature=temperature, hold_mixture=True)(
        student, teacher, BATCH
    ).backward()
    ratio = (Q / (0.9 * P + 0.1 * Q)).log()
    torch.testing.assert_close(student.grad[0, 0], temperature * Q * (ratio - (Q * ratio).sum()) / 2)


@pytest.mark.parametrize(
    "how",
    [
        *(Divergence(divergence, beta=0.7, label_weight=0.3) for divergence in DIVERGENCES),
        Divergence("skew_reverse_kl", beta=0.9, hold_mixture=True),
    ],
    ids=str,
)
def test_bf16_logits_get_full_precision_arithmetic(how):
    """A log-softmax in bf16 was off by a tenth."""
    student, teacher = logits(0, 400, torch.bfloat16), logits(1, 400, torch.bfloat16)
    loss = how(student, teacher, BATCH)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), how(student.double(), teacher.double(), BATCH), rtol=1e-5, atol=0)


def test_the_likelihood_of_bf16_logits_is_taken_in_full_precision():
    student = logits(0, 400, torch.bfloat16)
    loss = NegativeLogLikelihood()(student, BATCH.targets, BATCH)
    exact = NegativeLogLikelihood()(student.double(), BATCH.targets, BATCH)
    torch.testing.assert_close(loss.double(), exact, rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"divergence": "kl"}, "'kl'; expected one of 'forward_kl'"),
        ({"divergence": "skew_reverse_kl", "beta": 1.0}, "expected 0 < beta < 1"),
        ({"divergence": "jsd", "beta": 1.2}, "expected 0 < beta < 1"),
        ({"temperature": 0.0}, "expected a positive number"),
        ({"label_weight": 1.5}, "a share between 0 and 1"),
        ({"divergence": "jsd", "hold_mixture": True}, 'expected "skew_reverse_kl"'),
    ],
)
def test_what_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        Divergence(**options)


@pytest.mark.parametrize("label_weight", [0.0, 0.4])
def test_a_divergence_of_heads_is_that_of_their_logits_with_scale_cap_and_labels(label_weight):
    generator = torch.Generator().manual_seed(0)
    sides = [
        Head(
            torch.randn(2, 3, width, generator=generator),
            torch.randn(7, width, generator=generator),
            logit_scale=scale,
            softcap=cap,
        )
        for width, scale, cap in ((4, 0.5, 3.0), (5, 1.0, None))
    ]
    batch = Batch(torch.randint(7, (2, 4), generator=generator), torch.tensor([[True] * 3, [True, False, True]]))
    how = Divergence("jsd", temperature=2.0, label_weight=label_weight)
    logits = [head.logits() for head in sides]
    torch.testing.assert_close(how(*sides, batch), how(*logits, batch))


HOWS = [
    *(Divergence(divergence, beta=0.3, temperature=2.0, label_weight=0.2) for divergence in DIVERGENCES),
    Divergence("skew_reverse_kl", beta=0.9, hold_mixture=True),
]


@pytest.mark.parametrize("how", HOWS, ids=str)
def test_a_normalizer_takes_the_place_of_the_count(how):
    """Two positions count. Without it, gradient accumulation would weigh a short part like a long one."""
    whole = how(logits(0), logits(1), BATCH)
    torch.testing.assert_close(how(logits(0), logits(1), BATCH, normalizer=8), whole / 4)


def test_heads_and_a_whole_cache_are_the_logits_that_they_stand_for():
    generator = torch.Generator().manual_seed(0)
    factors = [torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((1, 3, 4), (9, 4)) * 2]
    student, teacher = factors[0] @ factors[1].T, factors[2] @ factors[3].T
    how = Divergence("jsd", beta=0.3)
    expected = how(student, teacher, BATCH, normalizer=5)
    torch.testing.assert_close(how(Head(*factors[:2]), Head(*factors[2:]), BATCH, normalizer=5), expected)
    torch.testing.assert_close(how(student, top_k(teacher, 9), BATCH, normalizer=5), expected)
    held = Divergence("skew_reverse_kl", beta=0.9, hold_mixture=True)
    with pytest.raises(ValueError, match="hold_mixture came with a signal other than logits"):
        held(student, top_k(teacher, 9), BATCH)


def test_labels_alone_do_not_see_a_gap_without_bound():
    """A teacher that is certain of its one kept token: reverse KL to it is infinite, and 0·∞ is NaN."""
    student = logits(0).requires_grad_()
    certain = logits(1).masked_fill(torch.arange(40) > 0, -torch.inf)
    assert Divergence("reverse_kl")(student, top_k(certain, 1), BATCH).item() == torch.inf
    loss = Divergence("reverse_kl", label_weight=1.0)(student, top_k(certain, 1), BATCH)
    labels = NegativeLogLikelihood()(student, BATCH.targets, BATCH)
    torch.testing.assert_close(loss, labels)
    torch.testing.assert_close(torch.autograd.grad(loss, student), torch.autograd.grad(labels, student))


def of_tokens(student, teacher, batch):
    return NegativeLogLikelihood()(student, batch.targets, batch)


def of_features(student, teacher, batch):
    """The first three columns are the features, so that both terms reach the student."""
    return SquaredError()((student[..., :3], student), teacher[..., :3], batch)


def of_heads(student, teacher, batch):
    identity = torch.eye(student.shape[-1], dtype=student.dtype)
    return Divergence("jsd", label_weight=0.2)(Head(student, identity), Head(teacher, identity), batch)


def of_a_cache(student, teacher, batch):
    return Divergence("jsd", label_weight=0.2)(student, top_k(logits(1), 5), batch)


MASKED = [*HOWS, PolicyGradient(), PolicyGradient(single_step=False), of_tokens, of_features, of_heads, of_a_cache]


@pytest.mark.parametrize("junk", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("how", MASKED, ids=lambda how: getattr(how, "__name__", str(how)))
def test_what_stands_at_a_masked_position_reaches_neither_value_nor_gradient(how, junk):
    sides = [logits(seed).requires_grad_(seed == 0) for seed in (0, 1)]
    spoiled = [
        side.detach().masked_fill(~BATCH.mask[..., None], junk).requires_grad_(side.requires_grad) for side in sides
    ]
    clean, loss = how(*sides, BATCH), how(*spoiled, BATCH)
    torch.testing.assert_close(loss, clean)
    torch.testing.assert_close(torch.autograd.grad(loss, spoiled[0]), torch.autograd.grad(clean, sides[0]))
