"""One run of a lesson under nbval, from which every test of that lesson reads what it needs.

A lesson takes up to a minute and a half, so it is run once and not per test. The notebook that is run holds the solved
edition from a cold start, then the unsolved edition in the same kernel: every cell runs twice, and the second round
starts from everything that the first one left behind, as when a learner presses Run All again. (The build has run the
unsolved edition from a cold start.) A last cell sweeps every explorer. `nbval_outputs.py` brings the outputs back.
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
from kd_lab.classroom.lesson import METADATA, Lesson, edition_of, tags


@dataclass(frozen=True)
class Run:
    """What came out of a run."""

    solved: NotebookNode
    again: NotebookNode  # unsolved, in the kernel that the solved edition has used
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


def run_lesson(lesson: Lesson, folder: Path, cache: Path) -> Run:
    """Run a lesson twice over under nbval.

    Args:
        lesson: which; its built notebook supplies the outputs of cells that are compared strictly.
        folder: an empty one.
        cache: what lessons train is shared between the lessons of one test session.
    """
    halves = [edition_of(lesson, edition) for edition in ("solved", "unsolved")]
    built = nbformat.read(lesson.notebook, as_version=4)
    reference = {cell.id: cell for cell in built.cells if cell.cell_type == "code"}
    for half in halves:
        for cell in half.cells:
            if "nbval-check-output" in tags(cell) and cell.id in reference:
                cell.outputs, cell.execution_count = reference[cell.id].outputs, reference[cell.id].execution_count
    pictures = str(ROOT / "build" / "explorers" / lesson.name)  # for people to look at
    sweep = nbformat.v4.new_code_cell(f"from kd_lab.viz.sweep import sweep_all\n\nsweep_all({pictures!r})")
    cells = [*halves[0].cells, *halves[1].cells, sweep]
    for position, cell in enumerate(cells):
        cell.id = f"cell-{position}"  # the two editions share most of their cells, and so of their ids
    twice = nbformat.v4.new_notebook(metadata=METADATA, nbformat_minor=5, cells=cells)
    path, outputs = folder / lesson.notebook.name, folder / "outputs.json"
    write(twice, path)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=600",
         "-q", "--tb=short", "-p", "nbval_outputs", "-p", "no:cacheprovider", "--color=no", str(path)],
        cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {
            "KD_LAB_CACHE": str(cache), "IPYTHONDIR": str(folder / "ipython"), "PYTHONHASHSEED": "0",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]),
            "NBVAL_OUTPUTS": str(outputs), "PYTEST_ADDOPTS": "",
        },
    )  # fmt: skip
    recorded = json.loads(outputs.read_text()) if outputs.exists() else {}
    code = [cell for cell in twice.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code):
        cell.outputs = [nbformat.from_dict(output) for output in recorded.get(str(number), [])]
    for half in halves:
        half.cells, twice.cells = twice.cells[: len(half.cells)], twice.cells[len(half.cells) :]
    failures = "" if result.returncode == 0 else result.stdout + result.stderr
    return Run(halves[0], halves[1], twice.cells[0], failures)
