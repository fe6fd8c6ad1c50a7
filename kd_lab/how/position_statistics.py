"""Figures per position beside a loss: how sure each side is, and how well the two agree."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kd_lab.how.reduction import masked_mean
from kd_lab.how.reference import counted_rows, in_place_of_rows


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
