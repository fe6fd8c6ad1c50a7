"""A tournament of recipes: one budget, a judge that nobody has seen, and a board with intervals and ties.

    python -m kd_lab.lessons.l12_the_whole_field.tournament FOLDER

reads every .json and .toml file of a folder (see `submission.py`), trains each entry from five beginnings, and prints
the board. Forty entries take some minutes on two cores; nothing is downloaded. `--generate 40` first fills the folder
with entries to try it on.
"""

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm.auto import tqdm

from kd_lab.contracts import stream
from kd_lab.lessons.l12_the_whole_field import arena
from kd_lab.lessons.l12_the_whole_field.board import Score, board, board_table
from kd_lab.lessons.l12_the_whole_field.field import legal_cells
from kd_lab.lessons.l12_the_whole_field.submission import Budget, Entry, read
from kd_lab.methods import distill, labels_only
from kd_lab.models import GPT
from kd_lab.where import rollout
from kd_lab.worlds import Batch

SEEDS = 5
ENTRIES = Path(__file__).with_name("entries")
"""Four entries to begin with, and a fifth that is refused."""

FIRST_PROMPT = arena.JUDGED  # the prompts before are those of the lesson's judges, which everybody has seen
JUDGED = 512


class OverBudget(Exception):
    """The teacher has been asked too often."""


class Rationed(arena.Counted):
    """A teacher that reads so many positions and not one more."""

    def __init__(self, inner: nn.Module, most: int):
        super().__init__(inner)
        self.most = most

    def forward(self, tokens: torch.Tensor, *further: Any, **options: Any) -> Any:
        """The teacher's answer.

        Raises:
            OverBudget: with these positions it would have read more than it may.
        """
        if self.read + self.trained + tokens.numel() > self.most:
            raise OverBudget
        return super().forward(tokens, *further, **options)


@cache
def beginner(width: int, layers: int, seed: int) -> GPT:
    """A student of this shape that has read the training names for a while."""
    student, place = arena.new_student(seed, width, layers), arena.world()
    distill(
        student, None, place, labels_only(), steps=arena.LABEL_STEPS, seed=seed,
        batch_size=arena.BATCH, progress=False,
    )  # fmt: skip
    return student


@cache
def judges(seed: int) -> arena.Judges:
    """Both judges on prompts that are in no lesson, with texts that only this seed brings about."""
    place, teacher = arena.world(), arena.teacher()
    prompts = place.held_out[slice(FIRST_PROMPT, FIRST_PROMPT + JUDGED)].prompts(place.vocabulary.pad)[0]
    texts = rollout(teacher, place, prompts, stream(seed, "the judge's texts"))
    return HiddenJudges(texts, arena.logp_of(teacher, texts), teacher, place, seed)


class HiddenJudges(arena.Judges):
    """The judges of the field, on the prompts of their own texts."""

    def written(self, student: nn.Module) -> Batch:
        """A text of the student for each prompt."""
        prompts = self.texts.prompts(self.place.vocabulary.pad)[0]
        return rollout(student, self.place, prompts, stream(self.seed, "the students' texts"))


# ---- one entry -------------------------------------------------------------------------------------------------------


def play(entry: Entry, seed: int, budget: Budget, judge_seed: int = 0) -> Score:
    """Train an entry from one beginning and judge it. An entry that breaks the budget or diverges gets no marks."""
    start = beginner(entry.width, entry.layers, seed)
    parameters = sum(parameter.numel() for parameter in start.parameters())
    if parameters > budget.parameters:
        return Score(entry.name, seed, failed=f"{parameters:,} parameters; the budget is {budget.parameters:,}")
    guide = Rationed(arena.teacher(), budget.teacher_positions)
    try:
        outcome = arena.train(
            entry.recipe, seed, expert=guide, start=start, steps=entry.steps,
            learning_rate=entry.learning_rate, judge=judges(judge_seed),
        )  # fmt: skip
    except OverBudget:
        most = f"{budget.teacher_positions:,}"
        return Score(entry.name, seed, failed=f"the teacher was asked for more than {most} positions")
    except (FloatingPointError, ValueError) as error:
        return Score(entry.name, seed, failed=str(error).partition(";")[0].partition(". ")[0])
    forward, reverse, _ = outcome.marks
    if not np.isfinite([forward, reverse]).all():
        return Score(entry.name, seed, failed="the student's distributions are not finite")
    return Score(entry.name, seed, forward, reverse, outcome.cost.seconds, outcome.cost.teacher)


# ---- the command -----------------------------------------------------------------------------------------------------


def entries_in(folder: Path, budget: Budget) -> tuple[list[Entry], list[str]]:
    """The legal entries of a folder, and a sentence on each file that holds none.

    Raises:
        ValueError: the folder has no .json and no .toml file.
    """
    files = sorted(path for path in folder.iterdir() if path.suffix in (".json", ".toml"))
    if not files:
        raise ValueError(f"{folder} holds no .json and no .toml file; expected one for each entry")
    entries: dict[str, Entry] = {}
    refused = []
    for path in files:
        try:
            entry = read(path, budget)
        except ValueError as error:
            refused.append(str(error))
            continue
        if entry.name in entries:
            refused.append(f"{path.name}: the name {entry.name!r} is taken; expected one of its own")
        else:
            entries[entry.name] = entry
    return list(entries.values()), refused


def play_all(
    entries: Sequence[Entry], budget: Budget, seeds: int = SEEDS, judge_seed: int = 0, workers: int = 1
) -> list[Score]:
    """Every entry from every beginning, on so many processes. The scores do not depend on how many."""
    jobs = [(entry, seed, budget, judge_seed) for seed in range(seeds) for entry in entries]
    return list(tqdm(_played(jobs, workers), desc="tournament", total=len(jobs), leave=False))


def _played(jobs: Sequence[tuple[Any, ...]], workers: int) -> Iterator[Score]:
    if workers == 1:
        yield from (play(*job) for job in jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        yield from pool.map(_play_job, jobs)


def _one_thread() -> None:
    torch.set_num_threads(1)


def _play_job(job: tuple[Any, ...]) -> Score:
    return play(*job)


def generate(count: int, seed: int = 0, budget: Budget | None = None) -> list[Entry]:
    """Entries to try a tournament on: legal choices drawn at random, with a rate and a number of steps.

    >>> [entry.method for entry in generate(2)]
    ['compose', 'compose']
    """
    generator, cells = np.random.default_rng(seed), legal_cells()
    budget, found = budget or Budget(), []
    for number in range(count):
        what, how, where = cells[generator.integers(len(cells))]
        found.append(
            Entry(
                f"team {number + 1}",
                "compose",
                {"what": what, "how": how, "where": where},
                steps=int(generator.integers(budget.steps // 2, budget.steps + 1)),
                learning_rate=float(np.round(10 ** generator.uniform(-3, -2), 5)),
            )
        )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--generate", type=int, default=0, help="write so many entries into the folder first")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="beginnings of each entry, at least 2")
    parser.add_argument("--judge-seed", type=int, default=0, help="of the judge's texts; tell nobody")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="processes")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    budget = Budget()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for entry in generate(arguments.generate):
        path = arguments.folder / f"{entry.name.replace(' ', '_')}.json"
        path.write_text(json.dumps(asdict(entry), ensure_ascii=False, indent=1), encoding="utf-8")
    entries, refused = entries_in(arguments.folder, budget)
    print("\n".join(refused))
    scores = play_all(entries, budget, arguments.seeds, arguments.judge_seed, arguments.workers)
    print(board_table(*board(scores), {entry.name: entry.method for entry in entries}))


if __name__ == "__main__":
    main()
