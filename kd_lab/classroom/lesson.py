"""A lesson's source as cells, and its editions: unsolved, solved, and the teacher's.

Sources are jupytext percent scripts. The one solution of an exercise is the body of its reference function; the
editions put it where it belongs.
"""

import ast
import hashlib
import inspect
import json
import re
import textwrap
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import jupytext
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from kd_lab.classroom.diagnosis import Exercise, find_exercise, written
from kd_lab.classroom.folds import fold_answers

ROOT = Path(__file__).parents[2]
"""The checkout: lessons are built where they are written. An installed package has no folder of notebooks beside it."""

Edition = Literal["unsolved", "solved", "teacher"]
"""unsolved: what lessons/ shows. teacher: solved, with what a teacher needs. A graded class has an edition of its own
in `kd_lab.teaching.assignment`."""

METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {
        "name": "python",
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "pygments_lexer": "ipython3",
    },
}
"""The same on every machine. Without a kernelspec, JupyterLab opens a dialog that waits for an answer."""


@dataclass(frozen=True)
class Lesson:
    """A folder kd_lab/lessons/lNN_name with its lesson.py, and the notebook lessons/NN_name.ipynb built from it."""

    folder: Path  # kd_lab/lessons/lNN_name
    notebook: Path

    @property
    def name(self) -> str:
        """Such as "06_gkd"."""
        return self.notebook.stem

    @property
    def number(self) -> str:
        return self.name.partition("_")[0]

    @property
    def source(self) -> Path:
        return self.folder / "lesson.py"

    @property
    def measured(self) -> dict[str, Any] | None:
        """The cost of its last build: seconds, peak memory, cores, fingerprint. None where it was never built."""
        file = self.folder / "measured.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None

    @property
    def fingerprint(self) -> str:
        """Changes whenever the source does."""
        return hashlib.sha256(self.source.read_bytes()).hexdigest()[:16]

    @property
    def code_fingerprint(self) -> str:
        """Changes whenever the source of a code cell does, and not with the prose."""
        code = "\0".join(cell.source for cell in self.cells() if cell.cell_type == "code")
        return hashlib.sha256(code.encode()).hexdigest()[:16]

    def cells(self) -> list[NotebookNode]:
        """The source as it was written: solution cells still hold their mark."""
        return deepcopy(_cells_in(self.source.read_text(encoding="utf-8")))


@lru_cache(maxsize=32)
def _cells_in(source: str) -> list[NotebookNode]:
    return jupytext.reads(source, fmt="py:percent").cells


def find_lessons(root: Path = ROOT, numbers: list[str] | None = None) -> list[Lesson]:
    """The lessons of a checkout in the order of their numbers.

    Args:
        root: the checkout, with kd_lab/lessons/ and lessons/ in it.
        numbers: only these, such as ["02"]; all by default.

    Raises:
        ValueError: this is no checkout, or a number that no lesson has.
    """
    if not (root / "lessons").is_dir():
        raise ValueError(
            f"{root} holds no folder lessons/: notebooks are built and read in a checkout of the course, which an "
            "installed package is not; clone the repository and run this in it, or name it with --root"
        )
    lessons = lessons_of(root)
    if unknown := set(numbers or []) - {lesson.number for lesson in lessons}:
        raise ValueError(
            f"there is no lesson {', '.join(sorted(unknown))}; {root / 'kd_lab' / 'lessons'} holds "
            f"{', '.join(lesson.number for lesson in lessons) or 'none'}"
        )
    return [lesson for lesson in lessons if not numbers or lesson.number in numbers]


def lessons_of(root: Path = ROOT) -> list[Lesson]:
    """All lessons in the order of their numbers. An installed package has their sources, and no notebooks yet."""
    folders = sorted((root / "kd_lab" / "lessons").glob("l[0-9][0-9]*_*"))
    return [Lesson(folder, root / "lessons" / f"{folder.name[1:]}.ipynb") for folder in folders]


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell, such as "timing" or "teacher"."""
    return cell.metadata.get("tags", [])


def exercise_of(cell: NotebookNode) -> str | None:
    """The identifier of the exercise that a code cell defines."""
    found = re.search(r"^@exercise\(\s*[\"']([^\"']+)[\"']", cell.source, re.MULTILINE)
    return found[1] if cell.cell_type == "code" and found else None


def edition_of(lesson: Lesson, edition: Edition) -> NotebookNode:
    """An edition of a lesson, not yet executed. Its card still has `{{measured}}` where its cost will stand."""
    notebook = new_notebook(metadata=METADATA, nbformat_minor=5)
    for cell in lesson.cells():
        notebook.cells += edit(cell, edition)
    if edition == "unsolved":
        fold_answers(notebook.cells)
    return numbered(notebook)


def numbered(notebook: NotebookNode) -> NotebookNode:
    """The notebook with an id for each cell that depends on what the cell says alone."""
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        # A cell is known by what it says, so that an edit elsewhere leaves its id, and a reader's diff, alone.
        known = digest(cell.cell_type, cell.source)
        seen[known] = seen.get(known, 0) + 1
        cell.id = known if seen[known] == 1 else f"{known}-{seen[known]}"
    return notebook


def digest(cell_type: str, source: str) -> str:
    """Twelve hexadecimal digits that change whenever what a cell says does."""
    return hashlib.sha256(f"{cell_type}\n{source}".encode()).hexdigest()[:12]


def with_card(notebook: NotebookNode, entry: dict[str, Any] | None) -> NotebookNode:
    """The edition with its measured cost on the card."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("{{measured}}", expected_line(entry))
    return notebook


