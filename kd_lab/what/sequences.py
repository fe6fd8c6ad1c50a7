"""WHAT is copied from text alone: the tokens themselves."""

from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.contracts import Access, Kind, Signal
from kd_lab.worlds import Batch


@dataclass(frozen=True)
class Sequences:
    """The tokens of a text and nothing else: one id per position, black-box. The author is chosen by WHERE.

    Source: Kim & Rush (2016), arXiv:1606.07947, section 3.2.
    """

    gives: ClassVar[Kind] = "tokens"
    needs: ClassVar[Access] = "text"

    def __str__(self) -> str:
        return "sequences"

    def bind(self, student: nn.Module, teacher: object, seed: int) -> Signal:
        """A reader of the student's logits and of the tokens that follow. The teacher is not asked."""

        def read(batch: Batch) -> tuple[Float[Tensor, "B T V"], Int[Tensor, "B T"]]:
            return student(batch.inputs), batch.targets

        return Signal(read)
