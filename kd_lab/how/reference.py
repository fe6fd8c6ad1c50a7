"""softmax_kl as the formula says it, and figures per position beside it.

Every backend must agree with this one, in value and in gradient.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import cross_entropy

from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.reduction import masked_mean


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

    The rows that do not count are 0 and get no gradient, whatever their logits are.

    Args:
        student_logits, teacher_logits: raw logits; the teacher's get no gradient.
        divergence, beta, temperature, scale_by_t2: as in `softmax_kl`, and valid.
        mask: True where a position counts; None counts them all.

    Returns:
        τ²·D(softmax(student/τ), softmax(teacher/τ)) at each position, in nats; without τ² for total variation.
    """
    dtype = torch.promote_types(torch.promote_types(student_logits.dtype, teacher_logits.dtype), torch.float32)
    # In full precision before anything else: a rounded log-probability is wrong by more than the gradient near q = p.
    student_logp, teacher_logp = (
        (counted_rows(logits, mask).to(dtype) / temperature).log_softmax(-1)
        for logits in (student_logits, teacher_logits.detach())
    )
    entry = DIVERGENCES[divergence]
    losses = entry.formula(student_logp, teacher_logp, beta)
    return entry.scale(temperature, scale_by_t2) * in_place_of_rows(losses, mask)


def reference_likelihood(
    student_logits: Float[Tensor, "... V"], labels: Int[Tensor, "..."], mask: Bool[Tensor, "..."] | None
) -> Float[Tensor, "..."]:
    """−log q(label) at each position, at temperature 1 and in the dtypes of `reference_softmax_kl`; 0 where masked."""
    dtype = torch.promote_types(student_logits.dtype, torch.float32)
    logits, labels = counted_rows(student_logits, mask).to(dtype), counted_rows(labels, mask)
    surprise = cross_entropy(logits.reshape(-1, logits.shape[-1]), labels.reshape(-1).long(), reduction="none")
    return in_place_of_rows(surprise.view(labels.shape), mask)


@dataclass(frozen=True)
class Statistics:
    """Figures of each position, 0 where it does not count, at the loss's temperature and without a gradient."""

    loss: Float[Tensor, "..."]  # as in reduction="none" without weights
    mask: Bool[Tensor, "..."]  # True where a position counts
    student_entropy: Float[Tensor, "..."]  # nats
    teacher_entropy: Float[Tensor, "..."]  # nats
    agreement: Float[Tensor, "..."]  # 1 where both find the same token the likeliest
    acceptance: Float[Tensor, "..."]  # Σ min(p, q), the rate at which speculative decoding accepts

    @property
    def counted(self) -> Tensor:
        """The number of positions that count."""
        return self.mask.sum()

    def means(self) -> dict[str, float]:
        """Each figure's mean over the positions that count."""
        names = ("loss", "student_entropy", "teacher_entropy", "agreement", "acceptance")
        return {name: masked_mean(getattr(self, name), self.mask).item() for name in names}


@torch.no_grad()
def reference_statistics(
    student_logits: Float[Tensor, "... V"],
    teacher_logits: Float[Tensor, "... V"],
    temperature: float,
    mask: Bool[Tensor, "..."] | None,
) -> Float[Tensor, "... 4"]:
    """Student entropy, teacher entropy, agreement and acceptance at each position, by the formula; 0 where masked."""
    dtype = torch.promote_types(torch.promote_types(student_logits.dtype, teacher_logits.dtype), torch.float32)
    logits = [counted_rows(side, mask).to(dtype) for side in (student_logits, teacher_logits)]
    q, p = ((side / temperature).softmax(-1) for side in logits)
    same = logits[0].argmax(-1) == logits[1].argmax(-1)
    entropies = [torch.special.entr(side).sum(-1) for side in (q, p)]
    figures = [*entropies, same.to(dtype), torch.minimum(p, q).sum(-1)]
    return torch.stack([in_place_of_rows(figure, mask) for figure in figures], -1)


def counted_rows(values: Float[Tensor, "..."] | Int[Tensor, "..."], mask: Bool[Tensor, "..."] | None) -> Tensor:
    """The rows that count, one after the other. Where torch.func cannot count, all of them, and 0 for the others."""
    if mask is None:
        return values
    if in_transform():
        return torch.where(mask.view(*mask.shape, *[1] * (values.dim() - mask.dim())), values, 0)
    return values[mask]


def in_place_of_rows(values: Float[Tensor, "..."], mask: Bool[Tensor, "..."] | None) -> Float[Tensor, "..."]:
    """The results for `counted_rows`, back at their positions; 0 at the others."""
    if mask is None:
        return values
    if in_transform():
        return torch.where(mask, values, 0.0)
    return torch.zeros(mask.shape, dtype=values.dtype, device=values.device).masked_scatter(mask, values)


def in_transform() -> bool:
    """Whether torch.func or forward mode looks on, which cannot see into operators with their own rule."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0
