"""WHAT is copied from the next-token distributions: the logits at each position, or along a whole text."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.contracts import Access, Kind, Signal
from kd_lab.worlds import Batch


@dataclass(frozen=True)
class Logits:
    """The teacher's whole conditional at every position: V numbers per position, white-box.

    Source: Hinton, Vinyals & Dean (2015), arXiv:1503.02531, section 2.
    """

    gives: ClassVar[Kind] = "distributions"
    needs: ClassVar[Access] = "logits"

    def __str__(self) -> str:
        return "logits"

    def bind(self, student: nn.Module, teacher: nn.Module, seed: int) -> Signal:
        """A reader of both models' logits; nothing has to be learned for it."""

        def read(batch: Batch) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B T V"]]:
            with torch.no_grad():
                teacher_logits = teacher(batch.inputs)
            return student(batch.inputs), teacher_logits

        return Signal(read)


@dataclass(frozen=True)
class Paths(Logits):
    """The logits along a whole text, as one thing: a token is judged by all that follows from it.

    Source: Gu et al. (2024), "MiniLLM", arXiv:2306.08543, equation 2.
    """

    gives: ClassVar[Kind] = "paths"

    def __str__(self) -> str:
        return "sequences, with logits"
