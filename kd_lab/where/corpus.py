"""WHERE is a fixed set of texts: the world's own, visited with or without a teacher beside it."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from kd_lab.contracts import Source, Writer, stream
from kd_lab.worlds import World


@dataclass(frozen=True)
class Corpus:
    """Prefixes of the world's training texts. Off-policy: neither student nor teacher wrote them."""

    written_by: ClassVar[Writer] = "data"

    def __str__(self) -> str:
        return "fixed set"

    def bind(self, world: World, student: nn.Module, teacher: object, seed: int) -> Source:
        """A source of batches drawn with replacement from `world.train`."""
        generator = stream(seed, "texts")
        return Source(lambda batch_size: world.sample(batch_size, generator), (generator,))
