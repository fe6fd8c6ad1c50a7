"""Single-sample estimates of reverse KL, from tokens that the student drew: as values, and what they do as losses.

With r = log p(x) − log q(x) and x ~ q, all three have the same expectation, KL(q‖p), or nearly so; as losses, with
the sample held fixed, they have three different gradients. A single-sample estimate is good for reading the
divergence off; only k2 is a loss for reverse KL.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.arguments import checked
from kd_lab.how.log_probabilities import check_logp


@checked
def k1(student_logp: Float[Tensor, "..."], teacher_logp: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """−r: unbiased, of high variance, and negative for half of the samples near q = p.

    k1 = log q(x) − log p(x),  E k1 = KL(q‖p),  E ∇k1 = 0

    Its gradient as a loss is the score ∇log q(x), whose expectation is zero: minimising it teaches nothing.

    Args:
        student_logp, teacher_logp: log-probabilities of the sampled tokens, x ~ q (nats).

    Returns:
        The estimate for each sample, in nats.

    Source: Schulman, "Approximating KL Divergence", 2020, http://joschu.net/blog/kl-approx.html.

    >>> k1(torch.tensor(0.5).log(), torch.tensor(0.25).log())
    tensor(0.6931)
    """
    return -_log_ratio(student_logp, teacher_logp)


@checked
def k2(student_logp: Float[Tensor, "..."], teacher_logp: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """½r²: never negative, of low variance, biased by the third order of r.

    k2 = ½·(log q(x) − log p(x))²,  E k2 ≈ KL(q‖p),  E ∇k2 = ∇KL(q‖p)

    Its gradient as a loss is −r·∇log q(x), the score-function gradient of reverse KL, without any bias.

    Args:
        student_logp, teacher_logp: log-probabilities of the sampled tokens, x ~ q (nats).

    Returns:
        The estimate for each sample, in nats.

    Source: Schulman, "Approximating KL Divergence", 2020, http://joschu.net/blog/kl-approx.html.

    >>> k2(torch.tensor(0.5).log(), torch.tensor(0.25).log())  # ½·(ln 2)²
    tensor(0.2402)
    """
    return _log_ratio(student_logp, teacher_logp).square() / 2


@checked
def k3(student_logp: Float[Tensor, "..."], teacher_logp: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """e^r − 1 − r: never negative, of low variance near q = p, and unbiased as a value.

    k3 = p(x)/q(x) − 1 − log(p(x)/q(x)),  E k3 = KL(q‖p),  E ∇k3 = ∇KL(p‖q)

    Its gradient as a loss is (1 − p/q)·∇log q(x), which is that of the *forward* KL, importance-weighted from q. The
    value is unbiased where q covers p, and its variance is finite only where Σ p²/q is.

    Args:
        student_logp, teacher_logp: log-probabilities of the sampled tokens, x ~ q (nats).

    Returns:
        The estimate for each sample, in nats.

    Source: Schulman, "Approximating KL Divergence", 2020, http://joschu.net/blog/kl-approx.html.

    >>> k3(torch.tensor(0.5).log(), torch.tensor(0.25).log())  # ½ − 1 + ln 2
    tensor(0.1931)
    """
    log_ratio = _log_ratio(student_logp, teacher_logp)
    return torch.expm1(log_ratio) - log_ratio


def _log_ratio(student_logp: Tensor, teacher_logp: Tensor) -> Tensor:
    """r = log p(x) − log q(x), in fp32 at least."""
    check_logp(student_logp, teacher_logp)
    dtype = torch.promote_types(torch.promote_types(student_logp.dtype, teacher_logp.dtype), torch.float32)
    return teacher_logp.to(dtype) - student_logp.to(dtype)
