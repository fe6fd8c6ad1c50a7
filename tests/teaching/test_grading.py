"""Verdicts as nbgrader reads them, and the line protocol of its judge."""

import dataclasses
import io
import json
import shutil

import pytest
from nbformat import write
from nbformat.v4 import new_code_cell, new_notebook

from kd_lab.classroom.exercise import EXERCISE_MIME
from kd_lab.classroom.lesson import find_lessons
from kd_lab.teaching import grading
from kd_lab.teaching.assignment import marked
from kd_lab.teaching.course import init
from kd_lab.teaching.grading import cell_of, graded_notebook, outputs_of, points_in, secret_of, serve
from kd_lab.teaching.judge import Verdict

(LESSON,) = find_lessons(numbers=["03"])
HALF = Verdict("03.1", 0.4, "partly right", "2 of 4 cases are right.", "0 · log 0")


def test_a_verdict_is_a_number_and_a_panel():
    panel, number = outputs_of(HALF, 8)
    assert number.output_type == "execute_result"
    assert number.data["text/plain"] == "3.2"
    assert panel.data[EXERCISE_MIME] == {"id": "03.1", "state": "partly right", "mistake": "0 · log 0"}
    assert "3.2 of 8 points" in panel.data["text/plain"]


def test_a_deleted_cell_of_points_comes_back():
    mark = marked("03.1", 8)
    notebook = new_notebook(cells=[new_code_cell("x", metadata={"nbgrader": mark})])
    assert cell_of(notebook, "03.1", 8) is notebook.cells[0]
    assert cell_of(notebook, "03.2", 5) is notebook.cells[1]
    assert notebook.cells[1].metadata.nbgrader.points == 5
    assert cell_of(notebook, "03.3", None) is None
    assert len(notebook.cells) == 2


@pytest.mark.parametrize("points", [5, 99, 2.675, 200 / 3, 0.125, 0])
def test_no_share_earns_more_than_the_points_and_a_right_answer_earns_them_all(points):
    """nbgrader stops at a number above the points of the cell."""

    def earned(share):
        return float(outputs_of(dataclasses.replace(HALF, share=share), points)[1].data["text/plain"])

    assert earned(1.0) == points
    assert all(0 <= earned(share) <= points for share in (0.0, 0.4, 2 / 3, 0.999, 0.9999))
    assert earned(0.4) == pytest.approx(0.4 * points, abs=0.005)


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of lesson 03 whose answers are all right."""
    init(tmp_path, ["03"])
    monkeypatch.setattr(grading, "box_in", lambda folder: folder)
    right = [Verdict(f"03.{number}", 1.0, "right", "Right.") for number in (1, 2, 3)]
    monkeypatch.setattr(grading, "grade", lambda *_: right)
    return tmp_path


def released(course, *marks):
    """A notebook with these marks, laid where nbgrader lays what the class receives."""
    notebook = new_notebook(cells=[new_code_cell("x", metadata={"nbgrader": mark}) for mark in marks])
    (course / "release" / "03").mkdir(parents=True, exist_ok=True)
    write(notebook, course / "release" / "03" / LESSON.notebook.name)
    return notebook


def earned(notebook):
    return {cell.metadata.nbgrader.grade_id: cell.outputs[1].data["text/plain"] for cell in notebook.cells}


def test_points_that_a_teacher_changed_are_those_that_count(course):
    notebook = released(course, marked("03.1", 5), marked("03.2", 99), marked("03.3", 10.0))
    assert earned(graded_notebook(notebook, LESSON, course)) == {
        "test-03-1": "5.0",
        "test-03-2": "99.0",
        "test-03-3": "10.0",
    }


def test_a_cell_that_the_class_never_received_is_not_added_and_one_that_it_has_is(course):
    """The gradebook would know the one as little as the other is missing there; source/ may have been renewed since."""
    released(course, marked("03.1", 8), marked("03.2", 4))
    submitted = new_notebook(cells=[new_code_cell("x", metadata={"nbgrader": marked("03.1", 8)})])
    assert earned(graded_notebook(submitted, LESSON, course)) == {"test-03-1": "8.0", "test-03-2": "4.0"}
    shutil.rmtree(course / "release")
    assert points_in(course, LESSON) == {"test-03-1": 8, "test-03-2": 5, "test-03-3": 10}
    shutil.rmtree(course / "source")
    assert points_in(course, LESSON) == {}


def test_tests_of_a_teachers_own_are_refused_since_nothing_runs_them(course):
    """nbgrader gives full points to a cell of tests without output."""
    own = marked("03.1", 5) | {"grade_id": "my-test"}
    with pytest.raises(ValueError, match=r"'my-test' holds autograder tests for 5 points.*03\.1, 03\.2 and 03\.3"):
        graded_notebook(released(course, marked("03.1", 8), own), LESSON, course)
    with pytest.raises(ValueError, match="'test-04-1'"):  # of another lesson
        graded_notebook(released(course, marked("04.1", 8)), LESSON, course)
    manual = released(course, marked("03.1", 8), own | {"solution": True, "locked": False})
    assert graded_notebook(manual, LESSON, course).cells[1].outputs == []


def test_a_notebook_that_cannot_be_graded_is_an_error_and_the_next_is_graded(tmp_path, monkeypatch):
    (tmp_path / ".kd_lab").mkdir()
    (tmp_path / ".kd_lab" / "secret").write_text("secret\n", encoding="utf-8")
    monkeypatch.setattr(grading, "box_in", lambda folder: folder)
    monkeypatch.setattr(grading, "grade", lambda *_: [HALF])
    released(tmp_path, marked("03.1", 8))
    lines = [{"lesson": "55", "notebook": {}}, {"lesson": "03", "notebook": new_notebook()}]
    out = io.StringIO()
    serve(tmp_path, io.StringIO("".join(json.dumps(line) + "\n" for line in lines)), out)
    wrong, right = map(json.loads, out.getvalue().splitlines())
    assert wrong == {"error": "KeyError: '55'"}
    assert right["notebook"]["cells"][0]["outputs"][1]["data"]["text/plain"] == "3.2"


def test_a_folder_without_a_course_is_said(tmp_path):
    with pytest.raises(ValueError, match="kd-lab class init"):
        secret_of(tmp_path)
