"""The board of a tournament: places with intervals, and ties.

Entries are trained from the same beginnings, so that two of them are compared in pairs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from kd_lab.measure import mean_interval


@dataclass(frozen=True)
class Score:
    """One training of an entry; `failed` says why there are no marks."""

    name: str
    seed: int
    forward: float = float("nan")
    reverse: float = float("nan")
    seconds: float = 0.0
    teacher_positions: int = 0
    failed: str = ""

    @property
    def total(self) -> float:
        """The mean of KL(P‖Q) and KL(Q‖P), in nats per name: what the board is ordered by."""
        return (self.forward + self.reverse) / 2


@dataclass(frozen=True)
class Place:
    """A line of the board. Those who share a place cannot be told apart from the first of it."""

    place: int
    name: str
    totals: Float[np.ndarray, " S"]
    forward: float
    reverse: float
    teacher_positions: float
    seconds: float


def board(scores: Sequence[Score]) -> tuple[list[Place], dict[str, str]]:
    """The places, and the entries without one with the reason.

    Entries are ordered by their mean over seeds. A place is shared by all whose difference to its first entry, seed by
    seed, has a 95 % interval that holds 0.
    """
    by_name: dict[str, list[Score]] = {}
    for score in sorted(scores, key=lambda score: score.seed):
        by_name.setdefault(score.name, []).append(score)
    out = {name: next((one.failed for one in found if one.failed), "") for name, found in by_name.items()}
    marked = {name: found for name, found in by_name.items() if not out[name]}
    totals = {name: np.array([one.total for one in found]) for name, found in marked.items()}
    places = []
    for name, place in shared_places(totals).items():
        found = marked[name]
        mean = {kind: float(np.mean([getattr(one, kind) for one in found])) for kind in _MEANS}
        places.append(Place(place, name, totals[name], **mean))
    return places, {name: reason for name, reason in out.items() if reason}


_MEANS = ("forward", "reverse", "teacher_positions", "seconds")


def shared_places(totals: Mapping[str, Float[np.ndarray, " S"]]) -> dict[str, int]:
    """Name → place, from the best mean on; entries that cannot be told apart from the first of a place share it.

    >>> shared_places({"a": np.array([1.0, 2.0, 3.0]), "b": np.array([1.1, 1.9, 3.1]), "c": np.array([2.0, 3.1, 4.0])})
    {'a': 1, 'b': 1, 'c': 3}
    """
    ordered = sorted(totals, key=lambda name: float(totals[name].mean()))
    places: dict[str, int] = {}
    first = None
    for number, name in enumerate(ordered, 1):
        if first is None or not _tied(totals[name], totals[first]):
            first, place = name, number
        places[name] = place
    return places


def _tied(one: Float[np.ndarray, " S"], other: Float[np.ndarray, " S"]) -> bool:
    mean, half = mean_interval(one - other)
    return abs(mean) <= half


def board_table(places: Sequence[Place], out: Mapping[str, str], methods: Mapping[str, str]) -> str:
    """The board in Markdown; `methods` says which method an entry names."""
    lines = [
        "| place | name | method | score, nats per name | KL(P‖Q) | KL(Q‖P) | teacher's positions | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    counts = [one.place for one in places]
    for one in places:
        mean, half = mean_interval(one.totals)
        shared = "=" if counts.count(one.place) > 1 else ""
        lines.append(
            f"| {one.place}{shared} | {one.name} | {methods.get(one.name, '')} | {mean:.3f} ± {half:.3f} | "
            f"{one.forward:.2f} | {one.reverse:.2f} | {one.teacher_positions:,.0f} | {one.seconds:.1f} |"
        )
    for name, reason in out.items():
        lines.append(f"| – | {name} | {methods.get(name, '')} | {reason.replace('|', '/')} | | | | |")
    return "\n".join(lines)
