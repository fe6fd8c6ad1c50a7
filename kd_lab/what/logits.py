"""WHAT is copied from the next-token distributions: logits at each position, along a whole text, or a few kept ones."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.arguments import checked
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


@checked
@dataclass(frozen=True)
class KeptLogits:
    """The top k or sampled tokens of each position, looked up by the text. The teacher is a `SparseTeacher`.

    Source: Anshumann et al. (2025), "Sparse Logit Sampling", arXiv:2503.16870, section 2.
    """

    texts: Batch = field(repr=False, compare=False)  # the texts that were read; row i of the cache is of text i
    gives: ClassVar[Kind] = "sparse_distributions"
    needs: ClassVar[Access] = "kept_logits"

    def __str__(self) -> str:
        return "kept logits"

    def bind(self, student: nn.Module, teacher: object, seed: int) -> Signal:
        """A reader of the student's logits and of the cache's rows for the same texts.

        Raises:
            ValueError: the cache has another number of rows than there are texts; on reading, a text is not among them.
        """
        if len(teacher) != len(self.texts):
            raise ValueError(
                f"the cache has {len(teacher)} rows and {len(self.texts)} texts came with it; expected one row for "
                "each text, in the same order: hand over the batch that the cache was made of"
            )
        row_of = {_key(row): i for i, row in enumerate(self.texts.inputs)}

        def read(batch: Batch) -> tuple[Float[Tensor, "B T V"], object]:
            rows = [row_of.get(_key(row)) for row in batch.inputs]
            if None in rows:
                raise ValueError(
                    f"{rows.count(None)} of {len(rows)} texts are not in the cache; expected those that it was made "
                    "of: train on the same world, padded to the same length"
                )
            return student(batch.inputs), teacher[torch.tensor(rows)].to(batch.mask.device)

        return Signal(read)


def _key(tokens: Tensor) -> bytes:
    return tokens.cpu().numpy().tobytes()
