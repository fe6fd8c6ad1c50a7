"""WHERE is a fixed set of texts, the world's own, or a mixture: with probability λ the student writes instead."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn

from kd_lab.arguments import Positive, checked
from kd_lab.contracts import Source, Writer, stream
from kd_lab.where.rollouts import StudentRollouts, TeacherRollouts
from kd_lab.worlds import Batch, World


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


@checked
@dataclass(frozen=True)
class Mixture:
    """On-policy with probability λ = `on_policy_fraction`, else `otherwise`: one coin per batch, as GKD throws it.

    λ = 0 draws exactly what `otherwise` alone would draw from the same seed.

    Source: Agarwal et al. (2024), arXiv:2306.13649, algorithm 1.
    """

    on_policy_fraction: float = 0.5  # λ
    otherwise: Corpus | TeacherRollouts = field(default_factory=Corpus)
    temperature: Positive = 1.0  # the student's own while it writes

    def __post_init__(self):
        if not 0 <= self.on_policy_fraction <= 1:
            raise ValueError(
                f"on_policy_fraction is {self.on_policy_fraction}; expected a probability: "
                "0 never asks the student to write, 1 always does"
            )

    @property
    def written_by(self) -> Writer:
        return StudentRollouts.written_by if self.on_policy_fraction else self.otherwise.written_by

    def __str__(self) -> str:
        return f"mix, λ = {self.on_policy_fraction:g}"

    @property
    def sides(self) -> tuple[Corpus | TeacherRollouts, StudentRollouts]:
        """The two that the coin decides between: off-policy and on-policy."""
        return self.otherwise, StudentRollouts(self.temperature)

    def bind(self, world: World, student: nn.Module, teacher: object, seed: int) -> Source:
        """A source that throws the coin for every batch. Coin, student and the rest draw from streams of their own."""
        return self.between(*(side.bind(world, student, teacher, seed) for side in self.sides), seed)

    def between(self, off_policy: Source, on_policy: Source, seed: int) -> Source:
        """The source that throws the coin of `seed` for every batch."""
        coin = stream(seed, "coin")

        def draw(batch_size: int) -> Batch:
            student_writes = torch.rand((), generator=coin) < self.on_policy_fraction
            return (on_policy if student_writes else off_policy)(batch_size)

        return Source(draw, (*off_policy.chance, *on_policy.chance, coin))
