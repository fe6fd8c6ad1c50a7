"""The stored runs of lesson 09: four ways to teach from two bases, and the ceiling of a flawed teacher.

    python -m kd_lab.lessons.l09_reasoning_traces.experiment

trains 5 seeds × (2 bases × 4 ways + 3 ceilings), some six minutes on one core, and writes results.json beside this
file. Every finished run is kept at once, so that an interrupted command goes on where it stopped. `results.py` reads
the result.
"""

import argparse
import time
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kd_lab.classroom import long_runs
from kd_lab.classroom.long_runs import complete, head
from kd_lab.lessons.l09_reasoning_traces import ceiling
from kd_lab.lessons.l09_reasoning_traces.arms import ARMS, BASES, BUDGET, accuracy, bases, shares_right, teach, written
from kd_lab.lessons.l09_reasoning_traces.results import FILE
from kd_lab.measure.pass_at_k import pass_at_k
from kd_lab.worlds import verify
from kd_lab.worlds.moves import SYMBOLS, verified_steps

SEEDS = (0, 1, 2, 3, 4)
TEACHER_SEED = 100
POINTS = 6  # of a learning curve after its beginning
KS = (1, 2, 4, 8, 16, 32, 64)
PASS_PROBLEMS, SHOWN = 100, 12  # problems for pass@k, with KS[-1] texts each; problems whose traces are kept


@cache
def teacher() -> nn.Module:
    """The model that learned from traces to the end."""
    return bases(TEACHER_SEED, steps=600)[1]


@cache
def bases_of(seed: int) -> dict[str, nn.Module]:
    """The two bases of a seed."""
    return bases(seed, steps=450)[0]


def whole(text: str) -> bool:
    """Whether each step of a full trace is right."""
    steps = verified_steps(text)
    return len(steps) == 5 and all(steps) and verify(text)


def reading(student: nn.Module) -> dict[str, Any]:
    """The numbers kept of a student: accuracy, drawn and greedy, and pass@k of answers and of whole traces."""
    texts = written(student, PASS_PROBLEMS, draws=KS[-1])
    counts = {name: shares_right(texts, KS[-1], right) for name, right in (("answer", verify), ("trace", whole))}
    found: dict[str, Any] = {
        "drawn": round(accuracy(student, 500), 4),
        "greedy": round(accuracy(student, 500, greedy=True), 4),
    }
    for name, right in counts.items():
        found[f"pass_{name}"] = [round(pass_at_k(right, KS[-1], k).mean().item(), 4) for k in KS]
    return found


def train_cell(base: str, way: str, seed: int) -> dict[str, Any]:
    """One student: its learning curve, its traces along the way, and what it is worth at the end.

    Args:
        base: of BASES.
        way: of ARMS, or "base" for the base itself.
        seed: of the base and of everything drawn.
    """
    beginning, curve, shown = bases_of(seed)[base], [], []

    def look(student: nn.Module) -> float:
        curve.append(round(accuracy(student), 4))
        shown.append([text.split("=")[1] for text in written(student, SHOWN, greedy=True)])
        return curve[-1]

    look(beginning)
    start = time.process_time()
    student = beginning if way == "base" else teach(way, beginning, teacher(), seed, look, POINTS)
    seconds = time.process_time() - start
    cell = {"kind": "way", "base": base, "way": way, "seed": seed, "curve": curve, "seconds": round(seconds, 1)}
    return cell | reading(student) | {"shown": shown if seed == SEEDS[0] else []}


def train(cell: tuple[str, str, int]) -> dict[str, Any]:
    first, second, seed = cell
    return ceiling.train_ceiling(second, seed) if first == "ceiling" else train_cell(first, second, seed)


# ---- the command -----------------------------------------------------------------------------------------------------


def cells() -> list[tuple[str, str, int]]:
    """(base, way, seed) and ("ceiling", lesson, seed) of all runs, seed by seed."""
    kinds = [*product(BASES, ("base", *ARMS)), *(("ceiling", lesson) for lesson in ceiling.LESSONS)]
    return [(*kind, seed) for seed in SEEDS for kind in kinds]


def about() -> dict[str, Any]:
    """The head of the file: what made it."""
    return head(
        "python -m kd_lab.lessons.l09_reasoning_traces.experiment",
        seeds=SEEDS,
        budget=BUDGET,
        steps={name: arm.steps(BUDGET) for name, arm in ARMS.items()},
        points=POINTS,
        ks=KS,
        bases=BASES,
        ceiling={"sft_steps": ceiling.SFT_STEPS, "rl_steps": ceiling.RL_STEPS},
    )


def key(run: dict[str, Any]) -> tuple[str, str, int]:
    """The cell that a run belongs to."""
    return (
        ("ceiling", run["lesson"], run["seed"]) if run["kind"] == "ceiling" else (run["base"], run["way"], run["seed"])
    )


def missing(finished: list[dict[str, Any]]) -> Iterator[tuple[str, str, int]]:
    """The cells that are not in a list of runs yet."""
    done = {key(run) for run in finished}
    yield from (cell for cell in cells() if cell not in done)


def write(path: Path, about: dict[str, Any], runs: list[dict[str, Any]]) -> None:
    """One file, a line for each run; and the problems whose traces are kept."""
    problems = [text.split("=")[0] for text in SYMBOLS.decode(ceiling.world_of().held_out.tokens[:SHOWN])]
    order = {cell: place for place, cell in enumerate(cells())}
    long_runs.write(path, about, sorted(runs, key=lambda run: order[key(run)]), problems=problems)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=FILE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # students this small gain nothing from a second thread, and sums keep their order
    complete(arguments.output, about(), missing, train, name=lambda cell: "{}, {}, seed {}".format(*cell), save=write)


if __name__ == "__main__":
    main()
