"""The stored runs of `kd_lab.lessons.l09_reasoning_traces.experiment`: read, and turned into arrays."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

FILE = Path(__file__).with_name("results.json")
MEASURES = ("right", "agrees", "affected", "errors")  # of a ceiling, in the order of its rows


@dataclass(frozen=True, eq=False)
class Runs:
    """All runs, by base, way and seed, or by "ceiling", lesson and seed. Arrays have one row per seed."""

    about: dict[str, Any]  # command, date, versions, seeds and budget
    problems: tuple[str, ...]  # those whose traces are kept
    runs: dict[tuple[str, str, int], dict[str, Any]]

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(self.about["seeds"])

    @property
    def compute(self) -> Float[np.ndarray, " P"]:
        """Millions of token passes at the points of a learning curve."""
        return np.linspace(0, self.about["budget"], self.about["points"] + 1) / 1e6

    def value(self, base: str, way: str, name: str) -> Float[np.ndarray, " S"]:
        """One number of each seed: "drawn", "greedy" or "seconds"."""
        return np.array([self._run(base, way, seed)[name] for seed in self.seeds], dtype=np.float64)

    def curves(self, base: str, way: str) -> Float[np.ndarray, "S P"]:
        """The accuracy along the way, drawn at temperature 1; a base stays where it is."""
        points = len(self.compute)
        return np.array([_along(self._run(base, way, seed)["curve"], points) for seed in self.seeds], dtype=np.float64)

    def passes(self, base: str, way: str, of: str = "trace") -> Float[np.ndarray, "S K"]:
        """pass@k at every k of `about["ks"]`, of answers or of whole traces."""
        return np.array([self._run(base, way, seed)[f"pass_{of}"] for seed in self.seeds], dtype=np.float64)

    def traces(self, base: str, way: str) -> list[list[str]]:
        """The texts that the first seed's student wrote greedily, at each point on each problem."""
        return _along(self._run(base, way, self.seeds[0])["shown"], len(self.compute))

    def ceiling(self, lesson: str, after: str, measure: str) -> Float[np.ndarray, " S"]:
        """One of MEASURES of each seed, after "sft" or after "rl"; NaN where it is not defined."""
        column = MEASURES.index(measure)
        return np.array([self._run("ceiling", lesson, seed)[after][column] for seed in self.seeds], dtype=np.float64)

    def _run(self, *cell: Any) -> dict[str, Any]:
        if cell not in self.runs:
            raise ValueError(
                f'there is no run {cell}; expected a base with a way, or "ceiling" with a lesson, and one of the '
                f"seeds {self.seeds}"
            )
        return self.runs[cell]


def _along(kept: list, points: int) -> list:
    """The entry of each point, and last that of the end; a run of one point stays there."""
    return [*kept[: points - 1], kept[-1]] if len(kept) > 1 else kept * points


def load_runs(path: Path = FILE) -> Runs:
    """The runs that ship with the course, or some from elsewhere.

    >>> runs = load_runs()
    >>> runs.curves("weak", "traces").shape == (len(runs.seeds), len(runs.compute))
    True
    """
    stored = json.loads(path.read_text(encoding="utf-8"))
    runs = {
        ("ceiling", run["lesson"], run["seed"])
        if run["kind"] == "ceiling"
        else (run["base"], run["way"], run["seed"]): run
        for run in stored["runs"]
    }
    return Runs(stored["about"], tuple(stored["problems"]), runs)
