"""A HOW of one's own: the policy gradient of the sequence-level reverse KL with a baseline, and no bias."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from kd_lab.contracts import Kind
from kd_lab.how import reverse_kl
from kd_lab.how.policy_gradient import gather
from kd_lab.how.reduction import masked_mean
from kd_lab.worlds import Batch


def leave_one_out(returns: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """At each position the mean return of the *other* texts that got there; 0 where there is none.

    The text's own return stays out of its baseline: with it in, the baseline would depend on the token that it
    judges, and the push would be too weak by 1/B.

    >>> import torch
    >>> returns, mask = torch.tensor([[1.0, 9.0], [3.0, 0.0], [5.0, 7.0]]), torch.ones(3, 2, dtype=torch.bool)
    >>> mask[1, 1] = False
    >>> leave_one_out(returns, mask)
    tensor([[4., 7.],
            [3., 0.],
            [2., 9.]])
    """
    counted = returns.where(mask, 0.0)
    others = (mask.sum(0) - 1).clamp_min(1)
    return ((counted.sum(0) - counted) / others).where(mask, 0.0)


@dataclass(frozen=True)
class WithBaseline:
    """∇KL(q_t‖p_t) at each prefix − (future return − its mean over the other texts)·∇log q(y_t): no bias.

    Source: Williams (1992), section 4, the reinforcement baseline; Kool, van Hoof & Welling (2019), leave-one-out.
    """

    exact: bool = False  # the future as KL(q‖p) at the later prefixes of the text, and not as the drawn rewards
    takes: ClassVar[tuple[Kind, ...]] = ("paths",)

    def __str__(self) -> str:
        return "reverse KL (PG, baseline)"

    def __call__(
        self,
        student_logits: Float[Tensor, "B T V"],
        teacher_logits: Float[Tensor, "B T V"],
        batch: Batch,
        normalizer: float | Tensor | None = None,
    ) -> Float[Tensor, ""]:
        """The loss on texts that the student wrote alone; its value is the exact KL(q‖p) along them."""
        student_logp, teacher_logp = (x.log_softmax(-1) for x in (student_logits, teacher_logits))
        teacher_logp = teacher_logp.where(batch.mask[..., None], student_logp.detach())
        now, own_logp = reverse_kl(student_logp, teacher_logp), gather(student_logp, batch.targets)
        sampled = gather(teacher_logp, batch.targets) - own_logp
        rewards = (-now if self.exact else sampled).detach().where(batch.mask, 0.0)
        after = rewards.flip(1).cumsum(1).flip(1) - rewards
        push = (after - leave_one_out(after, batch.mask)) * own_logp
        return masked_mean(now - push + push.detach(), batch.mask, normalizer)
