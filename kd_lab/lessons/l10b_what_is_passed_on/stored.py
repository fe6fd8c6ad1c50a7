"""The stored runs of `experiment.py`, read and turned into arrays."""

import json
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float

from kd_lab.lessons.l10b_what_is_passed_on.experiment import RESULTS


@cache
def _file() -> dict[str, Any]:
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def about() -> dict[str, Any]:
    """The head of the file: command, date, versions, seeds and budgets."""
    return _file()["about"]


def runs(part: str) -> list[dict[str, Any]]:
    """All runs of a part, in the order of their seeds.

    Raises:
        ValueError: there is no such part.

    >>> len(runs("silent")) == len(about()["seeds"])
    True
    """
    found = [run for key, run in _file()["runs"].items() if key.rpartition("/")[0] == part]
    if not found:
        known = sorted({key.rpartition("/")[0] for key in _file()["runs"]})
        raise ValueError(f"no stored run is called {part!r}; expected one of {known}")
    return found


def generations(policy: str, measure: str) -> Float[np.ndarray, "S G"]:
    """A measure of collapse under a policy: one row per seed, one column per generation, the first being 0.

    `measure` is "bits", "distinct", "pairs", "rare" or "letters", the number of different first letters.
    """
    seen = [run["generations"] for run in runs(f"collapse: {policy}")]
    if measure == "letters":
        return np.array([[np.count_nonzero(one["first"]) for one in row] for row in seen], dtype=float)
    return np.array([[one[measure] for one in row] for row in seen])


def samples(policy: str, generation: int) -> list[str]:
    """Names that the first seed's model of a generation writes."""
    return runs(f"collapse: {policy}")[0]["generations"][generation]["samples"]


def first_letters(policy: str) -> Float[np.ndarray, "G 26"]:
    """The share of names that begin with each letter, averaged over seeds: one row per generation."""
    counts = np.array([[one["first"] for one in run["generations"]] for run in runs(f"collapse: {policy}")], float)
    return (counts / counts.sum(-1, keepdims=True)).mean(0)


def fidelity(student: str, prompts: str, measure: str) -> Float[np.ndarray, " S"]:
    """One number per seed: a measure of `fidelity.MEASURES` of a student on a kind of prompt."""
    column = about()["fidelity"]["measures"].index(measure)
    return np.array([run["students"][student][prompts][column] for run in runs("fidelity")])


def silent(beginning: str) -> Float[np.ndarray, "S 2"]:
    """Held-out bits per letter of a student before and after it copied silent outputs, one row per seed."""
    return np.array([run["students"][beginning] for run in runs("silent")])


def marks(writer: str, kind: str) -> np.ndarray:
    """Of a writer, one row per seed: z over `LENGTHS` ("fair", "naive", "wrong"), of many keys ("crowd"), or "bits"."""
    return np.array([run["writers"][writer][kind] for run in runs("marks")])
