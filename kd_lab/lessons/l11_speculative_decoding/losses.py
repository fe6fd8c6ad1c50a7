"""Losses that are made for a draft: they are functions of the overlap α = Σ min(p, q), its acceptance."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.contracts import Kind
from kd_lab.how import forward_kl
from kd_lab.how.reduction import masked_mean
from kd_lab.worlds import Batch


def overlap(student_logp: Float[Tensor, "... V"], teacher_logp: Float[Tensor, "... V"]) -> Float[Tensor, "..."]:
    """α = Σ min(p, q), the probability that a guess of the student stands."""
    return torch.minimum(student_logp.exp(), teacher_logp.exp()).sum(-1)


@dataclass(frozen=True)
class NegativeLogAcceptance:
    """−log α at each position. Its gradient is total variation's, divided by α: a poor draft is not left alone.

    Source: Speculators, the training library of vLLM, "Loss Functions", there `nla`.
    """

    takes: ClassVar[tuple[Kind, ...]] = ("distributions",)

    def __str__(self) -> str:
        return "−log Σ min(p, q)"

    def __call__(
        self,
        student_logits: Float[Tensor, "B T V"],
        teacher_logits: Float[Tensor, "B T V"],
        batch: Batch,
        normalizer: float | Tensor | None = None,
    ) -> Float[Tensor, ""]:
        alpha = overlap(*_logp(student_logits, teacher_logits, batch))
        return masked_mean(-alpha.clamp_min(1e-6).log(), normalizer=normalizer)


@dataclass(frozen=True)
class Hybrid:
    """λ·KL(p‖q) + (1 − λ)·TV(p, q) with λ = exp(−η·α), held fixed: forward KL at first, total variation in the end.

    Source: Speculators, the training library of vLLM, "Loss Functions", there `lk_hybrid` with η = 3.
    """

    eta: float = 3.0
    takes: ClassVar[tuple[Kind, ...]] = ("distributions",)

    def __str__(self) -> str:
        return "forward KL → total variation"

    def __call__(
        self,
        student_logits: Float[Tensor, "B T V"],
        teacher_logits: Float[Tensor, "B T V"],
        batch: Batch,
        normalizer: float | Tensor | None = None,
    ) -> Float[Tensor, ""]:
        student_logp, teacher_logp = _logp(student_logits, teacher_logits, batch)
        alpha = overlap(student_logp, teacher_logp)
        share = (-self.eta * alpha.detach()).exp()
        gap = share * forward_kl(student_logp, teacher_logp) + (1 - share) * (1 - alpha)
        return masked_mean(gap, normalizer=normalizer)


def _logp(student_logits: Tensor, teacher_logits: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Both as log-probabilities at the positions that count, [N, V]; the teacher's without a gradient."""
    return tuple(logits[batch.mask].float().log_softmax(-1) for logits in (student_logits, teacher_logits.detach()))