def expected_line(entry: dict[str, Any] | None) -> str:
    """Expected run time and memory as a sentence.

    >>> expected_line({"seconds": 41.4, "memory_mib": 820, "cores": 2})
    'From top to bottom it takes about 41 seconds and 0.8 GiB of memory on 2 CPU cores.'
    """
    if entry is None:
        return "How long it takes from top to bottom has not been measured yet."
    return (
        f"From top to bottom it takes about {entry['seconds']:.0f} seconds and {entry['memory_mib'] / 1024:.1f} GiB "
        f"of memory on {entry['cores']} CPU cores."
    )


def metadata_of(cell: NotebookNode) -> dict[str, Any]:
    """The metadata of a cell in a notebook: its tags, and the marks by which a page folds the code of `hide-input`.

    JupyterLab reads `source_hidden`, Colab `cellView`, Jupyter Book the tag itself.
    """
    metadata: dict[str, Any] = {"tags": tags(cell)} if tags(cell) else {}
    if "hide-input" in tags(cell):
        metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
    return metadata


def edit(cell: NotebookNode, edition: Edition) -> list[NotebookNode]:
    """What becomes of one cell of the source: itself, something in its place, or something after it."""
    source, metadata = cell.source, metadata_of(cell)
    identifier = exercise_of(cell)
    if "teacher" in tags(cell) and edition != "teacher":
        return []
    for tag in tags(cell):
        if tag.startswith("solution:"):
            source = solution_fold(tag.removeprefix("solution:"))
    if cell.cell_type == "markdown":
        return [new_markdown_cell(source, metadata=metadata)]
    if identifier is None:
        return [new_code_cell(source, metadata=metadata)]
    chosen = find_exercise(identifier)
    if edition in ("solved", "teacher"):
        source = solved(source, chosen.reference)
    cells = [new_code_cell(source, metadata=metadata)]
    if edition == "teacher":
        cells.append(new_markdown_cell(misconceptions(identifier, chosen)))
    return cells


def exercise_function(source: str) -> ast.FunctionDef:
    """The function under `@exercise` in a cell."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and any("exercise" in ast.dump(mark) for mark in node.decorator_list):
            return node
    raise ValueError(f"this cell has no function under @exercise:\n{source}")


def solved(source: str, reference: Callable[..., Any], before: str = "", after: str = "") -> str:
    """The exercise cell with the reference's body in place of the learner's.

    Args:
        source: of the cell. Signature and docstring stay.
        reference: the solution; its own docstring is left out.
        before: a comment line above the body, and after: one below it.
    """
    function = exercise_function(source)
    lines = source.splitlines()
    start = function.body[0].end_lineno if ast.get_docstring(function) is not None else function.body[0].lineno - 1
    marked = "\n".join([*filter(None, [before]), halves(reference)[1], *filter(None, [after])])
    return "\n".join([*lines[:start], textwrap.indent(marked, "    "), *lines[function.end_lineno :]])


def halves(function: Callable[..., Any]) -> tuple[str, str]:
    """A function's source in two, moved to the margin: from `def` to the colon, and the body without its docstring.

    Layout and comments stay as they were written.
    """
    source = textwrap.dedent(inspect.getsource(written(function)))
    node, lines = ast.parse(source).body[0], source.splitlines()
    header = node.body[0].lineno - 1
    if ast.get_docstring(node) is not None:
        start = node.body[0].end_lineno
    else:
        while not lines[header - 1].strip() or lines[header - 1].strip().startswith("#"):
            header -= 1  # a comment above the first line belongs to the body
        start = header
    body = textwrap.dedent("\n".join(lines[start : node.end_lineno])).strip("\n")
    return "\n".join(lines[node.lineno - 1 : header]), body


def solution_fold(identifier: str) -> str:
    """The explained solution of an exercise, folded away."""
    chosen = find_exercise(identifier)
    header, body = halves(chosen.reference)
    return "\n".join(
        [
            f"<details><summary>Solution of {identifier}, explained</summary>",
            "",
            inspect.cleandoc(chosen.explanation),
            "",
            "```python",
            header,
            textwrap.indent(body, "    "),
            "```",
            "",
            "</details>",
        ]
    )


def misconceptions(identifier: str, chosen: Exercise) -> str:
    """For the teacher's edition: the mistakes that the check of an exercise knows by name."""
    heading = f"**Teacher: what goes wrong in {identifier}**"
    return "\n".join([heading, "", *(f"- *{mistake.name}.* {mistake.message}" for mistake in chosen.mistakes)])
