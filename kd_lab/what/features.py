"""WHAT is copied inside the network: the features of one layer, seen through a projector."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from kd_lab.arguments import checked
from kd_lab.contracts import Access, Kind, Signal, stream
from kd_lab.worlds import Batch


@checked
@dataclass(frozen=True)
class Features:
    """Hidden states of one layer, the student's seen through a linear projector that is learned beside it.

    The projector is there because the widths differ; it is thrown away after training. Hidden states come out of the
    same forward pass as the logits. The first position is left out (see `says_something`): both sides are zero there.

    Source: Romero et al. (2015), "FitNets: hints for thin deep nets", arXiv:1412.6550, section 2.2, equation 3.
    """

    student_layer: int = -1  # the block whose output is guided; −1 is the last
    teacher_layer: int = -1  # the block whose output is the hint
    gives: ClassVar[Kind] = "features"
    needs: ClassVar[Access] = "hidden_states"

    def __str__(self) -> str:
        return "features"

    def bind(self, student: nn.Module, teacher: nn.Module, seed: int) -> Signal:
        """A reader of (projected features, logits) of the student and the features of the teacher.

        Raises:
            ValueError: a model has no hidden states, or not that many layers.
        """
        inputs = width_of(student, "student", self.student_layer)
        outputs = width_of(teacher, "teacher", self.teacher_layer)
        projector = torch.empty(outputs, inputs, dtype=torch.float32)
        nn.init.normal_(projector, std=inputs**-0.5, generator=stream(seed, "projector"))
        weight = next(student.parameters())
        projector = nn.Parameter(projector.to(weight.device, torch.promote_types(weight.dtype, torch.float32)))

        def read(
            batch: Batch,
        ) -> tuple[tuple[Float[Tensor, "B T W"], Float[Tensor, "B T V"]], Float[Tensor, "B T W"]]:
            with torch.no_grad():
                _, teacher_hidden = teacher(batch.inputs, return_hidden=True)
            logits, student_hidden = student(batch.inputs, return_hidden=True)
            with torch.autocast(projector.device.type, enabled=False):  # it would multiply in half precision
                features = student_hidden[self.student_layer].to(projector.dtype) @ projector.T
            first = ~says_something(torch.ones_like(batch.mask))[..., None]
            hint = teacher_hidden[self.teacher_layer].masked_fill(first, 0)
            return (features.masked_fill(first, 0), logits), hint

        return Signal(read, (projector,))


def says_something(mask: Bool[Tensor, "B T"]) -> Bool[Tensor, "B T"]:
    """The counted positions without the first, whose hidden state is no copyable knowledge.

    It has read one token alone, mostly the mark that begins every text, and models use it as a sink of attention: its
    norm is many times that of all others, so that it would rule each mean, distance and share of variance.

    Source: Xiao et al. (2024), arXiv:2309.17453; Sun et al. (2024), arXiv:2402.17762.

    >>> says_something(torch.tensor([[True, True, False]]))
    tensor([[False,  True, False]])
    """
    return mask & (torch.arange(mask.shape[1], device=mask.device) > 0)


def width_of(model: nn.Module, role: str, layer: int) -> int:
    """Features per token of a model's hidden states, if it has them and `layer` is one of its blocks.

    Raises:
        ValueError: the model has no hidden states, or not that many blocks; `role` names it in the message.
    """
    config = getattr(model, "config", None)
    # the second names are those of Hugging Face
    width = getattr(config, "width", getattr(config, "hidden_size", None))
    layers = getattr(config, "layers", getattr(config, "num_hidden_layers", None))
    if width is None or layers is None:
        raise ValueError(
            f"the {role} is a {type(model).__name__}, which has no hidden states; expected a GPT or a HuggingFace "
            "model: from a model that has nothing but logits, copy those"
        )
    if not -layers <= layer < layers:
        raise ValueError(f"{role}_layer is {layer} for a {role} of {layers} blocks; expected {-layers} … {layers - 1}")
    return width
