"""The answers of the stored runs to the lesson's predictions."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from kd_lab.lessons.l12_the_whole_field import stored
from kd_lab.lessons.l12_the_whole_field.board import shared_places
from kd_lab.lessons.l12_the_whole_field.field import HOWS, METHODS, WHERES, compose, legal_cells

Marks = Float[np.ndarray, " S"]


def field(judge: str) -> dict[str, Marks]:
    """Named method → its marks under "forward" or "reverse", one per seed."""
    return {name: stored.marks(name, judge) for name in METHODS}


def nearest(found: Mapping[str, Marks]) -> str:
    """The name with the lowest mean."""
    return min(found, key=lambda name: float(found[name].mean()))


def ahead(found: Mapping[str, Marks], winner: str) -> Marks:
    """By how much the nearest of all others is farther away, seed by seed; negative where it is nearer."""
    others = {name: marks for name, marks in found.items() if name != winner}
    return others[nearest(others)] - found[winner]


def first_place(found: Mapping[str, Marks]) -> list[str]:
    """The nearest, and all that cannot be told apart from it, compared in pairs."""
    return [name for name, place in shared_places(found).items() if place == 1]


def grid(judge: str) -> Float[np.ndarray, "H W S"]:
    """The marks of all choices with WHAT = logits: a row per HOW, a column per WHERE, an entry per seed."""
    hows = [how for how in HOWS if ("logits", how, next(iter(WHERES))) in legal_cells()]
    return np.array([[stored.marks(compose("logits", how, where), judge) for where in WHERES] for how in hows])


def spreads(cells: Float[np.ndarray, "H W S"]) -> tuple[Marks, Marks]:
    """From the best to the worst HOW, and from the best to the worst WHERE, each averaged over the other; per seed."""
    by_how, by_where = cells.mean(1), cells.mean(0)
    return np.ptp(by_how, axis=0), np.ptp(by_where, axis=0)
