"""How long things take, beside one another: on a machine with other work to do, only ratios of turns can be trusted."""

import time
from collections.abc import Callable, Mapping

import numpy as np


def seconds_in_turns(paths: Mapping[str, Callable[[], object]], rounds: int = 7) -> dict[str, np.ndarray]:
    """Wall seconds of every path, once a round, in an order that moves on by one each round.

    Whatever else the machine does then falls on all paths alike. A first round warms up and is not counted.

    Args:
        paths: name → what to run.
        rounds: how often.

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
    seconds = {name: np.zeros(rounds) for name in paths}
    names = list(paths)
    for turn in range(rounds + 1):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            start = time.perf_counter()
            paths[name]()
            if turn:
                seconds[name][turn - 1] = time.perf_counter() - start
    return seconds
