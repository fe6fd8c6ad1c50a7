"""The stored runs of `kd_lab.lessons.l10_weak_to_strong.experiment`: read, and turned into arrays."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

FILE = Path(__file__).with_name("results.json")


@dataclass(frozen=True, eq=False)
class Results:
    """Runs by their cell: part, then what was varied."""

    about: dict[str, Any]  # command, date, versions and seeds
    runs: dict[tuple[str, ...], dict[str, Any]]

    @property
    def seeds(self) -> list[int]:
        return self.about["seeds"]

    def accuracies(self, known: str, teacher: str, head: str, arm: str) -> Float[np.ndarray, " S"]:
        """On the test, one per deal of the texts; arm is "weak", "student", "confident" or "ceiling"."""
        return np.array(self._one("knowledge", known, teacher, head)[arm])

    def capacity(self, teacher: str, steps: int, who: str = "bits") -> Float[np.ndarray, " S"]:
        """Held-out bits per character of the students of all names, one per seed, or of their "teacher"."""
        return np.array([self._one("capacity", teacher, str(steps), str(seed))[who] for seed in self.seeds])

    def few(self, teacher: str, who: str = "bits") -> Float[np.ndarray, " S"]:
        """Held-out bits per character of the students of few names, one per seed, or of their teachers."""
        return np.array([self._one("few", teacher, str(seed))[who] for seed in self.seeds])

    def _one(self, *cell: str) -> dict[str, Any]:
        if cell not in self.runs:
            near = sorted({other[1] for other in self.runs if other[0] == cell[0]})
            raise ValueError(f"no run {cell} is stored; expected one of the part {cell[0]!r}, such as of {near}")
        return self.runs[cell]


def load_results(path: Path = FILE) -> Results:
    """The results that ship with the lesson."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    return Results(stored["about"], {tuple(run.pop("cell")): run for run in stored["runs"]})
