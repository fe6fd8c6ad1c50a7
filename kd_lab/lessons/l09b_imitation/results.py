"""The stored runs of `kd_lab.lessons.l09b_imitation.experiment`: read, and turned into arrays."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

FILE = Path(__file__).with_name("results.json")


@dataclass(frozen=True, eq=False)
class Runs:
    """All runs, by ("imitation", examples, seed) and ("recipe", name, seed)."""

    about: dict[str, Any]  # command, date, versions, seeds and settings
    runs: dict[tuple[str, Any, int], dict[str, Any]]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.about["seeds"])

    @property
    def sizes(self) -> tuple[int, ...]:
        return tuple(self.about["sizes"])

    @property
    def recipes(self) -> tuple[str, ...]:
        return tuple(self.about["recipes"])

    def value(self, kind: str, which: Any, name: str) -> Float[np.ndarray, " S"]:
        """One number of each seed.

        Raises:
            ValueError: there is no such run, or it has no such number.
        """
        try:
            return np.array([self.runs[kind, which, seed][name] for seed in self.seeds], dtype=np.float64)
        except KeyError as error:
            raise ValueError(
                f"there is no run {kind!r} of {which!r} with {name!r}; the sizes are {self.sizes}, the recipes "
                f"{self.recipes}"
            ) from error

    def texts(self, size: int) -> dict[str, list[str]]:
        """The texts of the first seed's student of so many examples, on "covered" and on "uncovered" problems."""
        return self.runs["imitation", size, self.seeds[0]]["texts"]


def load_runs(path: Path = FILE) -> Runs:
    """The runs that ship with the course, or some from elsewhere.

    >>> runs = load_runs()
    >>> len(runs.runs) == len(runs.seeds) * (len(runs.sizes) + len(runs.recipes) + 1)
    True
    """
    stored = json.loads(path.read_text(encoding="utf-8"))
    runs = {(run["kind"], run["which"], run["seed"]): run for run in stored["runs"]}
    return Runs(stored["about"], runs)
