"""A recipe bound to a student, a teacher and a world: it draws the batches of a step and yields their losses."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from kd_lab.contracts import Signal, Source, derive
from kd_lab.methods.parallel import Ranks, bind_part
from kd_lab.methods.recipe import Recipe, Term
from kd_lab.worlds import Batch, World


@dataclass(frozen=True)
class BoundTerm:
    """A term that knows its models."""

    term: Term
    signal: Signal
    source: int  # which of the step's batches it reads


@dataclass(frozen=True)
class Objective:
    """The loss of a recipe, for one student, teacher and world."""

    terms: tuple[BoundTerm, ...]
    sources: tuple[Source, ...]  # one for each WHERE; terms that name the same WHERE share it
    ranks: Ranks
    parts: int = 1  # a batch is read in as many forward and backward passes
    autocast: torch.dtype | None = None  # the precision in which student and teacher read

    @classmethod
    def bind(
        cls, recipe: Recipe, student: nn.Module, teacher: object, world: World, seed: int, ranks: Ranks, **options
    ) -> "Objective":
        """Bind every term. The first draws from `seed`, as a recipe of one term does, every other from its own."""
        seeds = [seed, *(derive(seed, f"term {i}") for i in range(1, len(recipe.terms)))]
        wheres, terms = [], []
        for term, own_seed in zip(recipe.terms, seeds, strict=True):
            if term.where not in wheres:
                wheres.append(term.where)
            signal = term.what.bind(student, teacher, own_seed)
            terms.append(BoundTerm(term, signal, wheres.index(term.where)))
        sources = [
            bind_part(where, world, student, teacher, own_seed, ranks)
            for where, own_seed in zip(wheres, seeds, strict=False)
        ]
        return cls(tuple(terms), tuple(sources), ranks, **options)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Trained beside the student and thrown away after."""
        return [parameter for bound in self.terms for parameter in bound.signal.parameters]

    @property
    def chance(self) -> list[torch.Generator]:
        """All streams that the batches are drawn from."""
        return [generator for source in self.sources for generator in source.chance]

    def draw(self, batch_size: int, device: torch.device) -> list[Batch]:
        """A batch from each source: this rank's share of `batch_size` texts."""
        return [source(batch_size // self.ranks.size).to(device) for source in self.sources]

    def losses(self, batches: list[Batch], counts: list[int]) -> Iterator[Tensor]:
        """The step's loss in summands, each to be sent backward before the next is read.

        Args:
            batches: one for each source.
            counts: the positions that count in the whole step, over all ranks, for each source. Every summand is
                divided by them, so that losses and gradients add up to those of one large batch.
        """
        for bound, part in self._readings(batches):
            with self._precision(part):
                signals = bound.signal.read(part)
            yield bound.term.weight * bound.term.how(*signals, part, normalizer=max(counts[bound.source], 1))

    def diagnosis(self, batches: list[Batch]) -> str:
        """The reason of a loss or gradient that is not finite, and the fix; the same on each rank.

        Every part is read, after one that gives a reason too: the ranks of a sharded student can read only together.
        """
        own = [reason for bound, part in self._readings(batches) if (reason := self._reason(bound, part))]
        reasons = [reason for of_rank in self.ranks.gather(own) for reason in of_rank]
        reasons.append("the models' outputs are finite, and the loss or its gradient is not: lower learning_rate")
        return reasons[0]

    def _reason(self, bound: BoundTerm, part: Batch) -> str | None:
        with torch.no_grad(), self._precision(part):
            student_signal, teacher_signal = bound.signal.read(part)
        if _has_nan(student_signal):
            return "the student's own output is NaN: lower learning_rate, or look at the weights that it came with"
        if _has_nan(teacher_signal):
            return "the teacher's output is NaN: look at its weights"
        loss = bound.term.how(student_signal, teacher_signal, part)
        if loss.isnan():
            return "an output is infinite, and their loss NaN: lower learning_rate, or look at both models' weights"
        if loss.isinf():
            return (
                f"{bound.term.how} is infinite: one side gives probability zero where the other does not; "
                "use JSD or skew KL, which stay finite, or a teacher without zeros"
            )
        return None

    def _readings(self, batches: list[Batch]) -> Iterator[tuple[BoundTerm, Batch]]:
        for bound in self.terms:
            batch = batches[bound.source]
            # as many texts in each part as can be, since relations between texts need two of them
            ends = [len(batch) * i // self.parts for i in range(self.parts + 1)]
            yield from ((bound, batch[start:end]) for start, end in pairwise(ends) if start < end)

    def _precision(self, batch: Batch) -> AbstractContextManager:
        if self.autocast is None:
            return nullcontext()
        return torch.autocast(batch.mask.device.type, self.autocast)


def _has_nan(signal: object) -> bool:
    if isinstance(signal, tuple):
        return any(map(_has_nan, signal))
    return isinstance(signal, Tensor) and bool(signal.isnan().any())
