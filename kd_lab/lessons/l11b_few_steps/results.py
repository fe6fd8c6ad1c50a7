"""The stored runs of `kd_lab.lessons.l11b_few_steps.experiment`: read, and turned into arrays."""

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

FILE = Path(__file__).with_name("results.json")


@dataclass(frozen=True, eq=False)
class Results:
    """Stored runs; an array has an entry for each seed."""

    about: dict[str, Any]  # command, date, versions, seeds and budgets
    samplers: list[dict[str, Any]]  # one per seed
    matching: list[dict[str, Any]]  # one per density, arm and seed
    long: list[dict[str, Any]]  # one per gradient

    def steps(self, sampler: str) -> list[int]:
        """The numbers of steps at which a sampler was measured."""
        return sorted(map(int, self.samplers[0]["samplers"][sampler]))

    def sampler(self, name: str, steps: int, measure: str = "energy") -> Float[np.ndarray, " S"]:
        """Energy distance in units of length, or the "stray" share, of a sampler with this many steps.

        Raises:
            ValueError: it was not measured with so many.
        """
        known = self.samplers[0]["samplers"]
        if name not in known or str(steps) not in known[name]:
            raise ValueError(
                f"no sampler {name!r} with {steps} steps is stored; there are "
                + "; ".join(f"{one} with {', '.join(found)}" for one, found in known.items())
            )
        return np.array([run["samplers"][name][str(steps)][measure] for run in self.samplers])

    def exact(self, which: int = 0, measure: str = "energy") -> Float[np.ndarray, " S"]:
        """The same measure of as many samples of the density itself: the floor. There are two draws, 0 and 1."""
        return np.array([run["exact"][which][measure] for run in self.samplers])

    def miss(self, name: str) -> Float[np.ndarray, " S"]:
        """Median distance from where the teacher's 32 steps land to where one step of a student lands."""
        return np.array([run["miss"][name] for run in self.samplers])

    def path(self, name: str, steps: int) -> Float[np.ndarray, "P N 2"]:
        """Points of a few trajectories of seed 0, noise first."""
        return np.array(self.samplers[0]["paths"][name][str(steps)])

    def cloud(self, name: str, steps: int) -> Float[np.ndarray, "N 2"]:
        """End points of seed 0."""
        return np.array(self.samplers[0]["clouds"][name][str(steps)])

    def matched(self, density: str, arm: str, measure: str) -> np.ndarray:
        """A measure of the generators by distribution matching: "modes", "energy", "stray", or their "shares" [S, K].

        Raises:
            ValueError: there is no such density or arm.
        """
        found = [run[measure] for run in self.matching if (run["density"], run["arm"]) == (density, arm)]
        if not found:
            known = sorted({(run["density"], run["arm"]) for run in self.matching})
            raise ValueError(f"no run of {density!r} with {arm!r} is stored; there are {known}")
        return np.array(found, dtype=float)

    def given_time(self, gradient: str) -> Float[np.ndarray, "C S"]:
        """Modes kept by particles that began on the heavy mode, after the steps of `experiment.LONG`."""
        return np.array(next(run["kept"] for run in self.long if run["gradient"] == gradient))


@lru_cache(maxsize=4)
def load_results(path: Path = FILE) -> Results:
    """The runs that came with the course, or others of the same command."""
    content = json.loads(path.read_text(encoding="utf-8"))
    by_part: dict[str, list[dict[str, Any]]] = {"samplers": [], "matching": [], "long": []}
    for run in sorted(content["runs"], key=lambda run: run["seed"]):
        by_part[run["part"]].append(run)
    return Results(content["about"], **by_part)
