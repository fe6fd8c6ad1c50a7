"""A method of distillation is a recipe: one choice for each of the three knobs, and nothing else.

Most methods are one such term. A loss that visits texts of two kinds, or measures two gaps, is a sum of terms.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from kd_lab.arguments import checked
from kd_lab.contracts import How, What, Where
from kd_lab.how import SparseTeacher


@checked
@dataclass(frozen=True)
class Term:
    """One choice for each knob: weight · E over prefixes drawn by WHERE of Σ_t HOW(WHAT(student), WHAT(teacher)).

    Raises:
        ValueError: the choices do not fit together; the message says why.

    >>> from kd_lab.how import Divergence
    >>> from kd_lab.what import Logits
    >>> from kd_lab.where import Corpus
    >>> print(Term(Logits(), Divergence("reverse_kl"), Corpus(), weight=0.5))
    0.5 · logits × reverse KL × fixed set
    """

    what: What
    how: How
    where: Where
    weight: float = 1.0

    def __post_init__(self):
        if not math.isfinite(self.weight) or self.weight == 0:
            raise ValueError(f"weight is {self.weight}; expected a finite number that is not 0: leave such a term out")
        if self.what.gives not in self.how.takes:
            raise ValueError(
                f"WHAT = {self.what} gives {self.what.gives} and HOW = {self.how} compares "
                f"{' or '.join(self.how.takes)}; expected one kind: pair logits with a divergence, sequences with "
                "their likelihood"
            )
        if self.what.gives == "paths":
            self._check_paths()
        if self.where.written_by == "student":
            self._check_own_text()

    def __str__(self) -> str:
        weight = "" if self.weight == 1 else f"{self.weight:g} · "
        return f"{weight}{self.what} × {self.how} × {self.where}"

    def _check_paths(self) -> None:
        """A policy gradient is an expectation over the student's own texts, drawn as it will be deployed."""
        where = self.where
        if where.written_by != "student" or getattr(where, "on_policy_fraction", 1) < 1:
            raise ValueError(
                f"HOW = {self.how} is an expectation over the student's own texts, and WHERE = {where} has texts "
                f"written by others (written_by is {where.written_by!r}); take StudentRollouts, with or without "
                "teacher_mix"
            )
        if (temperature := getattr(where, "temperature", 1)) != 1:
            raise ValueError(
                f"HOW = {self.how} weighs each text by how often the student writes it, and WHERE writes at a "
                f"temperature of {temperature:g}, where other texts are frequent: its gradient is that of no "
                "objective; expected temperature 1: take StudentRollouts()"
            )

    def _check_own_text(self) -> None:
        """On its own texts the student may be judged by the teacher, and by nothing else."""
        if self.what.gives == "tokens":
            raise ValueError(
                f"WHAT = {self.what} on WHERE = {self.where} trains the student on its own tokens, in which there is "
                "no teacher; take WHAT = Logits() to let the teacher judge them, or let the teacher write"
            )
        if self.what.gives == "sparse_distributions":
            raise ValueError(
                f"WHAT = {self.what} looks texts up, and WHERE = {self.where} writes texts that nobody has looked at "
                "before; take Corpus(), the texts that the cache was made of"
            )
        if getattr(self.how, "reads_labels", False):
            raise ValueError(
                f"HOW = {self.how} reads labels on WHERE = {self.where}: there they are the student's own tokens, and "
                "their cross-entropy teaches it what it says already; expected label_weight=0 here, and a second term "
                "for the labels: Term(Sequences(), NegativeLogLikelihood(), Corpus(), weight=…)"
            )


@checked
@dataclass(frozen=True, init=False)
class Recipe:
    """WHAT is matched, HOW the gap is measured, WHERE the prefixes come from: one term, or a weighted sum of terms.

    Args of the constructor: a name, then either the three knobs or `terms`; `source` is the paper of the method. Terms
    that name the same WHERE read the same batches.

    Raises:
        ValueError: the choices do not fit together; the message says why.

    >>> from kd_lab.methods import word_level
    >>> print(word_level())
    word-level KD: logits × forward KL × fixed set
    """

    name: str
    terms: tuple[Term, ...]
    source: str = ""

    def __init__(
        self,
        name: str,
        what: What | None = None,
        how: How | None = None,
        where: Where | None = None,
        *,
        terms: Iterable[Term] = (),
        source: str = "",
    ):
        terms, knobs = tuple(terms), (what, how, where)
        if bool(terms) == (None not in knobs) or (terms and knobs != (None,) * 3):
            raise ValueError(
                f"{name} has {len(terms)} terms and {3 - knobs.count(None)} of the three knobs; expected either: "
                "Recipe(name, what, how, where), or Recipe(name, terms=(Term(what, how, where), …))"
            )
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "terms", terms or (Term(what, how, where),))
        object.__setattr__(self, "source", source)

    def __str__(self) -> str:
        return f"{self.name}: " + " + ".join(map(str, self.terms))

    @property
    def what(self) -> What:
        return self._only().what

    @property
    def how(self) -> How:
        return self._only().how

    @property
    def where(self) -> Where:
        return self._only().where

    def _only(self) -> Term:
        if len(self.terms) > 1:
            raise ValueError(f"{self.name} is a sum of {len(self.terms)} terms; read recipe.terms[i] for one of them")
        return self.terms[0]

    def fits(self, teacher: object) -> None:
        """Refuse a teacher that does not show the signal of each term.

        Raises:
            ValueError: with the reason and the fix.
        """
        for term in self.terms:
            needs = term.what.needs
            if needs == "kept_logits" and not isinstance(teacher, SparseTeacher):
                raise ValueError(
                    f"{self.name} copies {term.what}, and the teacher is a {type(teacher).__name__}; expected a "
                    "SparseTeacher: kd_lab.how.top_k or sampled make one of a model's logits on the texts"
                )
            if needs in ("logits", "hidden_states") and not isinstance(teacher, nn.Module):
                shown = "no teacher came" if teacher is None else "this teacher returns text only"
                raise ValueError(
                    f"{self.name} copies {term.what}, and {shown}; expected a model whose {needs.replace('_', ' ')} "
                    "can be read (white-box): pass one, or use sequence_level, which needs nothing but text"
                )
            if teacher is None and term.where.written_by != "data":
                raise ValueError(
                    f"{self.name} visits texts written by the {term.where.written_by}, and no teacher came; "
                    "pass a teacher, or use labels_only, which needs none"
                )

    @staticmethod
    def table(recipes: Iterable["Recipe"] | None = None) -> str:
        """The three-knob table in Markdown, one row per term; without an argument, of every method of the library."""
        if recipes is None:
            from kd_lab.methods import METHODS  # here, since the methods are made of recipes

            recipes = [method() for method in METHODS]
        header = ("method", "WHAT", "HOW", "WHERE")
        rows = [row for recipe in recipes for row in _rows(recipe)]
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        lines = [header, tuple("-" * width for width in widths), *rows]
        return "\n".join(
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in lines
        )


def _rows(recipe: Recipe) -> Iterable[tuple[str, str, str, str]]:
    for i, term in enumerate(recipe.terms):
        weight = "" if term.weight == 1 else f"{term.weight:g} · "
        yield recipe.name if i == 0 else "  +", f"{weight}{term.what}", str(term.how), str(term.where)
