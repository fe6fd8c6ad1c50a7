"""The stored runs of lesson 10: what a strong model knows, and teachers of all sizes for a small student.

    python -m kd_lab.lessons.l10_weak_to_strong.experiment

makes 30 + 50 + 18 runs, about seven minutes on one core, and writes results.json beside this file. Every finished run
is kept at once, so that an interrupted command goes on where it stopped. `results.py` reads the result.

- "knowledge": strong models that have read the names for 0 or 120 steps, and the one that ships, learn from three
  weak teachers, with a narrow head and a wide one; eight deals of the texts.
- "capacity": a student of 8K weights learns from teachers of 1K to 0.8M weights that have read all names, for 200 and
  for 600 steps, and from labels; five seeds.
- "few": the same student learns on 300 names, from teachers trained far beyond their best, or stopped there, and from
  labels; five seeds.
"""

import argparse
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import torch

from kd_lab.classroom.long_runs import complete, head
from kd_lab.lessons.l10_weak_to_strong.heads import accuracy, answer, fit_teacher, train_heads
from kd_lab.lessons.l10_weak_to_strong.results import FILE
from kd_lab.lessons.l10_weak_to_strong.spelling import NARROW, WEAK, Deal, reader, readings, spellings, untrained
from kd_lab.lessons.l10_weak_to_strong.teachers import FEW, LABELS, bits, grown, student_of
from kd_lab.methods import distill, labels_only
from kd_lab.models import GPT, load_teacher
from kd_lab.worlds import surnames

SEEDS, DEALS = range(5), range(8)  # of trainings, and of heads, which are cheap
KNOWN = ("0", "120", "all")  # steps for which the strong model has read the names; all: the one that ships
HEADS = {"narrow": slice(-NARROW, None), "wide": slice(None)}
ALPHA = 0.75
BUDGETS = (200, 600)  # steps of a student of all names
STEPS_FEW = 600  # of a student of few names
TEACHERS = (LABELS, "1K", "8K", "105K", "0.8M")
TEACHERS_FEW = (LABELS, "1K last", "8K last", "105K last", "8K best", "105K best")

Cell = tuple[str, ...]


@cache
def strong(known: str) -> GPT:
    """The strong model: 0.8 million weights that have read the names for so long."""
    shipped, world = load_teacher("surnames"), surnames()
    if known == "all":
        return shipped
    model = untrained(shipped)
    if known != "0":
        distill(model, None, world, labels_only(), steps=int(known), seed=1, learning_rate=1e-3, progress=False)
    return model.eval()


@cache
def read_by(known: str) -> torch.Tensor:
    return readings(strong(known), spellings(surnames()))


@cache
def weak_answers(teacher: str, runs: range = DEALS) -> dict[str, torch.Tensor]:
    """A weak teacher's probabilities in each run, for the student's texts and for the test."""
    read = readings(reader(surnames(), *WEAK[teacher]), spellings(surnames()))
    deal = Deal.of(runs, len(read))
    weights = fit_teacher(deal.part(read, "teacher"), deal.truth("teacher"))
    return {part: answer(deal.part(read, part), weights) for part in ("student", "test")}


def knowledge(known: str, teacher: str, head: str) -> dict[str, list[float]]:
    """Accuracies on the test, one per deal: the teacher, its student without and with confidence, and the ceiling."""
    said, deal = weak_answers(teacher), Deal.of(DEALS, len(read_by(known)))
    learn, test = (deal.part(read_by(known)[..., HEADS[head]], part) for part in ("student", "test"))
    labels, truth = (said["student"] > 0.5).float(), deal.truth("test")
    arms = {
        "student": train_heads(learn, labels),
        "confident": train_heads(learn, labels, alpha=ALPHA),
        "ceiling": train_heads(learn, deal.truth("student")),
    }
    found = {"weak": accuracy(said["test"], truth)}
    found |= {arm: accuracy(answer(test, weights), truth) for arm, weights in arms.items()}
    return {arm: [round(float(value), 4) for value in values] for arm, values in found.items()}


def capacity(teacher: str, steps: int, seed: int) -> dict[str, float]:
    """Held-out bits of a student of all names, and of its teacher."""
    names = len(surnames().train)
    model = None if teacher == LABELS else grown(teacher, names, 0).last
    found = {"bits": bits(student_of(model, names, steps, seed))}
    return found if model is None else found | {"teacher": bits(model)}


def few(teacher: str, seed: int) -> dict[str, float]:
    """Held-out bits of a student of few names, and of its teacher, one teacher per seed."""
    if teacher == LABELS:
        return {"bits": bits(student_of(None, FEW, STEPS_FEW, seed))}
    size, when = teacher.split()
    model = getattr(grown(size, FEW, seed), when)
    return {"bits": bits(student_of(model, FEW, STEPS_FEW, seed)), "teacher": bits(model)}


# ---- the command -----------------------------------------------------------------------------------------------------


def cells() -> Iterator[Cell]:
    """The runs in the order in which they are made."""
    yield from (("few", teacher, str(seed)) for seed in SEEDS for teacher in TEACHERS_FEW)
    yield from (
        ("capacity", teacher, str(steps), str(seed)) for seed, teacher, steps in product(SEEDS, TEACHERS, BUDGETS)
    )
    yield from (("knowledge", *cell) for cell in product(KNOWN, WEAK, HEADS))


def run(cell: Cell) -> dict[str, Any]:
    """One run as it stands in the file."""
    part, *names = cell
    made: dict[str, Any]
    if part == "knowledge":
        made = knowledge(*names)
    elif part == "capacity":
        made = capacity(names[0], int(names[1]), int(names[2]))
    else:
        made = few(names[0], int(names[1]))
    return {"cell": list(cell), **made}


def about() -> dict[str, Any]:
    """The head of the file: what made it."""
    return head(
        "python -m kd_lab.lessons.l10_weak_to_strong.experiment",
        seeds=list(SEEDS),
        deals=list(DEALS),
        alpha=ALPHA,
        names=FEW,
    )


def missing(finished: list[dict[str, Any]]) -> list[Cell]:
    """The cells that are not in a list of runs yet."""
    done = {tuple(one["cell"]) for one in finished}
    return [cell for cell in cells() if cell not in done]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=FILE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # models this small gain nothing from a second thread, and sums keep their order
    complete(arguments.output, about(), missing, run, name=", ".join)


if __name__ == "__main__":
    main()
