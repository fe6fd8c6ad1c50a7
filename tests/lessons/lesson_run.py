"""One run of a lesson's solved edition under nbval, from which every test of that lesson reads what it needs.

A lesson takes up to a minute and a half, so each edition is run once and not per test: the solved one here, from a cold
start, with a right but unusual answer under each solution, which the later cells then use, and with a last cell that
sweeps every explorer; the unsolved one in a browser (tests/browser), as a learner runs it. `nbval_outputs.py` brings
the outputs back.

An exercise has several unusual answers and a run holds one of each: the first, or with UNUSUAL=1 in the environment the
second.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from kd_lab.classroom.build import ROOT, write
from kd_lab.classroom.claim import Claim
from kd_lab.classroom.claims import claims_in
from kd_lab.classroom.diagnosis import find_exercise
from kd_lab.classroom.exercise import EXERCISE_MIME
from kd_lab.classroom.lesson import Lesson, edition_of, exercise_function, exercise_of, tags


@dataclass(frozen=True)
class Run:
    """What came out of a run."""

    solved: NotebookNode
    sweep: NotebookNode  # the one cell that moved every explorer
    failures: str  # nbval's report; empty if every cell passed

    @property
    def claims(self) -> dict[str, tuple[Claim, ...]]:
        found: dict[str, tuple[Claim, ...]] = {}
        for claim in claims_in(self.solved):
            found[claim.id] = (*found.get(claim.id, ()), claim)
        return found


def states(notebook: NotebookNode) -> dict[str, list[str]]:
    """Exercise -> what the notebook says of it, from top to bottom."""
    found: dict[str, list[str]] = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if state := output.get("data", {}).get(EXERCISE_MIME):
                found.setdefault(state["id"], []).append(state["state"])
    return found


def with_unusual_answers(notebook: NotebookNode, which: int = 0) -> NotebookNode:
    """The edition with a cell under each exercise that answers it otherwise, for all cells that come later."""
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        identifier = exercise_of(cell)
        if identifier and (answers := find_exercise(identifier).unusual):
            name, number = exercise_function(cell.source).name, min(which, len(answers) - 1)
            source = (
                "from kd_lab.classroom.diagnosis import find_exercise\n\n"
                f'{name} = exercise("{identifier}")(find_exercise("{identifier}").unusual[{number}])'
            )
            cells.append(nbformat.v4.new_code_cell(source, id=f"unusual-{identifier.replace('.', '-')}"))
    notebook.cells = cells
    return notebook


def verdicts(notebook: NotebookNode) -> list[tuple[str, str, Claim | None]]:
    """Every claim: its number, its sentence without digits, which other hardware may change, and the claim.

    The claims of cells that measure seconds have None for the last.
    """
    return [
        (claim.id, re.sub(r"[\d.,]+", "#", claim.sentence), None if "timing" in tags(cell) else claim)
        for cell in notebook.cells
        for claim in claims_in(NotebookNode(cells=[cell]))
    ]


def contradictions(saved: NotebookNode, run: NotebookNode) -> list[str]:
    """The claims of two runs of one lesson that contradict each other; "open" contradicts no neighbour."""
    before, after = verdicts(saved), verdicts(run)
    if [one[:2] for one in before] != [one[:2] for one in after]:
        return [f"other claims: {[one[:2] for one in before]} and {[one[:2] for one in after]}"]
    pairs = [(one[2], other[2]) for one, other in zip(before, after, strict=True) if one[2] and other[2]]
    return [f"{one.id}: {one.measured()} {one.verdict}, then {other.measured()} {other.verdict}"
            for one, other in pairs if contradict(one, other)]  # fmt: skip


def contradict(one: Claim, other: Claim) -> bool:
    """Whether a verdict turned into its opposite, or changed at all where it is a rule without a margin."""
    if one.verdict == other.verdict:
        return False
    return one.margin is None or {one.verdict, other.verdict} == {"holds", "does not hold"}


def run_lesson(lesson: Lesson, folder: Path, cache: Path) -> Run:
    """Run a lesson's solved edition under nbval.

    Args:
        lesson: its built notebook supplies the outputs of cells that are compared strictly.
        folder: an empty one.
        cache: what lessons train is shared between the lessons of one test session.
    """
    solved = with_unusual_answers(edition_of(lesson, "solved"), int(os.environ.get("UNUSUAL", "0")))
    built = nbformat.read(lesson.notebook, as_version=4)
    reference = {cell.id: cell for cell in built.cells if cell.cell_type == "code"}
    for cell in solved.cells:
        if "nbval-check-output" in tags(cell) and cell.id in reference:
            cell.outputs, cell.execution_count = reference[cell.id].outputs, reference[cell.id].execution_count
    pictures = str(ROOT / "build" / "explorers" / lesson.name)  # for people to look at
    sweep = nbformat.v4.new_code_cell(f"from kd_lab.viz.sweep import sweep_all\n\nsweep_all({pictures!r})", id="sweep")
    solved.cells.append(sweep)
    path, outputs = folder / lesson.notebook.name, folder / "outputs.json"
    write(solved, path)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=1200",
         "-q", "--tb=short", "-p", "nbval_outputs", "-p", "no:cacheprovider", "--color=no", str(path)],
        cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {
            "KD_LAB_CACHE": str(cache), "KD_LAB_PROGRESS": str(folder / "progress.json"),
            "IPYTHONDIR": str(folder / "ipython"), "PYTHONHASHSEED": "0",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
            "NBVAL_OUTPUTS": str(outputs), "PYTEST_ADDOPTS": "",
        },
    )  # fmt: skip
    recorded = json.loads(outputs.read_text()) if outputs.exists() else {}
    for number, cell in enumerate([cell for cell in solved.cells if cell.cell_type == "code"]):
        cell.outputs = [nbformat.from_dict(output) for output in recorded.get(str(number), [])]
    failures = "" if result.returncode == 0 else result.stdout + result.stderr
    return Run(solved, solved.cells.pop(), failures)
