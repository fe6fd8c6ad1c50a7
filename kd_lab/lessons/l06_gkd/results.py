"""The stored grid of `kd_lab.lessons.l06_gkd.experiment`: read, and turned into arrays."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

GRID = Path(__file__).with_name("results.json")


@dataclass(frozen=True, eq=False)
class Grid:
    """Runs of one grid. An array has a row per divergence, a column per share λ and, last, an entry per seed."""

    about: dict[str, Any]  # command, date, versions, seeds and budgets
    runs: dict[tuple[str, str, float, int], dict[str, Any]]  # by world, divergence, λ and seed

    @property
    def worlds(self) -> tuple[str, ...]:
        return tuple(self.about["worlds"])

    @property
    def divergences(self) -> tuple[str, ...]:
        return tuple(self.about["betas"])

    @property
    def fractions(self) -> tuple[float, ...]:
        return tuple(sorted({fraction for _, _, fraction, _ in self.runs}))

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.about["seeds"])

    def points(self, world: str) -> list[int]:
        """The steps at which a run of this world was measured."""
        return self.about["worlds"][world]["points"]

    def curves(self, world: str, divergence: str, fraction: float, measure: str) -> Float[np.ndarray, "S P"]:
        """The measures at `points` in one cell, one row per seed.

        Raises:
            ValueError: the grid has no such cell or measure.
        """
        which = self._column(measure)
        return np.array(
            [[point[which] for point in self._run(world, divergence, fraction, s)["curve"]] for s in self.seeds],
            dtype=np.float64,
        )

    def final(self, world: str, measure: str) -> Float[np.ndarray, "D F S"]:
        """The last measure of every cell, in nats per text for the KLs and bits per character for the judgement."""
        return np.array(
            [
                [self.curves(world, divergence, fraction, measure)[:, -1] for fraction in self.fractions]
                for divergence in self.divergences
            ]
        )

    def samples(self, world: str, divergence: str, fraction: float) -> list[str]:
        """The texts of the first seed's student, written after its training."""
        return self._run(world, divergence, fraction, self.seeds[0])["samples"]

    def _run(self, *cell: Any) -> dict[str, Any]:
        if cell not in self.runs:
            raise ValueError(
                f"the grid has no run {cell}; its worlds are {self.worlds}, its divergences {self.divergences}, "
                f"its shares {self.fractions} and its seeds {self.seeds}"
            )
        return self.runs[cell]

    def _column(self, measure: str) -> int:
        if measure not in self.about["measures"]:
            raise ValueError(f"measure is {measure!r}; expected one of {self.about['measures']}")
        return self.about["measures"].index(measure)


def load_grid(path: Path = GRID) -> Grid:
    """The grid that ships with the course, or one from elsewhere.

    >>> grid = load_grid()
    >>> len(grid.runs) == len(grid.worlds) * len(grid.divergences) * len(grid.fractions) * len(grid.seeds)
    True
    """
    stored = json.loads(path.read_text(encoding="utf-8"))
    runs = {(run["world"], run["divergence"], run["on_policy_fraction"], run["seed"]): run for run in stored["runs"]}
    return Grid(stored["about"], runs)


def regret(final: Float[np.ndarray, "D F S"]) -> Float[np.ndarray, "D F S"]:
    """How many times as far from the teacher each run ended as the best cell did with the same seed.

    The best cell is the one with the lowest mean over seeds. Runs of one seed began with the same student, so that
    their ratio says more than the ratio of two means.

    Args:
        final: of a measure that is 0 for a perfect student, such as a KL.

    >>> regret(np.array([[[1.0, 2.0], [4.0, 4.0]]])).tolist()
    [[[1.0, 1.0], [4.0, 2.0]]]
    """
    best = final.mean(-1).argmin()
    return final / final.reshape(-1, final.shape[-1])[best]
