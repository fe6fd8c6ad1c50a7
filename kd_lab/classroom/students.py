"""The students that a lesson trains: under one bar, and read from the cache when the lesson is run again."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from torch import nn
from tqdm.auto import tqdm

from kd_lab.methods import Recipe, distill
from kd_lab.models import trained
from kd_lab.worlds import World


def taught(
    name: str,
    untrained: Callable[[int], nn.Module],
    seeds: Iterable[int],
    teacher: nn.Module | None,
    world: World,
    recipe: Recipe,
    **options: Any,
) -> list[nn.Module]:
    """One distilled student per seed, each trained once and read from the user's cache afterwards.

    Args:
        name: a few words for the bar and the files of the cache.
        untrained: makes the student of a seed.
        seeds: those of the students, and of their trainings.
        teacher, world, recipe: as for `distill`.
        options: further ones of `distill`, such as `steps`.

    Raises:
        ValueError: as `distill` and `trained`.
    """
    seeds = list(seeds)
    return [
        trained(
            name,
            partial(untrained, seed),
            partial(distill, teacher=teacher, world=world, recipe=recipe, seed=seed, progress=False, **options),
        )
        for seed in tqdm(seeds, desc=name, leave=False)
    ]
