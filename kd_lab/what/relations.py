"""WHAT is copied inside the network: the distances and angles between the texts of a batch."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from kd_lab.arguments import checked
from kd_lab.contracts import Access, Kind, Signal
from kd_lab.what.features import says_something, width_of
from kd_lab.worlds import Batch


@checked
@dataclass(frozen=True)
class Relations:
    """Distances and angles between the texts of a batch, each text being the mean of its hidden states.

    The mean leaves the first position out, whose state says nothing of the text (see `says_something`). A text of which
    nothing else counts has no mean and is related to none. Relations are numbers without a width, so there is no
    projector and nothing to throw away.

    Source: Park et al. (2019), "Relational knowledge distillation", arXiv:1904.05068, equations 4 to 10.
    """

    student_layer: int = -1
    teacher_layer: int = -1
    gives: ClassVar[Kind] = "relations"
    needs: ClassVar[Access] = "hidden_states"

    def __str__(self) -> str:
        return "relations"

    def bind(self, student: nn.Module, teacher: nn.Module, seed: int) -> Signal:
        """A reader of ((distances, angles), logits) of the student and (distances, angles) of the teacher.

        Raises:
            ValueError: a model has no hidden states, or not that many layers.
        """
        width_of(student, "student", self.student_layer)
        width_of(teacher, "teacher", self.teacher_layer)

        def read(batch: Batch) -> tuple[tuple[tuple[Tensor, Tensor], Tensor], tuple[Tensor, Tensor]]:
            counts = says_something(batch.mask)
            texts = counts.any(1)
            if texts.sum() < 2:  # there is nothing to relate: all are one point, on both sides
                counts, texts = torch.zeros_like(counts), torch.ones_like(texts)
            with torch.no_grad():
                _, teacher_hidden = teacher(batch.inputs, return_hidden=True)
                teacher_relations = relations(embed(teacher_hidden[self.teacher_layer][texts], counts[texts]))
            logits, student_hidden = student(batch.inputs, return_hidden=True)
            embedded = embed(student_hidden[self.student_layer][texts], counts[texts])
            return (relations(embedded), logits), teacher_relations

        return Signal(read)


def embed(hidden: Float[Tensor, "B T W"], mask: Bool[Tensor, "B T"]) -> Float[Tensor, "B W"]:
    """One vector for each text: the mean of its hidden states over the positions that count, in fp32 at least."""
    hidden = hidden.to(torch.promote_types(hidden.dtype, torch.float32))
    return hidden.where(mask[..., None], 0.0).sum(1) / mask.to(hidden.dtype).sum(1, keepdim=True).clamp_min(1)


def relations(embeddings: Float[Tensor, "B W"]) -> tuple[Float[Tensor, "B B"], Float[Tensor, "B B B"]]:
    """Distances ‖x_i − x_j‖ in units of their mean, and cosines of the angle at x_j between x_i and x_k, as [i, j, k].

    They are in fp32 at least, also under autocast: the differences of near texts have no digits left in bf16.

    Raises:
        ValueError: fewer than two texts came, so that nothing relates to anything.

    >>> distances, angles = relations(torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 4.0]]))
    >>> distances[0]  # 3 and 4 in units of the mean of 3, 4 and 5
    tensor([0.0000, 0.7500, 1.0000])
    >>> angles[1, 0, 2].item()  # a right angle at the first text
    0.0
    """
    texts = len(embeddings)
    if texts < 2:
        raise ValueError(f"{texts} text came; expected a batch of at least two, since relations are between texts")
    embeddings = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
    differences = embeddings[:, None] - embeddings[None]  # [i, j] = x_i − x_j
    # the clamp keeps the gradient of the root finite on the diagonal, where the difference is zero
    distances = differences.square().sum(-1).clamp_min(1e-12).sqrt()
    distances = distances * ~torch.eye(texts, dtype=torch.bool, device=embeddings.device)
    mean = distances.sum() / (texts * (texts - 1))
    directions = differences / distances.clamp_min(1e-6)[..., None]
    with torch.autocast(embeddings.device.type, enabled=False):  # it would multiply in half precision
        angles = torch.einsum("ijw,kjw->ijk", directions, directions)
    return distances / mean.clamp_min(1e-12), angles
