"""HOW as a choice in a recipe: a divergence between distributions, or the likelihood of a text's tokens."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from kd_lab.contracts import Head, Kind
from kd_lab.how.checks import check_options
from kd_lab.how.linear import linear_softmax_kl
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

    Between two `Head`s it is that of `linear_softmax_kl`, which never holds the logits.

    Source: Hinton, Vinyals & Dean (2015), arXiv:1503.02531, section 2, for the mixture and τ².
    """

    divergence: str = "forward_kl"  # or "reverse_kl", "jsd", "skew_kl", "total_variation"
    beta: float = 0.5  # read by "jsd" and "skew_kl"
    temperature: float = 1.0  # τ, softens both sides
    label_weight: float = 0.0  # w, the share of cross-entropy with the text's own tokens
    takes: ClassVar[tuple[Kind, ...]] = ("distributions", "heads")

    def __post_init__(self):
        check_options(self.divergence, self.beta, self.temperature, "mean", None)
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
        self,
        student: Float[Tensor, "B T V"] | Head,
        teacher: Float[Tensor, "B T V"] | Head,
        batch: Batch,
        normalizer: float | Tensor | None = None,
    ) -> Float[Tensor, ""]:
        """The loss in nats per counted position.

        Raises:
            ValueError: the labels are mixed in and there are no logits to read them against.
        """
        gap = self._gap(student, teacher, mask=batch.mask, normalizer=normalizer)
        if not self.label_weight:
            return gap
        if isinstance(student, Head):
            raise ValueError(
                f"label_weight is {self.label_weight} and the logits are never made; expected 0: write the labels as a "
                "second term, Term(Sequences(), NegativeLogLikelihood(), where, weight=…), or take WHAT = Logits()"
            )
        labels = NegativeLogLikelihood()(student, batch.targets, batch, normalizer)
        return (1 - self.label_weight) * gap + self.label_weight * labels

    def _gap(self, student: Any, teacher: Any, **positions: Any) -> Float[Tensor, ""]:
        options = {
            "divergence": self.divergence, "beta": self.beta, "temperature": self.temperature, **positions
        }  # fmt: skip
        if isinstance(student, Head):
            return linear_softmax_kl(
                student.hidden,
                student.weight,
                teacher.hidden,
                teacher.weight,
                student_bias=student.bias,
                teacher_bias=teacher.bias,
                **options,
            )
        return softmax_kl(student, teacher, **options)


@dataclass(frozen=True)
class NegativeLogLikelihood:
    """−log q(token): forward KL from a point mass on the text, so zero only where the student is certain of it.

    Source: Kim & Rush (2016), arXiv:1606.07947, equation 3 and section 3.2.
    """

    takes: ClassVar[tuple[Kind, ...]] = ("tokens",)

    def __str__(self) -> str:
        return "forward KL (hard)"

    def __call__(
        self,
        student_logits: Float[Tensor, "B T V"],
        tokens: Int[Tensor, "B T"],
        batch: Batch,
        normalizer: float | Tensor | None = None,
    ) -> Float[Tensor, ""]:
        """The loss in nats per counted position; the arithmetic is fp32 or wider."""
        logits = student_logits.to(torch.promote_types(student_logits.dtype, torch.float32))
        surprise = cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none").view_as(tokens)
        return masked_mean(surprise, batch.mask, normalizer)
