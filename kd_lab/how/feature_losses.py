"""HOW the gap is measured inside the network: squared distance of features, Huber distance of relations."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from kd_lab.arguments import checked
from kd_lab.contracts import Kind
from kd_lab.how.losses import NegativeLogLikelihood
from kd_lab.how.reduction import denominator_of, masked_mean
from kd_lab.worlds import Batch


@checked
@dataclass(frozen=True)
class SquaredError:
    """weight · ½‖r(v) − u‖² per position, beside the likelihood of the text: features alone would not train the head.

    The paper trains in two stages, hints first; here both terms are trained together, as is usual now.

    Source: Romero et al. (2015), arXiv:1412.6550, equation 3.
    """

    weight: float = 0.01  # of the hint beside one nat of likelihood
    label_weight: float = 1.0  # of the likelihood; 0 leaves it to another term of the recipe
    takes: ClassVar[tuple[Kind, ...]] = ("features",)

    def __str__(self) -> str:
        return f"{self.weight:g}·L2" + (" + labels" if self.label_weight else "")

    @property
    def reads_labels(self) -> bool:
        """Whether the tokens of the text itself teach."""
        return self.label_weight > 0

    def __call__(
        self,
        student: tuple[Float[Tensor, "B T W"], Float[Tensor, "B T V"]],
        teacher_features: Float[Tensor, "B T W"],
        batch: Batch,
        normalizer: float | Tensor | None = None,
    ) -> Float[Tensor, ""]:
        """The loss per counted position: nats of likelihood, and squared units of the teacher's features."""
        features, logits = student
        dtype = torch.promote_types(features.dtype, torch.float32)  # a sum of squares has no digits left in bf16
        gap = (features.to(dtype) - teacher_features.to(dtype)).where(
            batch.mask[..., None], 0.0
        )  # NaN·0 is no gradient
        hint = masked_mean(gap.square().sum(-1) / 2, batch.mask, normalizer)
        return _with_labels(self.weight * hint, self.label_weight, logits, batch, normalizer)


@checked
@dataclass(frozen=True)
class RelationalHuber:
    """Huber distance of distances and of angles, each averaged over its pairs or triplets, beside the likelihood.

    A step that is made of several batches relates texts within each batch, and weighs each batch's relations by its
    share of the step's counted positions.

    Source: Park et al. (2019), arXiv:1904.05068, equations 6, 7 and 10; the weights are those of its section 4.1.
    """

    distance_weight: float = 25.0
    angle_weight: float = 50.0
    label_weight: float = 1.0  # of the likelihood; 0 leaves it to another term of the recipe
    takes: ClassVar[tuple[Kind, ...]] = ("relations",)

    def __str__(self) -> str:
        return "relational Huber" + (" + labels" if self.label_weight else "")

    @property
    def reads_labels(self) -> bool:
        """Whether the tokens of the text itself teach."""
        return self.label_weight > 0

    def __call__(
        self,
        student: tuple[tuple[Float[Tensor, "B B"], Float[Tensor, "B B B"]], Float[Tensor, "B T V"]],
        teacher: tuple[Float[Tensor, "B B"], Float[Tensor, "B B B"]],
        batch: Batch,
        normalizer: float | Tensor | None = None,
    ) -> Float[Tensor, ""]:
        """The loss: nats of likelihood per counted position, and unitless relations."""
        (distances, angles), logits = student
        teacher_distances, teacher_angles = teacher
        gap = self.distance_weight * smooth_l1_loss(distances, teacher_distances)
        gap = gap + self.angle_weight * smooth_l1_loss(angles, teacher_angles)
        if normalizer is not None:
            gap = gap * (batch.mask.sum() / denominator_of(gap, batch.mask, normalizer))
        return _with_labels(gap, self.label_weight, logits, batch, normalizer)


def _with_labels(
    gap: Tensor, label_weight: float, logits: Tensor, batch: Batch, normalizer: float | Tensor | None
) -> Float[Tensor, ""]:
    """The gap, and beside it the likelihood of the text, which may be infinite: without a weight it is not read."""
    if not label_weight:
        return gap
    return gap + label_weight * NegativeLogLikelihood()(logits, batch.targets, batch, normalizer)
