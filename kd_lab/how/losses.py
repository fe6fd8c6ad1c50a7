"""HOW as a choice in a recipe: a divergence between distributions, or the likelihood of a text's tokens."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from kd_lab.how.reduction import masked_mean
from kd_lab.how.softmax_kl import softmax_kl
from kd_lab.worlds import Batch

_NAMES = {
    "forward_kl": "forward KL",
    "reverse_kl": "reverse KL",
    "jsd": "JSD",
    "skew_kl": "skew KL",
    "total_variation": "total variation",
}


@dataclass(frozen=True)
class Divergence:
    """A divergence of `softmax_kl` between student and teacher, mixed with the hard labels if `label_weight` says so.

        loss = (1 − w)·τ²·D(τ) + w·CE(labels)

    Source: Hinton, Vinyals & Dean (2015), arXiv:1503.02531, section 2, for the mixture and τ².
    """

    divergence: str = "forward_kl"  # or "reverse_kl", "jsd", "skew_kl", "total_variation"
    beta: float = 0.5  # read by "jsd" and "skew_kl"
    temperature: float = 1.0  # τ, softens both sides
    label_weight: float = 0.0  # w, the share of cross-entropy with the text's own tokens
    takes: ClassVar[str] = "distributions"

    def __post_init__(self):
        if self.divergence not in _NAMES:
            raise ValueError(f"divergence is {self.divergence!r}; expected one of {', '.join(map(repr, _NAMES))}")
        if not 0 <= self.label_weight <= 1:
            raise ValueError(f"label_weight is {self.label_weight}; expected a share between 0 and 1")

    def __str__(self) -> str:
        name = _NAMES[self.divergence]
        if self.divergence in ("jsd", "skew_kl"):
            name += f"({self.beta:g})"
        if self.temperature != 1:
            name += f", τ = {self.temperature:g}"
        return name + (f" + {self.label_weight:g} labels" if self.label_weight else "")

    def __call__(
        self, student_logits: Float[Tensor, "B T V"], teacher_logits: Float[Tensor, "B T V"], batch: Batch
    ) -> Float[Tensor, ""]:
        """The loss in nats a counted position."""
        gap = softmax_kl(
            student_logits,
            teacher_logits,
            divergence=self.divergence,
            beta=self.beta,
            temperature=self.temperature,
            mask=batch.mask,
        )
        if not self.label_weight:
            return gap
        labels = NegativeLogLikelihood()(student_logits, batch.targets, batch)
        return (1 - self.label_weight) * gap + self.label_weight * labels


@dataclass(frozen=True)
class NegativeLogLikelihood:
    """−log q(token): forward KL from a point mass on the text, so zero only where the student is certain of it.

    Source: Kim & Rush (2016), arXiv:1606.07947, equation 3 and section 3.2.
    """

    takes: ClassVar[str] = "tokens"

    def __str__(self) -> str:
        return "forward KL (hard)"

    def __call__(
        self, student_logits: Float[Tensor, "B T V"], tokens: Int[Tensor, "B T"], batch: Batch
    ) -> Float[Tensor, ""]:
        """The loss in nats a counted position."""
        surprise = cross_entropy(student_logits.flatten(0, 1), tokens.flatten(), reduction="none").view_as(tokens)
        return masked_mean(surprise, batch.mask)
