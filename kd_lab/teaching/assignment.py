"""A lesson as an assignment of nbgrader: the teacher's source, from which nbgrader makes what students receive."""

import re
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from kd_lab.classroom.diagnosis import find_exercise
from kd_lab.classroom.lesson import (
    METADATA,
    Lesson,
    edit,
    exercise_function,
    exercise_of,
    numbered,
    solved,
    tags,
    with_card,
)

HEADING = re.compile(r"^# ### Exercise (\S+) · .+? \(●*○*, (\d+) minutes\)", re.MULTILINE)

GRADED = """from kd_lab.classroom import assert_solved

assert_solved("{identifier}", {name})
### BEGIN HIDDEN TESTS
raise RuntimeError("points come from the judge in nbgrader_config.py, which this run does not use")
### END HIDDEN TESTS"""
"""The cell that carries the points. A student runs its first lines; where the course's own settings are missing, its
last line gives nobody any points."""

HAND_IN = """from kd_lab.classroom import hand_in

hand_in("{lesson}")"""

HOW_TO = """## Hand in

Run the cell below and save: it shows your predictions and your answers to the quiz, which your teacher collects. They
earn no points. The exercises do: each is tried on cases that you have not seen. Then submit the notebook."""


def points_of(lesson: Lesson) -> dict[str, int]:
    """The points of each exercise of a lesson: one for each minute that it is marked with.

    >>> from kd_lab.classroom.lesson import lessons_of
    >>> points_of(next(lesson for lesson in lessons_of() if lesson.number == "03"))
    {'03.1': 8, '03.2': 5, '03.3': 10}
    """
    found = HEADING.findall(lesson.source.read_text(encoding="utf-8"))
    return {identifier: int(minutes) for identifier, minutes in found}


def assignment_of(lesson: Lesson) -> NotebookNode:
    """The teacher's source of an assignment, not executed: nbgrader cuts its solutions and hidden lines out.

    Cells that need an unsolved exercise may stop; their tag lets "Run all" go on.
    """
    notebook, points = new_notebook(metadata=METADATA, nbformat_minor=5), points_of(lesson)
    for cell in lesson.cells():
        if not any(tag.startswith("solution:") for tag in tags(cell)):
            notebook.cells += graded(cell, points)
    notebook.cells += [
        new_markdown_cell(HOW_TO),
        new_code_cell(HAND_IN.format(lesson=lesson.number), metadata={"tags": ["raises-exception"]}),
    ]
    return with_card(numbered(notebook), lesson.measured)


def graded(cell: NotebookNode, points: dict[str, int]) -> list[NotebookNode]:
    """The cells in the place of one of the lesson: an exercise is followed by the cell that carries its points."""
    identifier = exercise_of(cell)
    cells = edit(cell, "unsolved")
    for one in cells:
        if one.cell_type == "code":
            one.metadata["tags"] = [*tags(one), "raises-exception"]
    if identifier is None:
        return cells
    (answer,) = cells
    marks = {"before": "### BEGIN SOLUTION", "after": "### END SOLUTION"}
    answer.source = solved(answer.source, find_exercise(identifier).reference, **marks)
    answer.metadata["nbgrader"] = marked(identifier, None)
    name = exercise_function(answer.source).name
    test = new_code_cell(GRADED.format(identifier=identifier, name=name))
    test.metadata = {"tags": ["raises-exception"], "nbgrader": marked(identifier, points[identifier])}
    return [answer, test]


def marked(identifier: str, points: float | None) -> dict[str, Any]:
    """nbgrader's metadata, schema 3: a cell that a student fills in, or the locked cell that carries its points."""
    mark = {
        "schema_version": 3,
        "grade_id": grade_id(identifier) if points is not None else f"solution-{identifier.replace('.', '-')}",
        "solution": points is None,
        "grade": points is not None,
        "locked": points is not None,
        "task": False,
        "cell_type": "code",
    }
    return mark if points is None else mark | {"points": points}


def grade_id(identifier: str) -> str:
    """The name by which nbgrader knows the cell with the points of an exercise."""
    return f"test-{identifier.replace('.', '-')}"
