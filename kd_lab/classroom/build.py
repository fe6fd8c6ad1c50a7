"""Build notebooks from lesson sources: `python -m kd_lab.classroom.build [02 …] [--solved] [--teacher]`.

kd_lab/lessons/lNN_name/lesson.py becomes lessons/NN_name.ipynb, executed with the exercises unsolved and an empty
cache: for the lessons that are named, or else for those whose text or exercises changed. The cost of a build goes into
measured.json beside the source, the lesson's card and the README's table. Building an unchanged lesson again changes no
byte of it. A notebook in which someone has solved exercises or written notes is refused and not overwritten.
"""

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from kd_lab.classroom.copies import fingerprint, fingerprint_of
from kd_lab.classroom.kernel import kernel_of
from kd_lab.classroom.lesson import (
    ROOT,
    Edition,
    Lesson,
    edition_of,
    find_lessons,
    with_card,
)
from kd_lab.classroom.minutes import minutes_of, minutes_on_card
from kd_lab.classroom.own_work import answered_exercises, own_cells
from kd_lab.classroom.progress import number
from kd_lab.classroom.setup import available_cores
from kd_lab.classroom.tidy import keep_timings, plain, tidy
from kd_lab.models.files import write_file

TIMEOUT = 600  # seconds for one cell: far beyond any lesson's budget, short enough that a hung build ends

PEAK_MEMORY = """
try:
    with open("/proc/self/status") as status:  # unlike getrusage, this forgets the process that started the kernel
        print(next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM")))
except OSError:
    import psutil
    info = psutil.Process().memory_info()
    print(getattr(info, "peak_wset", info.rss) / 2**20)
"""


class BuildError(Exception):
    """A cell failed; the message names lesson and cell and carries the traceback."""


@dataclass(frozen=True)
class Execution:
    """An executed notebook and what it cost."""

    notebook: NotebookNode
    cell_seconds: tuple[float, ...]  # one per cell; 0 for text
    memory_mib: float  # peak of the kernel's process

    @property
    def seconds(self) -> float:
        return sum(self.cell_seconds)


def execute(
    notebook: NotebookNode,
    lesson: Lesson,
    cache: Path,
    edition: Edition = "unsolved",
    environment: Mapping[str, str] | None = None,
) -> Execution:
    """Run an edition of a lesson from top to bottom in a fresh kernel.

    Args:
        notebook: the edition; its outputs are filled in.
        lesson: where the kernel works, and whose name messages bear.
        edition: for messages.
        environment: variables of the kernel beside the process's own.
        cache: where the lesson keeps what it trains; an empty folder measures what a newcomer waits for.

    Raises:
        BuildError: a cell raised, hung or killed the kernel, or no kernel started.
    """
    seconds = []
    with tempfile.TemporaryDirectory() as profile:
        # Someone's own answers and start-up files, the random order of sets, and a real LLM stay out of a lesson.
        own = {"KD_LAB_CACHE": str(cache), "KD_LAB_PROGRESS": str(Path(profile) / "progress.json")}
        own |= {"IPYTHONDIR": profile, "PYTHONHASHSEED": "0", "KD_LAB_LIVE": "0"}
        own = os.environ | own | (environment or {})
        kernel = kernel_of(notebook, lesson.notebook.parent, own, timeout=TIMEOUT, record_timing=False)
        with ExitStack() as stack:
            try:
                client = stack.enter_context(kernel)
            except RuntimeError as error:  # it died at every start, or waited too long for its turn
                raise BuildError(f"{lesson.name} ({edition}): its kernel did not start; {error}") from error
            for position, cell in enumerate(notebook.cells):
                start = time.perf_counter()
                try:
                    client.execute_cell(cell, position)
                except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                    raise BuildError(f"{lesson.name} ({edition}), cell {position + 1}:\n{plain(str(error))}") from error
                seconds.append(time.perf_counter() - start if cell.cell_type == "code" else 0.0)
            notebook.cells.append(new_code_cell(PEAK_MEMORY))  # nbclient runs no cell that its notebook does not hold
            client.execute_cell(notebook.cells[-1], len(notebook.cells) - 1)
            probe = notebook.cells.pop()
    return Execution(notebook, tuple(seconds), float(probe.outputs[0].text))


def build(lesson: Lesson, force: bool = False) -> Execution:
    """Write a lesson's notebook, executed and unsolved, and what it cost.

    Args:
        lesson: which.
        force: measure again although the source has not changed, and build over notes.

    Raises:
        BuildError: a cell failed, or the notebook holds answers or notes that would be lost.
    """
    entry = lesson.measured
    if answered := answered_exercises(lesson):
        raise BuildError(
            f"{lesson.notebook} holds answers to {', '.join(answered)}, which a build would overwrite; move it to "
            f"work/{lesson.name} (mine).ipynb, or take it back with git checkout, and build again"
        )
    if not force and (cells := own_cells(lesson)):
        raise BuildError(
            f"{lesson.notebook} holds {number(len(cells), 'cell')} that no build wrote, and a build would overwrite "
            f"the notes in it (the first begins {cells[0]!r:.60}); move it to work/{lesson.name} (mine).ipynb, or take "
            "it back with git checkout, and build again; --force builds over it"
        )
    with tempfile.TemporaryDirectory() as cache:
        execution = execute(edition_of(lesson, "unsolved"), lesson, Path(cache))
    if entry is None or force or entry["source"] != lesson.fingerprint:
        entry = record(lesson, execution)
    notebook = with_card(tidy(execution.notebook), entry)
    if lesson.notebook.exists():
        keep_timings(notebook, nbformat.read(lesson.notebook, as_version=4))
    write(notebook, lesson.notebook)
    return execution


