"""A class's report: right counts, no text but the course's own, no name that was not asked for."""

import json
import shutil

import numpy as np
import pytest

from kd_lab.classroom.diagnosis import exercises_of
from kd_lab.classroom.exercise import EXERCISE_MIME, outcome
from kd_lab.classroom.handed_in import ANSWERS_MIME
from kd_lab.classroom.questions import questions_of
from kd_lab.teaching.report import report
from kd_lab.teaching.submissions import read_all


def hand_in(folder, student, outputs):
    place = folder / student / "03"
    place.mkdir(parents=True)
    cells = [
        {"cell_type": "code", "source": "", "outputs": [{"output_type": "display_data", "data": data}]}
        for data in outputs
    ]
    (place / "03_which_kl.ipynb").write_text(
        json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8"
    )


def shown(function):
    return dict(outcome("03.1", exercises_of("03")["03.1"], function)._repr_mimebundle_())


def reversed_kl(student_logp, teacher_logp):
    with np.errstate(all="ignore"):
        return (np.exp(student_logp) * (student_logp - teacher_logp)).sum(-1)


@pytest.fixture
def submitted(tmp_path):
    """Four students: one solved, one reversed, one reversed and then solved, one with a forged output."""
    solved = shown(exercises_of("03")["03.1"].reference)
    option = questions_of("03").QUIZ[0].right
    met = {"lesson": "03", "answers": {"03.quiz.1": option}, "mistakes": {"03.1": ["direction reversed", "<b>"]}}
    hand_in(tmp_path, "ada", [solved])
    hand_in(tmp_path, "bert", [shown(reversed_kl)])
    hand_in(tmp_path, "cleo", [shown(reversed_kl), solved, {ANSWERS_MIME: met}])
    forged = {EXERCISE_MIME: {"id": "03.1", "state": "<script>", "mistake": "dora was here"}}
    wrong = {ANSWERS_MIME: {"lesson": "03", "answers": {"03.quiz.1": "dora was here"}, "mistakes": [3]}}
    hand_in(tmp_path, "dora", [forged, wrong, {EXERCISE_MIME: "dora"}])
    return tmp_path


def test_states_and_misconceptions_are_counted(submitted, tmp_path):
    text = report(submitted, tmp_path / "page.html")
    assert text.splitlines()[0] == "03.1  2 right, 2 not there yet"
    assert "solved by: ada, cleo" in text
    assert "2 × direction reversed" in text
    assert "03.2  4 not started" in text
    assert "without a name" in text


def test_a_graded_folder_shows_the_grades_and_the_answers_that_were_handed_in(submitted, tmp_path):
    """Grading clears the outputs of a notebook, its predictions and its quiz among them."""
    course = tmp_path / "course"
    course.mkdir()
    shutil.move(submitted / "cleo", course / "submitted" / "cleo")
    hand_in(course / "autograded", "cleo", [shown(reversed_kl)])  # the fresh cases found what hers did not
    for name in ("03/03_which_kl (1).ipynb", "03b/03b_between_the_kls.ipynb"):  # nbgrader skips one; 03b comes later
        (late := course / "submitted" / "emil" / name).parent.mkdir(parents=True)
        late.touch()
    text = report(course / "autograded", tmp_path / "page.html")
    assert [line for line in text.splitlines() if line.startswith("not ")] == [
        "not graded: emil/03/03_which_kl (1).ipynb"
    ]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.splitlines()[0] == "03.1  1 not there yet"
    for said in (text, page):
        assert "States as graded; answers and earlier mistakes from submitted/." in said
    assert "03.quiz.1" in page
    text = report(course / "submitted", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.splitlines()[0] == "03.1  1 right"
    assert "not read: emil/03/03_which_kl (1).ipynb" in text
    for said in (text, page):
        assert "States as each student last ran the cells, not as graded." in said


def test_a_notebook_of_another_name_is_named_and_not_dropped(submitted, tmp_path):
    (submitted / "ada" / "03" / "03_which_kl.ipynb").rename(submitted / "ada" / "03" / "03_which_kl (1).ipynb")
    late = submitted / "emil" / "03_which_kl.ipynb"  # not in a folder of the assignment
    late.parent.mkdir()
    late.touch()
    checkpoint = submitted / "bert" / "03" / ".ipynb_checkpoints" / "03_which_kl-checkpoint.ipynb"
    checkpoint.parent.mkdir()
    checkpoint.touch()
    text = report(submitted, tmp_path / "page.html")
    assert [line for line in text.splitlines() if "not read" in line] == [
        "not read: ada/03/03_which_kl (1).ipynb",
        "not read: emil/03_which_kl.ipynb",
    ]
    for student in ("bert", "cleo", "dora"):
        shutil.rmtree(submitted / student)
    with pytest.raises(ValueError, match=r"holds no submission.*\nnot read: ada/03/03_which_kl \(1\)\.ipynb"):
        report(submitted, tmp_path / "page.html")


def test_the_page_is_one_file_without_names(submitted, tmp_path):
    report(submitted, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not any(name in page for name in ("ada", "bert", "cleo", "dora"))
    assert "<script" not in page
    assert "http" not in page
    assert page.count('src="data:image/png;base64,') == 2
    assert 'alt="03.1: 2 right, 2 not there yet' in page
    assert "03.quiz.1" in page


def test_names_stand_there_only_when_asked_for(submitted, tmp_path):
    text = report(submitted, tmp_path / "page.html", names=True)
    assert "keep it to yourself" in text
    assert "<td>cleo</td><td>right</td>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_notebook_that_cannot_be_read_counts_as_not_started(submitted):
    (submitted / "ada" / "03" / "03_which_kl.ipynb").write_text("broken", encoding="utf-8")
    (ada, *_) = read_all(submitted)
    assert set(ada.states.values()) == {"not started"}


@pytest.mark.parametrize(
    "forged",
    [
        "text",
        {EXERCISE_MIME: {"id": ["03.1"]}},
        {EXERCISE_MIME: {"id": "03.1", "state": "wrong", "mistake": ["direction reversed"]}},
        {ANSWERS_MIME: {"lesson": "03", "answers": {"03.quiz.1": ["a"]}, "mistakes": {"03.1": [["b"]]}}},
    ],
)
def test_no_student_ends_the_report_of_a_class(submitted, tmp_path, forged):
    hand_in(submitted, "emil", [forged])
    text = report(submitted, tmp_path / "page.html")
    assert "solved by: ada, cleo" in text
    assert "2 × direction reversed" in text


def test_a_folder_without_submissions_is_said(tmp_path):
    with pytest.raises(ValueError, match=r"STUDENT/NN/NN_name\.ipynb"):
        report(tmp_path, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()
