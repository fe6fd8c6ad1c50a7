"""One run of a lesson's solved edition under nbval, from which every test of that lesson reads what it needs.

A lesson takes up to a minute and a half, so each edition is run once and not per test: the solved one here, from a cold
start and with a last cell that sweeps every explorer; the unsolved one in a browser (tests/browser), as a learner runs
it. `nbval_outputs.py` brings the outputs back.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from kd_lab.classroom.build import ROOT, write
from kd_lab.classroom.claim import Claim
from kd_lab.classroom.claims import claims_in
from kd_lab.classroom.exercise import EXERCISE_MIME
from kd_lab.classroom.lesson import Lesson, edition_of, tags


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


def states(notebook: NotebookNode) -> dict[str, str]:
    """Exercise -> what the notebook says of it."""
    outputs = [output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])]
    said = [data[EXERCISE_MIME] for data in outputs if EXERCISE_MIME in data]
    return {state["id"]: state["state"] for state in said}


def verdicts(notebook: NotebookNode) -> list[tuple[str, str, bool | None]]:
    """Every claim of a notebook with its verdict, but for those of cells that measure seconds."""
    return [
        (claim.id, claim.sentence, None if "timing" in tags(cell) else claim.holds)
        for cell in notebook.cells
        for claim in claims_in(NotebookNode(cells=[cell]))
    ]


def run_lesson(lesson: Lesson, folder: Path, cache: Path) -> Run:
    """Run a lesson's solved edition under nbval.

    Args:
        lesson: its built notebook supplies the outputs of cells that are compared strictly.
        folder: an empty one.
        cache: what lessons train is shared between the lessons of one test session.
    """
    solved = edition_of(lesson, "solved")
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
            "KD_LAB_CACHE": str(cache), "IPYTHONDIR": str(folder / "ipython"), "PYTHONHASHSEED": "0",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
            "NBVAL_OUTPUTS": str(outputs), "PYTEST_ADDOPTS": "",
        },
    )  # fmt: skip
    recorded = json.loads(outputs.read_text()) if outputs.exists() else {}
    for number, cell in enumerate([cell for cell in solved.cells if cell.cell_type == "code"]):
        cell.outputs = [nbformat.from_dict(output) for output in recorded.get(str(number), [])]
    failures = "" if result.returncode == 0 else result.stdout + result.stderr
    return Run(solved, solved.cells.pop(), failures)
