"""HOW as a choice in a recipe: a divergence between distributions, or the likelihood of a text's tokens."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kd_lab.arguments import checked
from kd_lab.contracts import Head, Kind
from kd_lab.how.checks import check_options
from kd_lab.how.divergences import DIVERGENCES, mixture, reverse_kl
from kd_lab.how.linear import linear_softmax_kl
from kd_lab.how.reduction import masked_mean
from kd_lab.how.reference import reference_likelihood
from kd_lab.how.softmax_kl import softmax_kl
from kd_lab.how.sparse import sparse_teacher_kl
from kd_lab.how.sparse_cache import SparseTeacher
from kd_lab.worlds import Batch


@checked
@dataclass(frozen=True)
class Divergence:
    """A divergence of `softmax_kl` between student and teacher, mixed with the hard labels if `label_weight` says so.

        loss = (1 − w)·τ²·D(τ) + w·CE(labels)

    Total variation carries no τ²: see `softmax_kl`.

    With `hold_mixture` the student inside the mixture of skew reverse KL is a number without a gradient, as DistiLLM-2
    has it: the value is the same, and the gradient that of KL(q‖m) for a fixed m.

    The two sides may be logits, or two `Head`s, whose logits are never held (`linear_softmax_kl`), or the student's
    logits and a cache of a few of the teacher's (`sparse_teacher_kl`).

    Source: Hinton, Vinyals & Dean (2015), arXiv:1503.02531, section 2, for the labels and τ².

    >>> print(Divergence("jsd", beta=0.1, temperature=2.0))
    JSD(0.1), τ = 2
    """

    divergence: str = "forward_kl"  # a name of `DIVERGENCES`
    beta: float = 0.5  # the teacher's share of the mixture, read by those that have one
    temperature: float = 1.0  # τ, softens both sides
    label_weight: float = 0.0  # w, the share of cross-entropy with the text's own tokens
    hold_mixture: bool = False  # of "skew_reverse_kl" only
    takes: ClassVar[tuple[Kind, ...]] = ("distributions", "heads", "sparse_distributions")

    def __post_init__(self):
        check_options(self.divergence, self.beta, self.temperature, "mean", None)
        if self.hold_mixture and self.divergence != "skew_reverse_kl":
            raise ValueError(
                f'hold_mixture came with divergence={self.divergence!r}; expected "skew_reverse_kl", the one that '
                "DistiLLM-2 takes against a held mixture; leave it out for the others"
            )
        if not 0 <= self.label_weight <= 1:
            raise ValueError(f"label_weight is {self.label_weight}; expected a share between 0 and 1")

    def __str__(self) -> str:
        name = DIVERGENCES[self.divergence].title(self.beta) + (", mixture held" if self.hold_mixture else "")
        if self.temperature != 1:
            name += f", τ = {self.temperature:g}"
        return name + (f" + {self.label_weight:g} labels" if self.label_weight else "")

    @property
    def reads_labels(self) -> bool:
        """Whether the tokens of the text itself teach: on a text that the student wrote they can teach it nothing."""
        return self.label_weight > 0

    def __call__(
        self,
        student: Float[Tensor, "B T V"] | Head,
        teacher: Float[Tensor, "B T V"] | Head | SparseTeacher,
        batch: Batch,
        normalizer: float | Tensor | None = None,
    ) -> Float[Tensor, ""]:
        """The loss in nats per counted position.

        Raises:
            ValueError: a held mixture is asked for where there are no logits to read it off.
        """
        self._check_sides(student, teacher)
        options = {"divergence": self.divergence, "beta": self.beta, "temperature": self.temperature}
        options |= {"mask": batch.mask, "normalizer": normalizer}
        labels = {"labels": batch.targets, "label_weight": self.label_weight} if self.label_weight else {}
        match student, teacher:
            case Head(), Head():
                return linear_softmax_kl(*student[:2], *teacher[:2], **_factors(student, teacher), **options, **labels)
            case _, SparseTeacher():
                gap = sparse_teacher_kl(student, teacher, **options)
            case _ if self.hold_mixture:
                gap = self._against_held_mixture(student, teacher, batch, normalizer)
            case _:
                return softmax_kl(student, teacher, **options, **labels)
        if not self.label_weight:
            return gap
        labels = NegativeLogLikelihood()(student, batch.targets, batch, normalizer)
        if self.label_weight == 1:  # the gap may be infinite, and 0·∞ is NaN
            return labels
        return (1 - self.label_weight) * gap + self.label_weight * labels

    def _against_held_mixture(
        self, student_logits: Tensor, teacher_logits: Tensor, batch: Batch, normalizer: float | Tensor | None
    ) -> Float[Tensor, ""]:
        dtype = torch.promote_types(torch.promote_types(student_logits.dtype, teacher_logits.dtype), torch.float32)
        student_logp, teacher_logp = (
            (logits[batch.mask].to(dtype) / self.temperature).log_softmax(-1)
            for logits in (student_logits, teacher_logits.detach())
        )
        gap = reverse_kl(student_logp, mixture(student_logp.detach(), teacher_logp, self.beta))
        return self.temperature**2 * masked_mean(gap, normalizer=normalizer)

    def _check_sides(self, student: object, teacher: object) -> None:
        if self.hold_mixture and not (isinstance(student, Tensor) and isinstance(teacher, Tensor)):
            raise ValueError(
                "hold_mixture came with a signal other than logits; expected WHAT = Logits(): take it, or leave "
                "hold_mixture out"
            )


def _factors(student: Head, teacher: Head) -> dict[str, Tensor | float | None]:
    """Bias, scale and softcap of both heads, as `linear_softmax_kl` calls them."""
    return {
        f"{side}_{name}": getattr(head, name)
        for side, head in (("student", student), ("teacher", teacher))
        for name in ("bias", "logit_scale", "softcap")
    }


@dataclass(frozen=True)
class NegativeLogLikelihood:
    """−log q(token): forward KL from a point mass on the text, so zero only where the student is certain of it.

    >>> batch = Batch(torch.tensor([[0, 1, 1]]), torch.tensor([[True, False]]))
    >>> NegativeLogLikelihood()(torch.zeros(1, 2, 4), batch.targets, batch)  # ln 4
    tensor(1.3863)

    Source: Kim & Rush (2016), arXiv:1606.07947, equation 3 and section 3.2.
    """

    takes: ClassVar[tuple[Kind, ...]] = ("tokens",)
    reads_labels: ClassVar[bool] = True

    def __str__(self) -> str:
        return "forward KL (hard)"

    def __call__(
        self,
        student_logits: Float[Tensor, "B T V"],
        tokens: Int[Tensor, "B T"],
        batch: Batch,
        normalizer: float | Tensor | None = None,
    ) -> Float[Tensor, ""]:
        """The loss in nats per counted position, in fp32 whatever the logits' dtype, or fp64 for fp64 logits."""
        mask = None if batch.mask.all() else batch.mask  # where all count, no logits are copied
        return masked_mean(reference_likelihood(student_logits, tokens, mask), batch.mask, normalizer)
