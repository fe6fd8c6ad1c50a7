"""The stored runs of lesson 09b: style and capability against the number of examples, and recipes for examples.

    python -m kd_lab.lessons.l09b_imitation.experiment

trains 5 seeds × (3 numbers of examples + 1 plain student + 5 recipes), some four minutes on one core, and writes
results.json beside this file. Every finished run is kept at once, so that an interrupted command goes on where it
stopped. `results.py` reads the result.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from kd_lab.classroom.long_runs import complete, head
from kd_lab.lessons.l09b_imitation.judges import in_style, multiplies, strong_judge, weak_judge
from kd_lab.lessons.l09b_imitation.pupils import RECIPE_STEPS, STEPS, TEXTS, train, write
from kd_lab.lessons.l09b_imitation.recipes import EXAMPLES, RECIPES, SLIP, TRIES, examples
from kd_lab.lessons.l09b_imitation.results import FILE
from kd_lab.worlds.moves import draw_problems, solve

SEEDS = (0, 1, 2, 3, 4)
SIZES = (10, 100, 1000)
JUDGED, SHOWN = 300, 8  # problems that a student is judged on; texts that are kept


def problems_of(seed: int, count: int, *, covered: bool) -> list[str]:
    """Different problems of five moves: additions alone ("covered" by the imitation data), or with a multiplication."""
    drawn = draw_problems(10 * count, torch.Generator().manual_seed(seed))
    found = [problem for problem in drawn if multiplies(problem) != covered]
    if covered:  # a quarter of all moves multiply, so that these are the rarer ones
        found += [problem for problem in draw_problems(20 * count, torch.Generator().manual_seed(seed + 1))
                  if not multiplies(problem)]  # fmt: skip
    return list(dict.fromkeys(found))[:count]


TESTS = {"covered": 900, "uncovered": 901}
"""The seeds of the problems that the imitators are judged on."""


def judged(student: nn.Module, problems: Sequence[str], greedy: bool = True) -> dict[str, float]:
    """The shares of a student's texts that each judge accepts."""
    texts = write(student, problems, greedy)
    return {
        name: round(float(np.mean([judge(text) for text in texts])), 4)
        for name, judge in (("weak", weak_judge), ("strong", strong_judge))
    }


def train_imitation(size: int, seed: int) -> dict[str, Any]:
    """An imitator of `size` examples in the teacher's style, additions alone; or for size 0 a plain student of all.

    The plain student has 10,000 traces of every kind of problem without the closing line: it is able, and has no style.
    """
    if size:
        held_out = set(problems_of(TESTS["covered"], JUDGED, covered=True))
        data = [problem for problem in problems_of(seed, size + 50, covered=True) if problem not in held_out][:size]
        student = train(data, [in_style(problem) for problem in data], seed)
    else:
        data = draw_problems(10_000, torch.Generator().manual_seed(seed))
        student = train(data, [solve(problem) for problem in data], seed)
    run: dict[str, Any] = {"kind": "imitation", "which": size, "seed": seed}
    for name, test in TESTS.items():
        asked = problems_of(test, JUDGED, covered=name == "covered")
        run |= {f"{judge} {name}": share for judge, share in judged(student, asked).items()}
        run.setdefault("texts", {})[name] = write(student, asked[:SHOWN]) if seed == SEEDS[0] else []
    return run


def train_recipe(name: str, seed: int) -> dict[str, Any]:
    """A student of one recipe's examples, judged on easy and on hard problems, greedy and drawn."""
    problems, answers = examples(RECIPES[name], seed)
    student = train(problems, answers, seed, RECIPE_STEPS)
    run: dict[str, Any] = {"kind": "recipe", "which": name, "seed": seed, "examples": len(problems)}
    run["moves"] = round(float(np.mean([len(problem) - 1 for problem in problems])), 3)
    for difficulty, steps in (("easy", 2), ("hard", 5)):
        asked = draw_problems(JUDGED, torch.Generator().manual_seed(902), steps)
        run[f"{difficulty} greedy"] = judged(student, asked)["strong"]
        run[f"{difficulty} drawn"] = judged(student, asked, greedy=False)["strong"]
    return run


# ---- the command -----------------------------------------------------------------------------------------------------


def cells() -> list[tuple[str, Any, int]]:
    """(kind, size or recipe, seed) of all runs: the imitators of each seed, then the recipes of each."""
    imitators = [("imitation", size, seed) for seed in SEEDS for size in (0, *SIZES)]
    return imitators + [("recipe", name, seed) for seed in SEEDS for name in RECIPES]


def train_cell(cell: tuple[str, Any, int]) -> dict[str, Any]:
    kind, which, seed = cell
    return train_imitation(which, seed) if kind == "imitation" else train_recipe(which, seed)


def about() -> dict[str, Any]:
    """The head of the file: what made it."""
    return head(
        "python -m kd_lab.lessons.l09b_imitation.experiment",
        seeds=SEEDS,
        sizes=SIZES,
        recipes=list(RECIPES),
        steps=STEPS,
        recipe_steps=RECIPE_STEPS,
        texts=TEXTS,
        examples=EXAMPLES,
        slip=SLIP,
        tries=TRIES,
    )


def missing(finished: Sequence[dict[str, Any]]) -> list[tuple[str, Any, int]]:
    """The cells that are not in a list of runs yet."""
    done = {(run["kind"], run["which"], run["seed"]) for run in finished}
    return [cell for cell in cells() if cell not in done]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=FILE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # students this small gain nothing from a second thread, and sums keep their order
    complete(arguments.output, about(), missing, train_cell)


if __name__ == "__main__":
    main()
