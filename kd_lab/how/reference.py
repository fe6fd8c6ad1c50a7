"""softmax_kl as the formula says it: every backend must agree with this one, in value and in gradient."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kd_lab.how.divergences import DIVERGENCES


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
    entry = DIVERGENCES[divergence]
    loss = entry.scale(temperature, scale_by_t2) * entry(student_logp, teacher_logp, beta)
    if mask is None:
        return loss
    return torch.zeros(mask.shape, dtype=dtype, device=loss.device).masked_scatter(mask, loss)
