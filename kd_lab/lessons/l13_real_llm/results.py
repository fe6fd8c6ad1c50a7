"""The stored results of `kd_lab.lessons.l13_real_llm.experiment`: read, and turned into arrays."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True, eq=False)
class Results:
    """The facts of the run, and its parts as they were measured."""

    about: dict[str, Any]  # command, date, versions, budget; "missing" names the parts that were not run
    parts: list[dict[str, Any]]

    def all(self, part: str) -> list[dict[str, Any]]:
        """The parts of one kind, in the order in which they were made."""
        return [one for one in self.parts if one["part"] == part]

    def one(self, part: str, **wanted: Any) -> dict[str, Any]:
        """A part.

        Raises:
            ValueError: it was not run; says which are.
        """
        for found in self.all(part):
            if wanted.items() <= found.items():
                return found
        known = [{name: one.get(name) for name in wanted} for one in self.all(part)]
        raise ValueError(f"no part {part!r} with {wanted} is stored; expected one of {known}")

    def has(self, part: str, **wanted: Any) -> bool:
        return any(wanted.items() <= found.items() for found in self.all(part))

    @property
    def arms(self) -> list[str]:
        """Names of the students that were trained."""
        return [arm["name"] for arm in self.all("arm")]

    def measure(self, name: str, measure: str = "forward_kl") -> Float[np.ndarray, " texts"]:
        """One measure of a trained student or of a reference, a number per held-out text.

        Raises:
            ValueError: there is no such student.
        """
        kind = "arm" if self.has("arm", name=name) else "reference"
        return np.array(self.one(kind, name=name)["measures"][measure])

    @property
    def own_texts(self) -> int:
        """Held-out texts that the teacher wrote; they come first."""
        return self.one("texts")["written"]["held_out"]


@cache
def load_results(path: Path = RESULTS) -> Results:
    """The results that ship with the course, or others.

    >>> results = load_results()
    >>> results.one("reference", name="teacher")["layers"]
    30
    """
    stored = json.loads(path.read_text(encoding="utf-8"))
    return Results(stored["about"], stored["runs"])
