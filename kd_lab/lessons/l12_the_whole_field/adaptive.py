"""HOW as a mixture that the two models set anew at every position: adaptive KL."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.contracts import Kind
from kd_lab.how import forward_kl, masked_mean, reverse_kl
from kd_lab.worlds import Batch


@dataclass(frozen=True)
class AdaptiveKL:
    """w·KL(p‖q) + (1 − w)·KL(q‖p), where w is the share of Σ|p − q| that lies on the teacher's likeliest tokens.

    The head is the shortest list of tokens, likeliest first, whose probabilities do not exceed `head` together; the
    first belongs to it in any case. The weights carry no gradient.

    Source: Wu et al. (2024), arXiv:2404.02657, as its public code computes the two weights (there mu = 0.5).
    """

    head: float = 0.5
    temperature: float = 1.0
    takes: ClassVar[tuple[Kind, ...]] = ("distributions",)

    def __post_init__(self):
        if not 0 < self.head < 1:
            raise ValueError(f"head is {self.head}; expected a share of the teacher's probability between 0 and 1")
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}; expected a number above 0")

    def __str__(self) -> str:
        return "adaptive KL" + (f", τ = {self.temperature:g}" if self.temperature != 1 else "")

    def __call__(
        self,
        student: Float[Tensor, "B T V"],
        teacher: Float[Tensor, "B T V"],
        batch: Batch,
        normalizer: float | Tensor | None = None,
    ) -> Float[Tensor, ""]:
        """The loss in nats per counted position."""
        q, p = ((side / self.temperature).log_softmax(-1) for side in (student, teacher))
        weight = head_share(q, p, self.head)
        gap = weight * forward_kl(q, p) + (1 - weight) * reverse_kl(q, p)
        return self.temperature**2 * masked_mean(gap, batch.mask, normalizer)


@torch.no_grad()
def head_share(
    student_logp: Float[Tensor, "*N V"], teacher_logp: Float[Tensor, "*N V"], head: float = 0.5
) -> Float[Tensor, "*N"]:
    """The share of Σ|p − q| on the teacher's head; ½ where both are equal.

    >>> p, q = torch.tensor([0.4, 0.3, 0.2, 0.1]).log(), torch.tensor([0.1, 0.3, 0.2, 0.4]).log()
    >>> head_share(q, p).item()  # 0.3 of the gap on the first token, which is the head, and 0.3 on the last
    0.5
    """
    p, order = teacher_logp.exp().sort(dim=-1, descending=True)
    gap = (p - student_logp.exp().gather(-1, order)).abs()
    outside = p.cumsum(-1) > head
    outside[..., 0] = False
    inside = gap.masked_fill(outside, 0.0).sum(-1)
    whole = gap.sum(-1)
    return torch.where(whole > 1e-12, inside / whole.clamp_min(1e-12), 0.5)
