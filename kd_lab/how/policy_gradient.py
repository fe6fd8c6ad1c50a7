"""HOW the sequence-level reverse KL is minimised: by the policy gradient, with its variance tamed.

With r_t = log p(y_t|y_<t) − log q(y_t|y_<t) and y drawn by the student, KL(Q‖P) = −E Σ_t r_t, and its gradient is

    ∇KL(Q‖P) = −E Σ_t (Σ_{t'≥t} r_t') ∇log q(y_t)                      the plain policy gradient
             =  E Σ_t [ ∇KL(q_t‖p_t) − (Σ_{t'>t} r_t') ∇log q(y_t) ]    single-step decomposition

The second line replaces the sampled r_t by its expectation over the vocabulary, which can be computed, and keeps
sampling only what lies in the future. Leaving the future away altogether is token-wise reverse KL: another gradient.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kd_lab.arguments import checked
from kd_lab.contracts import Kind
from kd_lab.how.divergences import reverse_kl
from kd_lab.how.reduction import masked_mean
from kd_lab.worlds import Batch


@checked
@dataclass(frozen=True)
class PolicyGradient:
    """Sequence-level reverse KL with MiniLLM's three tamers, each of which can be switched off.

    The value is the plain estimate of KL(q‖p) in nats per counted position; the gradient is the policy gradient.

    >>> logits, batch = torch.zeros(1, 1, 2), Batch(torch.tensor([[0, 1]]), torch.tensor([[True]]))
    >>> PolicyGradient()(logits, torch.tensor([[[0.0, 1.0]]]), batch)  # one drawn token: log ½ − log σ(1)
    tensor(-0.3799)

    Source: Gu et al. (2024), arXiv:2306.08543, equations 2 to 7.
    """

    single_step: bool = True  # take the expectation of the immediate term instead of a sample: no bias, less variance
    length_norm: bool = True  # divide the future by its length: another objective, which no longer favours short texts
    importance: str = "token"  # weight of a token that others had a hand in drawing: "token" (MiniLLM's) or "sequence"
    takes: ClassVar[tuple[Kind, ...]] = ("paths",)

    def __post_init__(self):
        if self.importance not in ("token", "sequence"):
            raise ValueError(f'importance is {self.importance!r}; expected "token" or "sequence"')

    def __str__(self) -> str:
        return "reverse KL (PG)"

    def __call__(
        self,
        student_logits: Float[Tensor, "B T V"],
        teacher_logits: Float[Tensor, "B T V"],
        batch: Batch,
        normalizer: float | Tensor | None = None,
    ) -> Float[Tensor, ""]:
        """The loss on texts that the student wrote, alone or with the teacher's hand in it (`batch.drawn_logp`)."""
        dtype = torch.promote_types(torch.promote_types(student_logits.dtype, teacher_logits.dtype), torch.float32)
        sides = _counted(batch.mask, student_logits, teacher_logits)
        student_logp, teacher_logp = (x.to(dtype).log_softmax(-1) for x in sides)
        with torch.no_grad():
            rewards = gather(teacher_logp - student_logp, batch.targets).where(batch.mask, 0.0)
            weights = importance_weights(gather(student_logp, batch.targets), batch, self.importance)
        surrogate = weights * _surrogate(
            student_logp, teacher_logp, batch.targets, batch.mask, self.single_step, self.length_norm
        )
        estimate = -weights * rewards
        return masked_mean(estimate + surrogate - surrogate.detach(), batch.mask, normalizer)


def policy_surrogate(
    student_logp: Float[Tensor, "B T V"],
    teacher_logp: Float[Tensor, "B T V"],
    tokens: Int[Tensor, "B T"],
    mask: Bool[Tensor, "B T"],
    single_step: bool = True,
    length_norm: bool = False,
) -> Float[Tensor, "B T"]:
    """One term per position whose gradient, summed over a text of the student, estimates ∇KL(Q‖P) of sequences.

    Without `length_norm` the estimate has no bias. Only its gradient has a meaning; its value has none.

    Args:
        student_logp: log q at every position, nats; the gradient flows here.
        teacher_logp: log p.
        tokens: the ids that were drawn.
        mask: True where a token was drawn and not given or padded.
        single_step: see `PolicyGradient`.
        length_norm: see `PolicyGradient`.

    Source: Gu et al. (2024), arXiv:2306.08543, equations 2, 3 and 6.
    """
    return _surrogate(*_counted(mask, student_logp, teacher_logp), tokens, mask, single_step, length_norm)


def _surrogate(
    student_logp: Tensor, teacher_logp: Tensor, tokens: Tensor, mask: Tensor, single_step: bool, length_norm: bool
) -> Float[Tensor, "B T"]:
    """`policy_surrogate` of log-probabilities that are finite where nothing counts."""
    own_logp = gather(student_logp, tokens)
    rewards = (gather(teacher_logp, tokens) - own_logp).detach().where(mask, 0.0)
    from_here = rewards.flip(1).cumsum(1).flip(1)
    after = from_here - rewards
    if length_norm:
        steps_from_here = mask.flip(1).cumsum(1).flip(1)
        after = after / (steps_from_here - 1).clamp_min(1)
        from_here = from_here / steps_from_here.clamp_min(1)
    if single_step:
        return (reverse_kl(student_logp, teacher_logp) - after * own_logp).where(mask, 0.0)
    return (-from_here * own_logp).where(mask, 0.0)


@torch.no_grad()
def importance_weights(own_logp: Float[Tensor, "B T"], batch: Batch, importance: str) -> Float[Tensor, "B T"]:
    """q(y)/p̃(y) of each token, or of the whole text at each of its tokens; 1 where the student drew alone.

    The weight of the whole text is exact and grows without bound with the length. The weight of the token alone is
    MiniLLM's: it forgets how the prefix came about, which is a bias, and is at most 1/(1 − α).

    Both hold where q is read as it was while writing: in eval mode and without autocast. In training with dropout or
    under autocast q is read anew with its dropout or in bf16, and p̃ was not: the ratio then also holds the difference
    between the two readings, which no bound covers and which multiplies up over a text.

    >>> batch = Batch(torch.tensor([[0, 1]]), torch.tensor([[True]]), torch.tensor([[0.25]]).log())
    >>> importance_weights(torch.tensor([[0.5]]).log(), batch, "token")  # α = ½, and the teacher's p is 0
    tensor([[2.]])

    Source: Gu et al. (2024), arXiv:2306.08543, equations 4 and 5.
    """
    if batch.drawn_logp is None:
        return torch.ones_like(own_logp)
    log_ratio = (own_logp - batch.drawn_logp).where(batch.mask, 0.0)
    if importance == "sequence":
        log_ratio = log_ratio.sum(1, keepdim=True).expand_as(log_ratio)
    return log_ratio.exp()


def _counted(mask: Bool[Tensor, "B T"], *sides: Float[Tensor, "B T V"]) -> tuple[Tensor, ...]:
    """The sides with 0 at all positions that do not count: infinite terms there have a NaN gradient under any mask."""
    return sides if mask.all() else tuple(side.where(mask[..., None], 0.0) for side in sides)


def gather(logp: Float[Tensor, "B T V"], tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T"]:
    """The entry of each position's token."""
    return logp.gather(-1, tokens[..., None])[..., 0]
