"""The students that a lesson trains: under one bar, and read from the cache when the lesson is run again."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import nn
from tqdm.auto import tqdm

from kd_lab.methods import Result, distill
from kd_lab.models import trained


class Taught(NamedTuple):
    """A trained student, and what `evaluate` measured after each step; NaN where it was not asked."""

    student: nn.Module
    curve: Float[np.ndarray, " steps"]


class _Kept(nn.Module):
    """A student with its curve, as they lie in one file of the cache."""

    def __init__(self, student: nn.Module, steps: int):
        super().__init__()
        self.student = student
        self.register_buffer("curve", torch.full((steps,), torch.nan, dtype=torch.float64))


def _train(kept: _Kept, **options: Any) -> Result:
    result = distill(kept.student, progress=False, **options)
    curve = torch.from_numpy(result.history["evaluation"])
    kept.curve[: len(curve)] = curve
    return result


def teach(name: str, student: nn.Module, *, steps: int, **options: Any) -> Taught:
    """Distil one student in place, or give it the weights that the same training gave it before.

    Args:
        name: for the file in the cache.
        student: untrained.
        steps: of the training.
        options: further ones of `distill`; `teacher`, `world` and `recipe` are needed.

    Raises:
        ValueError: as `distill` and `trained`.
    """
    kept = trained(name, lambda: _Kept(student, steps), partial(_train, steps=steps, **options))
    return Taught(kept.student, kept.curve.numpy())


def taught(name: str, untrained: Callable[[int], nn.Module], seeds: Iterable[int], **options: Any) -> list[Taught]:
    """One distilled student per seed, under one bar.

    Args:
        name: a few words for the bar and the files of the cache.
        untrained: makes the student of a seed.
        seeds: those of the students, and of their trainings.
        options: of `teach`.

    Raises:
        ValueError: as `teach`.
    """
    bar = tqdm(list(seeds), desc=name, leave=False)
    return [teach(name, untrained(seed), seed=seed, **options) for seed in bar]
