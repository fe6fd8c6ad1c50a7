"""Answers and notes that someone has written into a lesson's notebook itself, where a build would overwrite them."""

import ast

import nbformat

from kd_lab.classroom.copies import MEASURED
from kd_lab.classroom.lesson import Lesson, digest, exercise_function, exercise_of


def answered_exercises(lesson: Lesson) -> list[str]:
    """The exercises that someone has solved in the notebook itself: the `...` to be replaced is gone."""
    if not lesson.notebook.exists():
        return []
    cells = nbformat.read(lesson.notebook, as_version=4).cells
    return [identifier for cell in cells if (identifier := exercise_of(cell)) and not is_open(cell.source)]


def is_open(source: str) -> bool:
    """Whether the function under `@exercise` is still to be written: its body is `...` alone, or still assigns it.

    Dots elsewhere are somebody's code, such as `rows[..., 0]`. A cell that does not parse holds someone's work.
    """
    try:
        body = exercise_function(source).body
    except (SyntaxError, ValueError):
        return False
    lines = [one for one in body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]
    bound = [one.value for one in lines if isinstance(one, ast.Assign)]
    return not lines or any(isinstance(value, ast.Constant) and value.value is ... for value in bound)


def own_cells(lesson: Lesson) -> list[str]:
    """The first lines of the cells that no build wrote: a note that was added, or a cell that was changed.

    A build gives each cell an id that depends on what it says, and Jupyter keeps the id when someone edits the cell.
    """
    if not lesson.notebook.exists():
        return []
    lines = []
    for cell in nbformat.read(lesson.notebook, as_version=4).cells:
        built = digest(cell.cell_type, MEASURED.sub("{{measured}}", cell.source))
        if cell.source.strip() and cell.get("id", "").partition("-")[0] != built:
            lines.append(cell.source.strip().splitlines()[0])
    return lines
