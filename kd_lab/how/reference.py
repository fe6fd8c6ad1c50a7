"""softmax_kl as the formula says it: every backend must agree with this one, in value and in gradient."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kd_lab.how.divergences import forward_kl, jsd, reverse_kl, skew_kl, total_variation


def reference_softmax_kl(
    student_logits: Float[Tensor, "... V"],
    teacher_logits: Float[Tensor, "... V"],
    *,
    divergence: str,
    beta: float,
    temperature: float,
    scale_by_t2: bool,
    mask: Bool[Tensor, "..."] | None,
) -> Float[Tensor, "..."]:
    """The loss at each position, by log_softmax and autograd; in fp64 for fp64 logits and in fp32 for all others.

    Only rows that count are computed. The others are 0 and get no gradient, whatever their logits are.

    Args:
        student_logits, teacher_logits: raw logits; the teacher's get no gradient.
        divergence, beta, temperature, scale_by_t2: as in `softmax_kl`, and valid.
        mask: True where a position counts; None counts them all.

    Returns:
        τ²·D(softmax(student/τ), softmax(teacher/τ)) at each position, in nats; without τ² for total variation.
    """
    counted = slice(None) if mask is None else mask
    dtype = torch.promote_types(torch.promote_types(student_logits.dtype, teacher_logits.dtype), torch.float32)
    # In full precision before anything else: a rounded log-probability is wrong by more than the gradient near q = p.
    student_logp = (student_logits[counted].to(dtype) / temperature).log_softmax(-1)
    teacher_logp = (teacher_logits.detach()[counted].to(dtype) / temperature).log_softmax(-1)
    loss = loss_scale(divergence, temperature, scale_by_t2) * divergence_of(
        student_logp, teacher_logp, divergence, beta
    )
    if mask is None:
        return loss
    return torch.zeros(mask.shape, dtype=dtype, device=loss.device).masked_scatter(mask, loss)


def loss_scale(divergence: str, temperature: float, scale_by_t2: bool) -> float:
    """The factor on value and gradient alike: τ², or 1 for total variation, which shrinks as 1/τ and not as 1/τ².

    >>> loss_scale("forward_kl", 2.0, True), loss_scale("total_variation", 2.0, True)
    (4.0, 1.0)
    """
    return temperature**2 if scale_by_t2 and divergence != "total_variation" else 1.0


def divergence_of(
    student_logp: Float[Tensor, "... V"], teacher_logp: Float[Tensor, "... V"], divergence: str, beta: float
) -> Float[Tensor, "..."]:
    """The divergence of this name, of log-probabilities; `beta` is read by the two that have one."""
    match divergence:
        case "forward_kl":
            return forward_kl(student_logp, teacher_logp)
        case "reverse_kl":
            return reverse_kl(student_logp, teacher_logp)
        case "jsd":
            return jsd(student_logp, teacher_logp, beta)
        case "skew_kl":
            return skew_kl(student_logp, teacher_logp, beta)
        case "total_variation":
            return total_variation(student_logp, teacher_logp)
    raise AssertionError(divergence)  # check_options knows the names
