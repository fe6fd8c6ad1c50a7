"""A lesson as nbgrader's source: its solutions marked, a cell of points behind each, nothing of the teacher's."""

import json

import pytest

from kd_lab.classroom.diagnosis import exercises_of
from kd_lab.classroom.lesson import lessons_of
from kd_lab.teaching.assignment import assignment_of, points_of


@pytest.mark.parametrize("lesson", lessons_of(), ids=lambda lesson: f"lesson {lesson.number}")
def test_every_exercise_has_its_cell_of_points(lesson):
    notebook, points = assignment_of(lesson), points_of(lesson)
    assert points.keys() == exercises_of(lesson.number).keys()
    marks = [cell.metadata.nbgrader for cell in notebook.cells if "nbgrader" in cell.metadata]
    wanted = [f"{kind}-{identifier.replace('.', '-')}" for identifier in points for kind in ("solution", "test")]
    assert [mark.grade_id for mark in marks] == wanted
    assert [mark.points for mark in marks if mark.grade] == list(points.values())
    for mark in marks:
        assert mark.schema_version == 3
        assert mark.solution is not mark.grade
        assert mark.locked is mark.grade
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)


def test_solutions_are_marked_and_explanations_left_out():
    lesson = next(lesson for lesson in lessons_of() if lesson.number == "03")
    notebook = assignment_of(lesson)
    text = json.dumps(notebook, ensure_ascii=False)
    assert "    ### BEGIN SOLUTION\\n    p = np.exp(teacher_logp)" in text
    assert "Solution of 03.1" not in text
    assert "{{measured}}" not in text
    assert not any("teacher" in cell.metadata.get("tags", ()) for cell in notebook.cells)
    assert all("raises-exception" in cell.metadata.tags for cell in notebook.cells if cell.cell_type == "code")


def test_a_run_without_the_judge_gives_no_points():
    lesson = next(lesson for lesson in lessons_of() if lesson.number == "03")
    graded = [cell for cell in assignment_of(lesson).cells if cell.metadata.get("nbgrader", {}).get("grade")]
    for cell in graded:
        hidden = cell.source.partition("### BEGIN HIDDEN TESTS\n")[2]
        with pytest.raises(RuntimeError, match="points come from the judge"):
            exec(hidden, {})
