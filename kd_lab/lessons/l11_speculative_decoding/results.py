"""The stored drafts of lesson 11: two of them as models, and what was measured of all."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from kd_lab.models import GPT, load_model

RESULTS = Path(__file__).with_name("results.json")
DRAFTS = {"text only": "text_only.safetensors", "forward KL": "forward_kl.safetensors"}
"""The two drafts of 30,000 weights that the lesson speaks with: from the target's text, and from its logits."""


@dataclass(frozen=True)
class Results:
    """The acceptance of every draft."""

    about: dict[str, Any]
    runs: tuple[dict[str, Any], ...]

    def losses(self, stage: str) -> list[str]:
        """The losses of a stage, "cold", "warm" or "prefixes", in the order in which they were trained."""
        return list(dict.fromkeys(run["loss"] for run in self.runs if run["stage"] == stage))

    def values(self, stage: str, loss: str, measure: str = "τ = 1") -> Float[np.ndarray, " S"]:
        """One number for each seed, in their order: the acceptance at a setting.

        Raises:
            ValueError: nothing was measured under these names.
        """
        place = {"stage": stage, "loss": loss}
        found = {run["seed"]: run.get(measure) for run in self.runs if place.items() <= run.items()}
        if not found or None in found.values():
            raise ValueError(
                f"no run has {place} with {measure!r}; expected one of {self.losses(stage)} and a measure of "
                f"{list(self.about['settings'])}"
            )
        return np.array([found[seed] for seed in self.about["seeds"]])

    def gain(self, stage: str, loss: str, over: str, measure: str = "τ = 1") -> np.ndarray:
        """By how much one loss is above another of the same stage, seed by seed."""
        return self.values(stage, loss, measure) - self.values(stage, over, measure)


@cache
def load_results(path: Path = RESULTS) -> Results:
    """The results that ship with the lesson."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    return Results(stored["about"], tuple(stored["runs"]))


@cache
def stored_draft(loss: str) -> GPT:
    """A draft of 30,000 weights, in eval mode: "text only" or "forward KL"."""
    return load_model(RESULTS.with_name(DRAFTS[loss]))
