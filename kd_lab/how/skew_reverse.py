"""HOW, by the reverse KL to a teacher into which a little of the student was mixed: DistiLLM's skew reverse KL."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.contracts import Kind
from kd_lab.how.divergences import check_beta, reverse_kl, skew_kl
from kd_lab.how.reduction import masked_mean
from kd_lab.worlds import Batch


def skew_reverse_kl(
    student_logp: Float[Tensor, "... V"], teacher_logp: Float[Tensor, "... V"], beta: float = 0.9
) -> Float[Tensor, "..."]:
    """Reverse KL against a teacher into which a little of the student was mixed.

    KL(q‖m),  m = βp + (1−β)q,  0 < β < 1

    `skew_kl` with the two exchanged. Zero iff q = p. Never infinite: at most −ln(1−β). β is the teacher's share of m,
    as everywhere in this library; DistiLLM names the student's, α = 1 − β = 0.1. β → 1 is reverse KL.

    Args:
        student_logp: log q, normalised over the last axis (nats); −inf means impossible.
        teacher_logp: log p, of the same shape.
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
    check_beta("skew_kl", beta)
    return skew_kl(teacher_logp, student_logp, 1 - beta)


@dataclass(frozen=True)
class SkewReverse:
    """Skew reverse KL as a choice in a recipe.

    With `hold_mixture` the student inside the mixture is a number without a gradient, as DistiLLM-2 has it: the value
    is the same, and the gradient that of KL(q‖m) for a fixed m.
    """

    beta: float = 0.9  # the teacher's share of the mixture
    hold_mixture: bool = False
    takes: ClassVar[tuple[Kind, ...]] = ("distributions",)

    def __post_init__(self):
        check_beta("skew_kl", self.beta)

    def __str__(self) -> str:
        return f"skew reverse KL({self.beta:g})" + (", mixture held" if self.hold_mixture else "")

    def __call__(
        self,
        student_logits: Float[Tensor, "B T V"],
        teacher_logits: Float[Tensor, "B T V"],
        batch: Batch,
        normalizer: float | Tensor | None = None,
    ) -> Float[Tensor, ""]:
        """The loss in nats a counted position."""
        student_logp, teacher_logp = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
        if self.hold_mixture:
            student_part = student_logp.detach() + math.log1p(-self.beta)
            mixture_logp = torch.logaddexp(teacher_logp + math.log(self.beta), student_part)
            gap = reverse_kl(student_logp, mixture_logp)
        else:
            gap = skew_reverse_kl(student_logp, teacher_logp, self.beta)
        return masked_mean(gap, batch.mask, normalizer)
