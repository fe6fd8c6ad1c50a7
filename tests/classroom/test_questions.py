"""Predictions and quizzes: nothing is given away before a commitment, and everything is recalled after it."""

import json
from types import SimpleNamespace

import pytest

from kd_lab.classroom import predict, progress, questions, quiz, reveal
from kd_lab.classroom.lesson import find_lessons
from kd_lab.classroom.questions import COVERED, Prediction, Question, questions_of

LESSON = SimpleNamespace(
    PREDICTIONS={
        "97.a": Prediction(
            "What does a temperature of {tau} do?", ("softens", "sharpens"), "softens", "The logits {ratio:.1f}."
        ),
        "97.b": Prediction(
            "Which name is invented?", right=lambda found: found, because="It sounds like one; number {found}."
        ),
        "97.c": Prediction("Which of them?", ("this", "that")),
    },
    QUIZ=(Question("1 + 1?", {"2": "Two.", "3": "One too many.", "4": "Twice that."}, "2"),),
)


@pytest.fixture(autouse=True)
def shown(monkeypatch, tmp_path):
    """The forms that were displayed, over a lesson of this test's own and an empty file of answers."""
    forms = []
    monkeypatch.setattr(questions, "display", forms.append)
    monkeypatch.setattr(questions, "questions_of", lambda lesson: LESSON)
    monkeypatch.setenv("KD_LAB_PROGRESS", str(tmp_path / "progress.json"))
    questions.asked.clear()
    yield forms
    questions.asked.clear()


def parts(form):
    _, answers, button, response = form.widget.children
    return answers.children, button, response


def options(form):
    return [button.description for button in parts(form)[0]]


@pytest.mark.parametrize("asks", [predict, quiz])
def test_an_answer_that_cannot_be_kept_says_so_once(shown, monkeypatch, tmp_path, asks):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KD_LAB_PROGRESS", str(tmp_path / "file" / "progress.json"))
    asks("97.c" if asks is predict else "97")
    form = shown[0].widget if asks is predict else shown[0].widget.children[0]
    _, answers, button, response = form.children
    answers.children[0].click()
    for is_told in (True, False):
        button.click()
        assert ("Your answers cannot be kept (" in response.value) is is_told


def test_a_prediction_covers_its_answer_until_it_is_committed(shown):
    predict("97.a", tau=4)
    reveal("97.a", ratio=0.25)
    buttons, commit, response = parts(shown[0])
    answer = shown[1].widget.children[1]
    assert "softens" not in answer.value
    assert COVERED in answer.value
    commit.click()
    assert "Choose an answer first" in response.value
    buttons[1].click()
    assert options(shown[0]) == ["○ softens", "● Chosen: sharpens"]
    assert COVERED in answer.value  # nothing counts before it is committed
    commit.click()
    assert "You said “sharpens”. What happened: softens. The logits 0.2." in answer.value
    assert 'role="status"' in answer.value


def test_what_a_saved_notebook_holds_gives_nothing_away(shown):
    predict("97.a", tau=4)
    reveal("97.a", ratio=0.25)
    assert repr(shown[0]) == (
        "Predict: What does a temperature of 4 do?\n  ○ softens\n  ○ sharpens\nRun this cell to answer."
    )
    assert repr(shown[1]) == COVERED


def test_a_right_prediction_is_told_so(shown):
    predict("97.a", tau=4)
    buttons, commit, response = parts(shown[0])
    buttons[0].click()
    commit.click()
    assert "Go on and see" in response.value
    reveal("97.a", ratio=0.5)
    assert "You said “softens”, and so it is. The logits 0.5." in shown[1].widget.children[1].value


def test_a_commitment_outlives_the_kernel(shown):
    predict("97.a", tau=4)
    buttons, commit, _ = parts(shown[0])
    buttons[0].click()
    commit.click()
    questions.asked.clear()  # as a new kernel has it
    predict("97.a", tau=4)
    assert options(shown[1]) == ["● Chosen: softens", "○ sharpens"]
    reveal("97.a", ratio=0.5)
    assert "You said “softens”" in shown[2].widget.children[1].value


def test_options_that_changed_since_do_not_break_the_cell(shown):
    progress.record("97.a", "an option of yesterday")
    predict("97.a", tau=4)
    assert options(shown[0]) == ["○ softens", "○ sharpens"]
    reveal("97.a", ratio=0.5)
    assert COVERED in shown[1].widget.children[1].value


