"""WHAT is copied when it can be read off the next-token distributions: the logits, or nothing but the tokens."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.what.signal import Signal
from kd_lab.worlds import Batch


@dataclass(frozen=True)
class Logits:
    """The teacher's whole conditional at every position: V numbers a token, white-box.

    Source: Hinton, Vinyals & Dean (2015), arXiv:1503.02531, section 2.
    """

    gives: ClassVar[str] = "distributions"
    needs: ClassVar[str] = "logits"

    def __str__(self) -> str:
        return "logits"

    def open(self, student: nn.Module, teacher: nn.Module, seed: int) -> Signal:
        """Read the logits of both; nothing has to be learned for it."""

        def read(batch: Batch) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B T V"]]:
            with torch.no_grad():
                teacher_logits = teacher(batch.inputs)
            return student(batch.inputs), teacher_logits

        return Signal(read)


@dataclass(frozen=True)
class Paths(Logits):
    """The logits along a whole text, as one thing: what is said now is judged by all that follows from it.

    Source: Gu et al. (2024), "MiniLLM", arXiv:2306.08543, equation 2.
    """

    gives: ClassVar[str] = "paths"

    def __str__(self) -> str:
        return "sequences, with logits"


@dataclass(frozen=True)
class Sequences:
    """The tokens of a text and nothing else: one id a token, black-box. Whose text it is, WHERE decides.

    Source: Kim & Rush (2016), arXiv:1606.07947, section 3.2.
    """

    gives: ClassVar[str] = "tokens"
    needs: ClassVar[str] = "text"

    def __str__(self) -> str:
        return "sequences"

    def open(self, student: nn.Module, teacher: object, seed: int) -> Signal:
        """Read the student's logits, and the tokens that it should have predicted. The teacher is not asked."""

        def read(batch: Batch) -> tuple[Float[Tensor, "B T V"], Int[Tensor, "B T"]]:
            return student(batch.inputs), batch.targets

        return Signal(read)