def is_current(lesson: Lesson) -> bool:
    """Whether a notebook says what its source and exercises say. A change elsewhere in kd_lab is not seen."""
    measured = lesson.measured
    if measured is None or measured["source"] != lesson.fingerprint:
        return False
    return fingerprint_of(lesson.notebook) == fingerprint(with_card(edition_of(lesson, "unsolved"), measured))


def record(lesson: Lesson, execution: Execution) -> dict[str, Any]:
    """Write the cost of a lesson into its measured.json and return it."""
    entry = {
        "seconds": round(execution.seconds, 1),
        "memory_mib": round(execution.memory_mib),
        "cores": available_cores(),
        "source": lesson.fingerprint,
    }
    text = json.dumps(entry, indent=2, sort_keys=True) + "\n"
    write_file(lesson.folder / "measured.json", text.encode())
    return entry


def write(notebook: NotebookNode, path: Path) -> None:
    nbformat.validate(notebook)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, (nbformat.writes(notebook).rstrip("\n") + "\n").encode())


def build_edition(lesson: Lesson, edition: Edition, folder: Path) -> Path:
    """Write another edition of a lesson under `folder`, executed."""
    notebook = edition_of(lesson, edition)
    name = lesson.notebook.name
    with tempfile.TemporaryDirectory() as cache:
        execution = execute(notebook, lesson, Path(cache), edition)
    with_card(tidy(notebook), lesson.measured)
    if edition == "teacher":
        notebook.cells.insert(1, new_markdown_cell(timing_note(lesson, execution), id="teacher-timings"))
    path = folder / edition / name
    write(notebook, path)
    return path


def timing_note(lesson: Lesson, execution: Execution) -> str:
    """For the teacher's edition: minutes for each exercise, and which cells make a class wait."""
    text = lesson.source.read_text(encoding="utf-8")
    exercises = re.findall(r"^# ### Exercise (\S+) · (.+?) \((●*○*), (\d+) minutes\)", text, re.MULTILINE)
    slow = [
        (position, seconds)
        for position, seconds in enumerate(execution.cell_seconds, 1)
        if seconds >= 1 and execution.notebook.cells[position - 1].cell_type == "code"
    ]
    counts = {position: execution.notebook.cells[position - 1].execution_count for position, _ in slow}
    return "\n".join(
        [
            f"**Teacher: time.** The cells run {execution.seconds:.0f} s in all. Reading, exercises and explorers take "
            f"{minutes_of(lesson)} minutes.",
            "",
            "| exercise | difficulty | minutes |",
            "|---|---|---|",
            *(f"| {number} · {title} | {difficulty} | {minutes} |" for number, title, difficulty, minutes in exercises),
            "",
            "Cells that run for a second or longer: "
            + ("; ".join(f"[{counts[position]}] {seconds:.0f} s" for position, seconds in slow) or "none")
            + ".",
        ]
    )


def update_readme(readme: Path, lessons: list[Lesson]) -> None:
    """Write the table of lessons between `<!-- lessons -->` and `<!-- /lessons -->`, where a README has these marks."""
    if not readme.exists():
        return
    text = readme.read_text(encoding="utf-8")
    head = "| lesson | read and do | reading + exercises + explorers | run | memory |"
    table = "\n".join([head, "|---|---|---|---|---|", *map(table_row, lessons)])
    replacement = f"<!-- lessons -->\n{table}\n<!-- /lessons -->"
    new = re.sub(r"<!-- lessons -->.*?<!-- /lessons -->", lambda _: replacement, text, flags=re.DOTALL)
    if new != text:
        readme.write_text(new, encoding="utf-8")


def table_row(lesson: Lesson) -> str:
    cells = lesson.cells()
    title = re.search(r"^# (.+)$", cells[0].source, re.MULTILINE)
    entry: Mapping[str, Any] | None = lesson.measured
    run = (
        ("not measured", "")
        if entry is None
        else (f"{entry['seconds']:.0f} s", f"{entry['memory_mib'] / 1024:.1f} GiB")
    )
    return (
        f"| [{title[1] if title else lesson.name}](lessons/{lesson.notebook.name}) "
        f"| {' + '.join(map(str, minutes_on_card(lesson)))} min | {minutes_of(lesson)} min | {run[0]} | {run[1]} |"
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kd_lab.classroom.build", description=__doc__.split("\n\n")[0])
    parser.add_argument("lessons", nargs="*", metavar="NN", help="numbers of lessons; those that changed by default")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (default: this one)")
    parser.add_argument("--editions", type=Path, default=ROOT / "build" / "editions", help="where other editions go")
    parser.add_argument("--solved", action="store_true", help="the solved edition, executed")
    parser.add_argument("--teacher", action="store_true", help="the teacher's edition, executed")
    parser.add_argument("--force", action="store_true", help="build all, also over notes, and measure again")
    options = parser.parse_args(arguments)
    wanted: list[Edition] = [edition for edition in ("solved", "teacher") if getattr(options, edition)]
    try:
        for lesson in find_lessons(options.root, options.lessons):
            if wanted:
                for edition in wanted:
                    print(build_edition(lesson, edition, options.editions), flush=True)
                continue
            if not options.lessons and not options.force and is_current(lesson):
                print(f"{lesson.notebook}  is up to date", flush=True)
                continue
            execution = build(lesson, options.force)
            print(f"{lesson.notebook}  {execution.seconds:.1f} s, {execution.memory_mib:.0f} MiB", flush=True)
        if not wanted:
            update_readme(options.root / "README.md", find_lessons(options.root))
    except (BuildError, ValueError) as error:
        print(f"build stopped: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
