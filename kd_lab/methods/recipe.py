"""A method of distillation is a recipe: one choice for each of the three knobs, and nothing else."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from kd_lab.contracts import Source
from kd_lab.what import Signal
from kd_lab.where import TextTeacher
from kd_lab.worlds import Batch, World


@runtime_checkable
class What(Protocol):
    """The signal that is copied. `gives` names its kind, `needs` what must be seen of the teacher for it."""

    gives: str
    needs: str

    def open(self, student: nn.Module, teacher: object, seed: int) -> Signal: ...


@runtime_checkable
class How(Protocol):
    """The gap that is measured. `takes` names the kind of signal that it compares."""

    takes: str

    def __call__(self, student_signal: Tensor, teacher_signal: Tensor, batch: Batch) -> Tensor: ...


@runtime_checkable
class Where(Protocol):
    """The prefixes that are visited. `written_by` says whose they are."""

    written_by: str

    def bind(self, world: World, student: nn.Module, teacher: object, seed: int) -> Source: ...


@dataclass(frozen=True)
class Recipe:
    """WHAT is matched, HOW the gap is measured, WHERE the prefixes come from.

    L(θ) = E over prefixes drawn by WHERE of Σ_t HOW(WHAT(teacher, prefix), WHAT(student, prefix)).

    Raises:
        ValueError: the choices do not fit together; the message says why.

    >>> from kd_lab.methods import word_level
    >>> print(word_level())
    word-level KD: logits × forward KL × fixed set
    """

    name: str
    what: What
    how: How
    where: Where
    source: str = ""  # the paper that the method is from

    def __post_init__(self):
        if self.how.takes != self.what.gives:
            raise ValueError(
                f"{self.name}: WHAT = {self.what} gives {self.what.gives} and HOW = {self.how} compares "
                f"{self.how.takes}; expected one kind: pair logits with a divergence, sequences with their likelihood"
            )
        if self.what.gives == "paths" and self.where.written_by != "student":
            raise ValueError(
                f"{self.name}: HOW = {self.how} is an expectation over what the student writes, and WHERE = "
                f"{self.where} is written by the {self.where.written_by}; take StudentRollouts, also with a teacher_mix"
            )
        if self.what.gives == "tokens" and self.where.written_by == "student":
            raise ValueError(
                f"{self.name}: WHAT = {self.what} on WHERE = {self.where} trains the student on its own tokens, in "
                "which there is no teacher; take WHAT = logits to let the teacher judge them, or let the teacher write"
            )

    def __str__(self) -> str:
        return f"{self.name}: {self.what} × {self.how} × {self.where}"

    def fits(self, teacher: nn.Module | TextTeacher | None) -> None:
        """Refuse a teacher that does not show what this recipe needs.

        Raises:
            ValueError: with the reason and the mend.
        """
        if self.what.needs != "text" and not isinstance(teacher, nn.Module):
            shown = "no teacher came" if teacher is None else "this teacher returns text only"
            raise ValueError(
                f"{self.name} copies {self.what}, and {shown}; expected a model whose {self.what.needs} "
                "can be read (white-box): "
                "pass one, or use sequence_level, which needs nothing but text"
            )
        if teacher is None and self.where.written_by != "data":
            raise ValueError(
                f"{self.name} visits texts written by the {self.where.written_by}, and no teacher came; "
                "pass a teacher, or use labels_only, which needs none"
            )

    @staticmethod
    def table(recipes: Iterable["Recipe"] | None = None) -> str:
        """The three-knob table in Markdown, one row a recipe; without an argument, of every method of the library."""
        if recipes is None:
            from kd_lab.methods import METHODS  # here, since the methods are made of recipes

            recipes = [method() for method in METHODS]
        rows = [(recipe.name, str(recipe.what), str(recipe.how), str(recipe.where)) for recipe in recipes]
        header = ("method", "WHAT", "HOW", "WHERE")
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines = [header, tuple("-" * width for width in widths), *rows]
        return "\n".join(
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in lines
        )
