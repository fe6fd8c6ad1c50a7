"""The stored runs of `experiment.py`, read, turned into arrays, and printed as the table of the field."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from kd_lab.lessons.l12_the_whole_field.field import METHODS, OTHER_TOKENS, key_of
from kd_lab.measure import mean_interval
from kd_lab.methods import Recipe

RESULTS = Path(__file__).with_name("results.json")
BEGINNER, OTHER = "beginner", "pairs"
"""The students before any method, and the teacher of pairs; its own students follow after a colon."""

COSTS = ("seconds", "teacher", "written", "trained")


@cache
def _file() -> dict[str, Any]:
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def about() -> dict[str, Any]:
    """The head of the file: command, date, versions, seeds and budgets."""
    return _file()["about"]


def seeds() -> list[int]:
    return about()["seeds"]


@cache
def _by_part() -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for run in sorted(_file()["runs"], key=lambda run: run["seed"]):
        found.setdefault(run["part"], []).append(run)
    return found


def runs(part: str) -> list[dict[str, Any]]:
    """All runs of a part, in the order of their seeds.

    Raises:
        ValueError: there is no such part.

    >>> len(runs("merging")) == len(seeds())
    True
    """
    if part not in _by_part():
        raise ValueError(f"no stored run is called {part!r}; expected one of {sorted(_by_part())}")
    return _by_part()[part]


def part_of(row: str | Recipe) -> str:
    """The part that holds the runs of a recipe, or of a row of the table."""
    if isinstance(row, Recipe):
        return key_of(row)
    if row in METHODS:
        return key_of(METHODS[row])
    return f"{OTHER}: {row}" if row in OTHER_TOKENS else row


def marks(row: str | Recipe, judge: str) -> Float[np.ndarray, " S"]:
    """One number per seed: "forward" and "reverse" in nats per name, "held_out" in bits per character."""
    return marks_of(part_of(row), judge)


def marks_of(part: str, judge: str) -> Float[np.ndarray, " S"]:
    """As `marks`, of a part by its own name."""
    column = about()["judges"].index(judge)
    return np.array([run["marks"][column] for run in runs(part)])


def cost(row: str | Recipe, kind: str) -> Float[np.ndarray, " S"]:
    """One number per seed: processor "seconds", and positions of the "teacher", "written" and "trained"."""
    return np.array([run["cost"][COSTS.index(kind)] for run in runs(part_of(row))], float)


def samples(row: str | Recipe) -> list[str]:
    """Texts of the first seed's student."""
    return runs(part_of(row))[0]["samples"]


def ways(part: str, column: int = 0) -> dict[str, Float[np.ndarray, " S"]]:
    """Of "instruction", "solution" or "merging": way → one number per seed, from a column of its marks."""
    found = runs(part)
    return {label: np.array([run["ways"][label][column] for run in found]) for label in found[0]["ways"]}


@cache
def field_keys() -> tuple[str, ...]:
    """The parts that learned from the shipped teacher: the dots of the scatter."""
    return tuple(part for part in _by_part() if " × " in part)


def plus_minus(values: Float[np.ndarray, " S"], digits: int = 2) -> str:
    """Mean and half width of the 95 % interval over seeds."""
    mean, half = mean_interval(values)
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def field_table() -> str:
    """The table of the field in Markdown, generated from the recipes and from the stored runs."""
    header = ("method", "WHAT", "HOW", "WHERE", "KL(P‖Q)", "KL(Q‖P)", "seconds", "teacher's positions", "student's")
    rows = [_row("the student before", None, BEGINNER)]
    rows += [_row(label, recipe, label) for label, recipe in METHODS.items()]
    rows += [_row("teacher of pairs", None, OTHER)]
    rows += [_row(f"pairs: {label}", recipe, label) for label, recipe in OTHER_TOKENS.items()]
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row(label: str, recipe: Recipe | None, row: str) -> tuple[str, ...]:
    terms = recipe.terms if recipe else ()
    what, how, where = (
        " + ".join(dict.fromkeys(str(getattr(term, knob)) for term in terms)) for knob in ("what", "how", "where")
    )
    judged = [plus_minus(marks(row, judge)) for judge in ("forward", "reverse")]
    if not recipe:
        return label, "", "", "", *judged, "", "", ""
    spent = [f"{cost(row, 'seconds').mean():.1f}"]
    spent += [f"{cost(row, kind).mean() / 1000:.0f} K" for kind in ("teacher", "written")]
    return label, what, how, where, *judged, *spent