def test_options_and_answers_may_come_from_the_experiment(shown):
    predict("97.b", options=["smith", "marler", "okin"])
    parts(shown[0])[0][2].click()
    parts(shown[0])[1].click()
    reveal("97.b", found=2)
    assert "You said “okin”, and so it is. It sounds like one; number 2." in shown[1].widget.children[1].value
    reveal("97.b", found="smith")
    assert "You said “okin”. What happened: smith." in shown[2].widget.children[1].value


def test_a_copy_of_an_earlier_edition_still_says_what_was_right(shown):
    predict("97.b", options=["smith", "marler", "okin"])
    parts(shown[0])[0][0].click()
    parts(shown[0])[1].click()
    reveal("97.b", right=1, found=3)
    assert "You said “smith”. What happened: marler." in shown[1].widget.children[1].value


def test_an_answer_that_was_shown_follows_a_second_run_of_its_question(shown):
    predict("97.a", tau=4)
    reveal("97.a", ratio=0.25)
    answer = shown[1].widget.children[1]
    predict("97.a", tau=4)
    assert COVERED in answer.value  # nobody has committed to anything yet
    buttons, commit, response = parts(shown[2])
    buttons[1].click()
    commit.click()
    assert "You said “sharpens”. What happened: softens. The logits 0.2." in answer.value
    assert "Go on and see" not in response.value  # it stands below already
    predict("97.a", tau=4)
    assert "You said “sharpens”" in answer.value
    parts(shown[3])[0][0].click()
    parts(shown[3])[1].click()
    assert "You said “softens”, and so it is." in answer.value


def test_of_other_options_nothing_is_known_until_they_are_revealed(shown):
    predict("97.b", options=["smith", "marler"])
    reveal("97.b", found="smith")
    predict("97.b", options=["okin", "marler"])
    parts(shown[2])[0][0].click()
    parts(shown[2])[1].click()
    assert COVERED in shown[1].widget.children[1].value
    reveal("97.b", found="okin")
    assert "You said “okin”, and so it is." in shown[3].widget.children[1].value


def test_what_cannot_be_asked_or_revealed_is_refused():
    with pytest.raises(ValueError, match="at least two"):
        predict("97.b")
    with pytest.raises(ValueError, match="not asked yet"):
        reveal("97.b")
    predict("97.c")
    with pytest.raises(ValueError, match=r"no right option.*function of the facts"):
        reveal("97.c")
    predict("97.b", options=["smith", "okin"])
    with pytest.raises(ValueError, match="none of the options"):
        reveal("97.b", found="marler")
    with pytest.raises(ValueError, match="there is no prediction"):
        predict("97.z")
    with pytest.raises(ValueError, match="none of the options"):
        Question("?", {"a": "A.", "b": "B."}, "c")


def test_a_quiz_gives_feedback_on_the_option_chosen_and_says_its_verdict_once(shown):
    quiz("97")
    (box,) = shown[0].widget.children
    _, answers, check, response = box.children
    for button in answers.children:
        if "3" in button.description:
            button.click()
    check.click()
    assert "One too many." in response.value
    assert progress.recall("97.quiz.1") == "3"


def test_the_right_option_has_no_place_of_its_own():
    """Over the quizzes of the course the right option is the first one about as often as chance has it."""
    asked = [question for lesson in find_lessons() for question in questions_of(lesson.number).QUIZ]
    places = [question.shuffled().index(question.right) for question in asked]
    assert places.count(0) < len(places) / 2
    assert {0, 1, 2} <= set(places)


@pytest.mark.parametrize("lesson", find_lessons(), ids=lambda lesson: lesson.number)
def test_a_notebook_holds_no_key(lesson):
    """Neither the feedback of a quiz nor the explanation of a prediction stands in a notebook's JSON."""
    text = json.dumps(json.loads(lesson.notebook.read_text(encoding="utf-8")), ensure_ascii=False)
    module = questions_of(lesson.number)
    secrets = [said for question in module.QUIZ for said in question.options.values()]
    secrets += [one.because for one in module.PREDICTIONS.values() if one.because and "{" not in one.because]
    assert [said for said in secrets if json.dumps(said, ensure_ascii=False)[1:-1] in text] == []
