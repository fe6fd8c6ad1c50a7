"""The stored runs of lesson 10b: generations, students that mimic, silent outputs, and watermarks.

    python -m kd_lab.lessons.l10b_what_is_passed_on.experiment

runs every part for every seed, about a quarter of an hour on one quiet core, and writes results.json beside this file.
Every finished run is kept at once, so that an interrupted command goes on where it stopped.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from kd_lab.classroom import long_runs
from kd_lab.classroom.long_runs import complete, head
from kd_lab.lessons.l10b_what_is_passed_on import collapse, fidelity, marks, subliminal

RESULTS = Path(__file__).with_name("results.json")
SEEDS = tuple(range(5))

Run = dict[str, Any]

PARTS: dict[str, Callable[[int], Run]] = {
    "silent": subliminal.silent_run,
    "gpt": subliminal.gpt_run,
    "fidelity": fidelity.compare,
    "marks": marks.run,
    "strength": marks.cost_by_strength,
    **{f"collapse: {label}": lambda seed, label=label: collapse.chain(label, seed) for label in collapse.POLICIES},
}
"""Name → the run of one seed."""


def about() -> Run:
    """The head of the file: what made it."""
    return head(
        "python -m kd_lab.lessons.l10b_what_is_passed_on.experiment",
        seeds=SEEDS,
        collapse={
            "names": collapse.NAMES,
            "generations": collapse.GENERATIONS,
            "steps": collapse.STEPS,
            "top_p": collapse.CUT,
        },
        fidelity={"steps": fidelity.STEPS, "measures": list(fidelity.MEASURES)},
        marks={
            "texts": marks.TEXTS,
            "steps": marks.STEPS,
            "strength": marks.STRENGTH,
            "lengths": marks.LENGTHS.tolist(),
        },
    )


def missing(done: dict[str, Run]) -> Iterator[tuple[str, int]]:
    """The jobs that have no run yet, every part's first seed before any part's second."""
    yield from ((part, seed) for seed in SEEDS for part in PARTS if f"{part}/{seed}" not in done)


def run(job: tuple[str, int]) -> dict[str, Run]:
    """One run, under its key."""
    part, seed = job
    return {f"{part}/{seed}": PARTS[part](seed)}


def joined(pieces: list[dict[str, Run]]) -> dict[str, Run]:
    """All runs by their keys."""
    return {key: one for piece in pieces for key, one in piece.items()}


def write(path: Path, about: Run, runs: dict[str, Run]) -> None:
    """One file, a line for each run, in the order of parts and seeds."""
    long_runs.write(path, about, {key: runs[key] for key in (f"{part}/{seed}" for part in PARTS for seed in SEEDS)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # students this small gain nothing from a second thread, and sums keep their order
    complete(arguments.output, about(), missing, run, name="{0[0]}, seed {0[1]}".format, joined=joined, save=write)


if __name__ == "__main__":
    main()
