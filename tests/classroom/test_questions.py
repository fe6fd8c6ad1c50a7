import pytest

from kd_lab.classroom import Question, predict, questions, quiz

QUESTION = "What does a higher temperature do?"


@pytest.fixture(autouse=True)
def forget_predictions():
    questions.committed.clear()
    yield
    questions.committed.clear()


@pytest.fixture
def shown(monkeypatch):
    forms = []
    monkeypatch.setattr(questions, "display", forms.append)
    return forms


def parts(box):
    title, answers, button, response = box.children
    return title, answers, button, response


def test_a_prediction_is_committed_and_recalled(shown, capsys):
    guess = predict(QUESTION, ["softens", "sharpens"])
    _, answers, button, response = parts(shown[0].widget)
    assert answers.value is None
    button.click()
    assert "Choose an answer first" in response.value
    assert guess.answer is None
    answers.value = "sharpens"
    assert guess.answer is None  # nothing counts before it is committed
    button.click()
    assert guess.answer == "sharpens"
    assert 'role="status"' in response.value
    guess.reveal("softens", "The logits move together.")
    assert capsys.readouterr().out == "You said “sharpens”. What happened: softens.\n  The logits move together.\n"


def test_running_the_cell_again_keeps_the_commitment(shown):
    predict(QUESTION, ["softens", "sharpens"])
    _, answers, button, _ = parts(shown[0].widget)
    answers.value = "softens"
    button.click()
    assert predict(QUESTION, ["softens", "sharpens"]).answer == "softens"
    assert parts(shown[1].widget)[1].value == "softens"


def test_options_that_changed_since_do_not_break_the_cell(shown):
    questions.committed[QUESTION] = "an option of yesterday"
    guess = predict(QUESTION, ["softens", "sharpens"])
    assert guess.answer is None
    guess.reveal("softens")


def test_run_all_without_an_answer_reveals_all_the_same(shown, capsys):
    predict(QUESTION, ["softens", "sharpens"]).reveal("softens")
    assert "You made no prediction. What happened: softens." in capsys.readouterr().out


def test_a_quiz_answers_every_option(shown):
    quiz(
        Question("1 + 1 <?", {"2": "Two.", "3": "One too many."}, "2"),
        Question("2 + 2?", {"4": "Four.", "5": "No."}, "4"),
    )
    first, second = shown[0].widget.children
    _, answers, button, response = parts(first)
    answers.value = "3"
    button.click()
    assert "Not so. One too many." in response.value
    answers.value = "2"
    button.click()
    assert "Right. Two." in response.value
    assert parts(second)[3].value == ""
    assert "&lt;?" in parts(first)[0].value
    assert parts(first)[2].description != parts(second)[2].description  # two buttons, two accessible names


def test_without_a_kernel_the_question_stands_there_as_text(shown):
    quiz(Question("1 + 1?", {"2": "Two.", "3": "No."}, "2"))
    bundle = shown[0]._repr_mimebundle_()
    assert bundle["text/plain"] == repr(shown[0])
    assert "1 + 1?\n  ○ 2\n  ○ 3\nRun this cell to answer." in bundle["text/plain"]
    assert "application/vnd.jupyter.widget-view+json" in bundle


def test_questions_that_cannot_be_answered_are_refused(shown):
    with pytest.raises(ValueError, match="at least two"):
        predict("?", ["one"])
    with pytest.raises(ValueError, match="different"):
        predict("?", ["one", "one"])
    with pytest.raises(ValueError, match="none of the options"):
        Question("?", {"a": "", "b": ""}, "c")
    with pytest.raises(ValueError, match="none of the options"):
        predict("?", ["a", "b"]).reveal("c")
