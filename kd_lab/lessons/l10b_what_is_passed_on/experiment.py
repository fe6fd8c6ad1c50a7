"""The stored runs of lesson 10b: generations, students that mimic, silent outputs, and watermarks.

    python -m kd_lab.lessons.l10b_what_is_passed_on.experiment

runs every part for every seed, about a quarter of an hour on one quiet core, and writes results.json beside this file.
Every finished run is kept at once, so that an interrupted command goes on where it stopped.
"""

import argparse
import json
import platform
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from kd_lab.classroom import long_runs
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
    return {
        "command": "python -m kd_lab.lessons.l10b_what_is_passed_on.experiment",
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "seeds": list(SEEDS),
        "collapse": {
            "names": collapse.NAMES,
            "generations": collapse.GENERATIONS,
            "steps": collapse.STEPS,
            "top_p": collapse.CUT,
        },
        "fidelity": {"steps": fidelity.STEPS, "measures": list(fidelity.MEASURES)},
        "marks": {
            "texts": marks.TEXTS,
            "steps": marks.STEPS,
            "strength": marks.STRENGTH,
            "lengths": marks.LENGTHS.tolist(),
        },
    }


def missing(done: dict[str, Run]) -> Iterator[tuple[str, int]]:
    """The jobs that have no run yet, every part's first seed before any part's second."""
    yield from ((part, seed) for seed in SEEDS for part in PARTS if f"{part}/{seed}" not in done)


def resumed(path: Path, head: Run) -> dict[str, Run]:
    """The runs of an interrupted command, if there was one.

    Raises:
        ValueError: they were made with other settings.
    """
    return {key: run for one in long_runs.resumed(path, head) for key, run in one.items()}


def write(path: Path, head: Run, runs: dict[str, Run]) -> None:
    """One file, a line for each run, in the order of parts and seeds."""
    order = [f"{part}/{seed}" for part in PARTS for seed in SEEDS]
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(runs[key], ensure_ascii=False)}" for key in order)
    path.write_text(f'{{"about": {json.dumps(head, indent=1)},\n"runs": {{\n{lines}\n}}}}\n', encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # students this small gain nothing from a second thread, and sums keep their order
    head, partial = about(), arguments.output.with_suffix(".partial")
    runs = resumed(partial, head)
    jobs = list(missing(runs))
    with tqdm(jobs, desc="runs", total=len(jobs) + len(runs), initial=len(runs)) as bar:
        for part, seed in jobs:
            bar.set_postfix_str(f"{part}, seed {seed}")
            key = f"{part}/{seed}"
            runs[key] = PARTS[part](seed)
            long_runs.keep(partial, {key: runs[key]})
            bar.update()
    write(arguments.output, head, runs)
    partial.unlink()
    print(f"{len(runs)} runs in {arguments.output}")


if __name__ == "__main__":
    main()
