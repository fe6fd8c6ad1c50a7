"""Grades written into a submitted notebook, as nbgrader reads them: `kd-lab class grade COURSE`.

nbgrader takes the points of a cell from its output: a number, or nothing where it stopped with an error. The judge of
the course's nbgrader_config.py sends each notebook here instead of to a kernel.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nbformat import NotebookNode, from_dict, read
from nbformat.v4 import new_code_cell, new_output

from kd_lab.classroom.answers import in_words
from kd_lab.classroom.diagnosis import exercises_of
from kd_lab.classroom.exercise import EXERCISE_MIME
from kd_lab.classroom.lesson import Lesson, lessons_of
from kd_lab.classroom.panel import Panel
from kd_lab.teaching.assignment import grade_id, marked
from kd_lab.teaching.box import box_in
from kd_lab.teaching.judge import Verdict, grade

OWN = ".kd_lab"
"""The folder in a course that holds its secret and the package without solutions."""


def secret_of(course: Path) -> str:
    """The secret from which a course draws its cases.

    Raises:
        ValueError: this folder is no course.
    """
    try:
        return (course / OWN / "secret").read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ValueError(
            f"{str(course)!r} holds no course ({error}); make one with: kd-lab class init {course}"
        ) from error


def graded_notebook(notebook: NotebookNode, lesson: Lesson, course: Path) -> NotebookNode:
    """A submission with its grades as the outputs of its graded cells. No cell of it is run in a kernel.

    The points are those of the cell, which nbgrader takes from the gradebook: a teacher may have changed them.

    Args:
        notebook: as it was handed in; changed in place.
        lesson: that it answers.
        course: the folder of the course.

    Raises:
        ValueError: points hang on a cell that only a kernel could grade.
    """
    refuse_tests(notebook, lesson)
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    verdicts = grade(sources, lesson, secret_of(course), box_in(course / OWN), [course])
    points = points_in(course, lesson)
    for verdict in verdicts:
        cell = cell_of(notebook, verdict.identifier, points.get(grade_id(verdict.identifier)))
        if cell is not None:
            cell.outputs = outputs_of(verdict, float(cell.metadata.nbgrader.points))
            cell.execution_count = 1
    return notebook


def marks_of(notebook: NotebookNode) -> list[tuple[NotebookNode, NotebookNode]]:
    """The code cells that carry points and no answer, each with nbgrader's mark on it."""
    found = [(cell, cell.metadata.get("nbgrader", {})) for cell in notebook.cells if cell.cell_type == "code"]
    return [(cell, mark) for cell, mark in found if mark.get("grade") and not mark.get("solution")]


def refuse_tests(notebook: NotebookNode, lesson: Lesson) -> None:
    """Refuse a cell of points that no exercise has: nothing runs it, and nbgrader takes a silent cell for a right one.

    Raises:
        ValueError: there is one.
    """
    exercises = list(exercises_of(lesson.number))
    judged = {grade_id(identifier) for identifier in exercises}
    for _, mark in marks_of(notebook):
        if mark.get("grade_id") not in judged:
            raise ValueError(
                f"the cell {mark.get('grade_id')!r} holds autograder tests for {mark.get('points')} points, and "
                f"nothing runs them: the judge grades {in_words(exercises)} and no other cell; make it a manually "
                "graded cell in source/, or take it out there, and run nbgrader generate_assignment again"
            )


def points_in(course: Path, lesson: Lesson) -> dict[str, float]:
    """The points of the cells that the class has received, by grade_id; else of those in the teacher's source."""
    for folder in ("release", "source"):
        for file in sorted((course / folder).glob(f"*/{lesson.notebook.name}")):
            return {mark["grade_id"]: float(mark["points"]) for _, mark in marks_of(read(file, as_version=4))}
    return {}


def cell_of(notebook: NotebookNode, identifier: str, points: float | None) -> NotebookNode | None:
    """The cell that carries the points of an exercise; a new one at the end where a student deleted it.

    Args:
        notebook: as it was handed in.
        identifier: of the exercise.
        points: of the cell that the class has received; None where the teacher took the exercise out, and the
            gradebook knows no such cell.
    """
    for cell, mark in marks_of(notebook):
        if mark.get("grade_id") == grade_id(identifier):
            return cell
    if points is None:
        return None
    source = "# This cell was missing from the submission."
    notebook.cells.append(new_code_cell(source, metadata={"nbgrader": marked(identifier, points)}))
    return notebook.cells[-1]


def outputs_of(verdict: Verdict, points: float) -> list[NotebookNode]:
    """A panel for people, and the number that nbgrader reads, which may not be above the points."""
    earned = points if verdict.share == 1 else min(points, round(verdict.share * points, 2))
    heading = f"Exercise {verdict.identifier}: {verdict.state}, {earned:g} of {points:g} points"
    data: dict[str, Any] = {"id": verdict.identifier, "state": verdict.state}
    data |= {"mistake": verdict.mistake} if verdict.mistake else {}
    tone = "good" if verdict.share == 1 else "attention"
    panel = Panel(heading, (verdict.message,), tone=tone, data={EXERCISE_MIME: data})
    return [
        new_output("display_data", data=panel._repr_mimebundle_()),
        new_output("execute_result", data={"text/plain": repr(earned)}, execution_count=1),
    ]


def serve(course: Path, requests: Iterable[str] | None = None, replies: Any = None) -> None:
    """Grade notebooks until there are no more: a line of JSON for each, {"lesson": "03", "notebook": …}.

    The reply to each is a line too: {"notebook": …}, or {"error": …} where it could not be graded.

    Args:
        course: the folder of the course.
        requests, replies: by default standard input and output.

    Raises:
        ValueError: this folder is no course.
    """
    requests, replies = requests or sys.stdin, replies or sys.stdout
    lessons = {lesson.number: lesson for lesson in lessons_of()}
    secret_of(course)
    for line in requests:
        try:
            request = json.loads(line)
            graded = graded_notebook(from_dict(request["notebook"]), lessons[request["lesson"]], course)
            reply = {"notebook": graded}
        except Exception as error:  # said in nbgrader's log, and this student's notebook is not graded
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()
