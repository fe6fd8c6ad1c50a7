"""Seconds of several paths, taken in turns: on a machine with other work to do, only their ratios can be trusted."""

import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

Measured = TypeVar("Measured")


def in_turns(
    paths: Mapping[str, Callable[[], object]], measure: Callable[[Callable[[], object]], Measured], rounds: int
) -> dict[str, list[Measured]]:
    """The cost of every path by `measure`, once per round, in an order that moves on by one each round.

    Other work of the machine then falls on all paths alike.

    Args:
        paths: name → the path to run.
        measure: runs a path and returns its cost.
        rounds: the number of turns.

    Returns:
        name → a list of `rounds` measurements.

    >>> in_turns({"a": lambda: 1, "b": lambda: 2}, lambda run: run(), rounds=2)
    {'a': [1, 1], 'b': [2, 2]}
    """
    costs: dict[str, list[Measured]] = {name: [] for name in paths}
    names = list(paths)
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            costs[name].append(measure(paths[name]))
    return costs


def seconds_in_turns(paths: Mapping[str, Callable[[], object]], rounds: int = 7) -> dict[str, np.ndarray]:
    """Wall seconds of every path, `in_turns`. A first round warms up and is not counted.

    Args:
        paths: name → the path to run.
        rounds: the number of turns.

    Returns:
        name → seconds, [rounds]. Compare medians, or minima where the neighbours are loud.

    Raises:
        ValueError: fewer than one round, or nothing to run.

    >>> seconds = seconds_in_turns({"short": lambda: sum(range(100)), "long": lambda: sum(range(100_000))}, rounds=3)
    >>> seconds["long"].shape, bool(seconds["long"].min() > seconds["short"].min())
    ((3,), True)
    """
    if rounds < 1 or not paths:
        raise ValueError(f"rounds is {rounds} for {len(paths)} paths; expected at least one of each")
    return {name: np.array(seconds[1:]) for name, seconds in in_turns(paths, _seconds, rounds + 1).items()}


def _seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
