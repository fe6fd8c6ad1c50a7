"""The six divergences, on log-probabilities: exact, safe at probability zero, and never negative.

p is the teacher, q the student; every function takes the student first. All return nats per position and keep the
gradient finite wherever the mathematics is. `DIVERGENCES`, at the end, is the table by which all other code finds them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import unwrap

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.how.log_probabilities import of_log_probabilities
from kd_lab.how.traits import TRAITS, Traits


@of_log_probabilities
def forward_kl(student_logp: Float[Tensor, "... V"], teacher_logp: Float[Tensor, "... V"]) -> Float[Tensor, "..."]:
    """The student's surprise at the teacher's text, beyond the teacher's own surprise.

    KL(p‖q) = Σ p·log(p/q)

    Zero iff q = p. Infinite when the student gives probability 0 to what the teacher may say. The gradient flows to
    every token with p > 0 or q > 0 and is q − p with respect to the student's logits: a student is pushed to cover all
    that the teacher does.

    Args:
        student_logp, teacher_logp: log q and log p, normalised over the last axis (nats); −inf means impossible.

    Returns:
        The divergence at each position, in nats.

    Raises:
        ValueError: the shapes differ.

    Source: Kullback and Leibler, "On information and sufficiency", 1951, equation 2.4.

    >>> p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.5, 0.25])
    >>> forward_kl(q.log(), p.log())  # ½·ln 2
    tensor(0.3466)
    """
    return _kl(teacher_logp, student_logp)


@of_log_probabilities
def reverse_kl(student_logp: Float[Tensor, "... V"], teacher_logp: Float[Tensor, "... V"]) -> Float[Tensor, "..."]:
    """The teacher's surprise at the student's text, beyond the student's own surprise.

    KL(q‖p) = Σ q·log(q/p)

    Zero iff q = p. Infinite when the student may say what the teacher never would (p = 0 < q); the gradient of such a
    position does not exist and comes out infinite or NaN, so mask it, or give both the same −inf columns. The gradient
    flows only to tokens with q > 0 and is q·(log(q/p) − KL) with respect to the student's logits: what the student
    never says is never taught.

    Args:
        student_logp, teacher_logp: log q and log p, normalised over the last axis (nats); −inf means impossible.

    Returns:
        The divergence at each position, in nats.

    Raises:
        ValueError: the shapes differ.

    Source: Gu et al., "MiniLLM: Knowledge Distillation of Large Language Models", 2306.08543, equation 1.

    >>> p, q = torch.tensor([0.25, 0.5, 0.25]), torch.tensor([0.5, 0.5, 0.0])
    >>> reverse_kl(q.log(), p.log())  # ½·ln 2
    tensor(0.3466)
    """
    return _kl(student_logp, teacher_logp)


@of_log_probabilities
def jsd(
    student_logp: Float[Tensor, "... V"], teacher_logp: Float[Tensor, "... V"], beta: float = 0.5
) -> Float[Tensor, "..."]:
    """The generalised Jensen–Shannon divergence: the distance of both from their mixture.

    JSD(β) = β·KL(p‖m) + (1−β)·KL(q‖m),  m = βp + (1−β)q,  0 < β < 1

    Zero iff q = p. Never infinite: at most −β·ln β − (1−β)·ln(1−β), which is ln 2 at β = ½. The gradient flows to
    tokens with q > 0 and is (1−β)·q·(log(q/m) − KL(q‖m)) with respect to the student's logits. JSD(β) itself vanishes
    towards both ends; JSD(β)/β tends to KL(p‖q) as β → 0, and JSD(β)/(1−β) to KL(q‖p) as β → 1.

    Args:
        student_logp, teacher_logp: log q and log p, normalised over the last axis (nats); −inf means impossible.
        beta: the teacher's share in the mixture and of the sum; ½ is the symmetric divergence.

    Returns:
        The divergence at each position, in nats.

    Raises:
        ValueError: the shapes differ, or `beta` is not strictly between 0 and 1.

    Source: Agarwal et al., "On-Policy Distillation of Language Models", 2306.13649, equation 1.

    >>> p, q = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.5, 0.5])
    >>> jsd(q.log(), p.log())  # nothing in common: ln 2
    tensor(0.6931)
    """
    DIVERGENCES["jsd"].check_beta(beta)
    mixture_logp = mixture(student_logp, teacher_logp, beta)
    return beta * _kl(teacher_logp, mixture_logp) + (1 - beta) * _kl(student_logp, mixture_logp)


@of_log_probabilities
def skew_kl(
    student_logp: Float[Tensor, "... V"], teacher_logp: Float[Tensor, "... V"], beta: float = 0.1
) -> Float[Tensor, "..."]:
    """Forward KL against a student into which a little of the teacher was mixed.

    KL(p‖m),  m = βp + (1−β)q,  0 < β < 1

    Zero iff q = p. Never infinite: at most −ln β. β is the teacher's share of m, as in `jsd` (DistiLLM calls it α and
    uses 0.1); β → 0 is forward KL. The gradient flows to tokens with q > 0 and is (1−β)·q·(Σ p·q/m − p/m) with respect
    to the student's logits.

    Args:
        student_logp, teacher_logp: log q and log p, normalised over the last axis (nats); −inf means impossible.
        beta: the teacher's share in the mixture.

    Returns:
        The divergence at each position, in nats.

    Raises:
        ValueError: the shapes differ, or `beta` is not strictly between 0 and 1.

    Source: Ko et al., "DistiLLM: Towards Streamlined Distillation for Large Language Models", 2402.03898, section 3.1.

    >>> p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    >>> skew_kl(q.log(), p.log(), beta=0.5)  # as far as it goes: −ln β
    tensor(0.6931)
    """
    DIVERGENCES["skew_kl"].check_beta(beta)
    return _kl(teacher_logp, mixture(student_logp, teacher_logp, beta))


@of_log_probabilities
def skew_reverse_kl(
    student_logp: Float[Tensor, "... V"], teacher_logp: Float[Tensor, "... V"], beta: float = 0.9
) -> Float[Tensor, "..."]:
    """Reverse KL against a teacher into which a little of the student was mixed.

    KL(q‖m),  m = βp + (1−β)q,  0 < β < 1

    `skew_kl` with the two exchanged. Zero iff q = p. Never infinite: at most −ln(1−β). β is the teacher's share of m,
    as everywhere here (DistiLLM names the student's, 0.1); β → 1 is reverse KL. The gradient flows to tokens with q > 0
    and is q·(h − Σ q·h) with respect to the student's logits, where h = log(q/m) − (1−β)·q/m.

    Args:
        student_logp, teacher_logp: log q and log p, normalised over the last axis (nats); −inf means impossible.
        beta: the teacher's share in the mixture.

    Returns:
        The divergence at each position, in nats.

    Raises:
        ValueError: the shapes differ, or `beta` is not strictly between 0 and 1.

    Source: Ko et al., "DistiLLM: Towards Streamlined Distillation for Large Language Models", 2402.03898, section 3.1.

    >>> p, q = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    >>> skew_reverse_kl(q.log(), p.log(), beta=0.5)  # as far as it goes: −ln(1 − β)
    tensor(0.6931)
    """
    DIVERGENCES["skew_reverse_kl"].check_beta(beta)
    return _kl(student_logp, mixture(student_logp, teacher_logp, beta))


@of_log_probabilities
def total_variation(student_logp: Float[Tensor, "... V"], teacher_logp: Float[Tensor, "... V"]) -> Float[Tensor, "..."]:
    """The probability that moves: the chance that an optimal coupling of the two draws different tokens.

    TV = ½·Σ|p − q|

    Zero iff q = p. Never infinite: at most 1, for distributions with nothing in common. The gradient flows to tokens
    with q > 0 and is ½·q·(σ − Σ q·σ) with respect to the student's logits, where σ = sign(q − p). It is the rate at
    which speculative decoding rejects.

    Args:
        student_logp, teacher_logp: log q and log p, normalised over the last axis (nats); −inf means impossible.

    Returns:
        The distance at each position, a probability (the one divergence here that is not in nats).

    Raises:
        ValueError: the shapes differ.

    Source: Wen et al., "f-Divergence Minimization for Sequence-Level Knowledge Distillation", 2307.15190, section 3.

    >>> p, q = torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.25, 0.5, 0.25])
    >>> total_variation(q.log(), p.log())
    tensor(0.2500)
    """
    gap = student_logp.exp() - teacher_logp.exp()
    return (gap * (gap.detach().sign() + 0 * gap.detach())).sum(-1) / 2  # NaN's sign is 0, and so is abs()'s gradient


def _kl(logp: Tensor, logq: Tensor) -> Tensor:
    """Σ p·log(p/q) − p + q, whose every term is at least 0.

    The last two sum to nothing for normalised p and q. They are here because they cancel, to first order, whatever
    constant error the normalisation left in log(p/q): near q = p, where KL is second order, the bare sum p·log(p/q)
    keeps nothing but that error and turns negative.
    """
    p = logp.exp()
    absent = p == 0  # it contributes q alone; 0·∞ must not arise, neither in the value nor in its gradient
    log_ratio = torch.where(absent, 0.0, logp) - torch.where(absent, 0.0, logq)
    divergence = (p * log_ratio - p + logq.exp()).sum(-1)
    return divergence - divergence.detach().clamp_max(0)  # what rounding leaves below 0; the gradient stays as it is


def mixture(
    student_logp: Float[Tensor, "... V"], teacher_logp: Float[Tensor, "... V"], beta: float
) -> Float[Tensor, "... V"]:
    """log(βp + (1−β)q), in log space: β·p + (1−β)·q itself would underflow to log 0."""
    absent = (student_logp == -math.inf) & (teacher_logp == -math.inf)  # logaddexp(−inf, −inf) has a NaN gradient
    teacher_part = torch.where(absent, 0.0, teacher_logp) + math.log(beta)
    student_part = torch.where(absent, 0.0, student_logp) + math.log1p(-beta)
    return torch.where(absent, -math.inf, torch.logaddexp(teacher_part, student_part))


@dataclass(frozen=True)
class Entry(Traits):
    """One divergence: its traits, and its formula."""

    function: Callable[..., Tensor] = field(kw_only=True)

    def __call__(
        self, student_logp: Float[Tensor, "... V"], teacher_logp: Float[Tensor, "... V"], beta: float
    ) -> Float[Tensor, "..."]:
        """The divergence at each position, in nats; `beta` is read by the mixtures alone."""
        return self.function(student_logp, teacher_logp, *([beta] if self.is_mixture else []))

    def formula(self, student_logp: Tensor, teacher_logp: Tensor, beta: float) -> Tensor:
        """The same without a check, for log-probabilities that a softmax has just given."""
        return unwrap(self.function)(student_logp, teacher_logp, *([beta] if self.is_mixture else []))


DIVERGENCES = {
    one.__name__: Entry(**vars(TRAITS[one.__name__]), function=one)
    for one in (forward_kl, reverse_kl, jsd, skew_kl, skew_reverse_kl, total_variation)
}
"""The divergences by the name that `softmax_kl(divergence=…)` takes."""
