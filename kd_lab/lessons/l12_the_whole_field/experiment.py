"""The stored runs of lesson 12: every legal choice and every named method, other tokens, other contexts, two experts.

    python -m kd_lab.lessons.l12_the_whole_field.experiment

trains them for five seeds, about a quarter of an hour on one quiet core, and writes results.json beside this file.
Every finished run is kept at once, so that an interrupted command goes on where it stopped. `--table` prints the table
of the stored runs instead.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, astuple
from functools import cache
from pathlib import Path
from typing import Any

import torch

from kd_lab.classroom.long_runs import complete, head
from kd_lab.lessons.l12_the_whole_field import arena, contexts, forms, merging, pairs
from kd_lab.lessons.l12_the_whole_field.field import METHODS, OTHER_TOKENS, compose, key_of, legal_cells
from kd_lab.lessons.l12_the_whole_field.stored import BEGINNER, OTHER, RESULTS, field_table
from kd_lab.lessons.l12_the_whole_field.submission import Budget
from kd_lab.lessons.l12_the_whole_field.tournament import ENTRIES, entries_in, play
from kd_lab.methods import Recipe

SEEDS = tuple(range(5))

Run = dict[str, Any]


@cache
def recipes() -> dict[str, Recipe]:
    """Key → recipe, of everything that learns from the shipped teacher: named methods first, then every legal cell."""
    every = [*METHODS.values(), *(compose(*cell) for cell in legal_cells())]
    return {key_of(recipe): recipe for recipe in every}


def named() -> set[str]:
    """The keys of the methods that have a name."""
    return set(map(key_of, METHODS.values()))


def field_run(key: str, seed: int) -> Run:
    """One student of the field."""
    return _noted(arena.train(recipes()[key], seed), seed)


def other_run(row: str, seed: int) -> Run:
    """One student whose teacher has other tokens."""
    counted = arena.Counted(pairs.pair_teacher())
    expert = pairs.LetterView(counted, arena.world().context)
    outcome = arena.train(OTHER_TOKENS[row], seed, expert=expert)
    outcome.cost.teacher = counted.read  # in pairs, as the teacher reads them
    return _noted(outcome, seed)


def untrained(seed: int) -> Run:
    """The student that all others begin with."""
    student = arena.beginner(seed)
    outcome = arena.Outcome(student, arena.judges()(student), arena.Cost(0.0, 0, 0, 0), arena.shown(student))
    return _noted(outcome, seed)


def other_teacher(seed: int) -> Run:
    """The teacher of pairs under the same judges; it is the same for every seed."""
    teacher = pairs.LetterView(pairs.pair_teacher(), arena.world().context)
    outcome = arena.Outcome(teacher, arena.judges()(teacher), arena.Cost(0.0, 0, 0, 0), arena.shown(teacher))
    return _noted(outcome, seed)


def tournament_run(seed: int) -> Run:
    """The entries of the lesson's small tournament from one beginning."""
    entries, _ = entries_in(ENTRIES, Budget())
    scores = [play(entry, seed, Budget()) for entry in entries]
    return {"scores": [asdict(score) for score in scores]}


def _noted(outcome: arena.Outcome, seed: int) -> Run:
    marks = [round(mark, 4) for mark in outcome.marks]
    return {"marks": marks, "cost": list(astuple(outcome.cost)), "samples": [] if seed else outcome.samples}


@cache
def parts() -> dict[str, Callable[[int], Run]]:
    """Name → the run of one seed."""
    return {
        BEGINNER: untrained,
        **{key: lambda seed, key=key: field_run(key, seed) for key in recipes()},
        OTHER: other_teacher,
        **{f"{OTHER}: {row}": lambda seed, row=row: other_run(row, seed) for row in OTHER_TOKENS},
        "instruction": contexts.instruction_run,
        "solution": contexts.solution_run,
        "merging": merging.merging_run,
        "tournament": tournament_run,
    }


def about() -> Run:
    """The head of the file: what made it."""
    return head(
        "python -m kd_lab.lessons.l12_the_whole_field.experiment",
        seeds=SEEDS,
        judges=list(arena.JUDGES),
        field={
            "names": arena.NAMES,
            "label_steps": arena.LABEL_STEPS,
            "steps": arena.STEPS,
            "batch": arena.BATCH,
            "learning_rate": arena.LEARNING_RATE,
        },
        pairs={"steps": pairs.TEACHER_STEPS, "batch": pairs.TEACHER_BATCH},
        moves={
            "moves": forms.MOVES_EACH,
            "base": forms.BASE_ACCURACY,
            "steps": forms.STEPS,
            "texts": forms.TEXTS,
            "expert_steps": merging.EXPERT_STEPS,
        },
    )


def missing(finished: list[Run]) -> Iterator[tuple[str, int]]:
    """The runs that are not made yet: first those of the tables, then the other cells; always seed by seed."""
    done = {(run["part"], run["seed"]) for run in finished}
    cells = [part for part in parts() if part in recipes() and part not in named()]
    shown = [part for part in parts() if part not in cells]
    for group in (shown, cells):
        yield from ((part, seed) for seed in SEEDS for part in group if (part, seed) not in done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print the table of the stored runs")
    arguments = parser.parse_args()
    if arguments.table:
        print(field_table())
        return
    torch.set_num_threads(1)  # students this small gain nothing from a second thread, and sums keep their order
    complete(
        arguments.output,
        about(),
        missing,
        lambda cell: {"part": cell[0], "seed": cell[1]} | parts()[cell[0]](cell[1]),
        name=lambda cell: f"{cell[0][:50]}, seed {cell[1]}",
    )


if __name__ == "__main__":
    main()
