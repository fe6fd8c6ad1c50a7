"""Verdicts as nbgrader reads them, and the line protocol of its judge."""

import io
import json

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from kd_lab.classroom.exercise import EXERCISE_MIME
from kd_lab.teaching import grading
from kd_lab.teaching.assignment import marked
from kd_lab.teaching.grading import cell_of, outputs_of, secret_of, serve
from kd_lab.teaching.judge import Verdict

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


def test_a_notebook_that_cannot_be_graded_is_an_error_and_the_next_is_graded(tmp_path, monkeypatch):
    (tmp_path / ".kd_lab").mkdir()
    (tmp_path / ".kd_lab" / "secret").write_text("secret\n", encoding="utf-8")
    monkeypatch.setattr(grading, "box_in", lambda folder: folder)
    monkeypatch.setattr(grading, "grade", lambda *_: [HALF])
    lines = [{"lesson": "55", "notebook": {}}, {"lesson": "03", "notebook": new_notebook()}]
    out = io.StringIO()
    serve(tmp_path, io.StringIO("".join(json.dumps(line) + "\n" for line in lines)), out)
    wrong, right = map(json.loads, out.getvalue().splitlines())
    assert wrong == {"error": "KeyError: '55'"}
    assert right["notebook"]["cells"][0]["outputs"][1]["data"]["text/plain"] == "3.2"


def test_a_folder_without_a_course_is_said(tmp_path):
    with pytest.raises(ValueError, match="kd-lab class init"):
        secret_of(tmp_path)
