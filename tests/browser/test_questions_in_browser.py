"""Predictions and quizzes in JupyterLab and Chromium: every option can be chosen, every answer is answered."""

import nbformat
import pytest
from playwright.sync_api import expect

from kd_lab.classroom.questions import questions_of

pytestmark = pytest.mark.browser

CELLS = ['from kd_lab.classroom import predict, quiz, reveal\npredict("03.b")', 'quiz("03")', 'reveal("03.b")']
QUIZ = questions_of("03").QUIZ


@pytest.fixture
def notebook(lab, open_notebook):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), lab.root / "questions.ipynb")
    opened = open_notebook("questions.ipynb")
    opened.run_all()
    assert opened.errors() == []
    return opened


def test_a_prediction_is_covered_committed_revealed_and_recalled(notebook):
    page = notebook.page
    assert "Covered until you commit" in notebook.output_text(2)
    options = questions_of("03").PREDICTIONS["03.b"].options
    right, last = options[1], options[-1]
    page.get_by_role("button", name=right).click()
    page.get_by_role("button", name=last).click()  # fails where another option lies over this one
    page.get_by_role("button", name="Commit to this answer").click()
    page.get_by_role("status").filter(has_text=f"You said “{last}”. What happened: {right}").wait_for()
    notebook.run_cell(0)
    expect(page.get_by_role("button", name=f"● Chosen: {last}")).to_be_visible()


def test_a_quiz_answers_each_question_for_itself(notebook):
    page = notebook.page
    page.get_by_role("button", name="Check answer 2").click()
    page.get_by_role("status").filter(has_text="Choose an answer first").wait_for()
    wrong = next(option for option in QUIZ[0].options if option != QUIZ[0].right)
    page.get_by_role("button", name=wrong).first.focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")  # by key: JupyterLab takes many of them for itself
    page.get_by_role("button", name="Check answer 1").click()
    page.get_by_role("status").filter(has_text=QUIZ[0].options[wrong]).wait_for()
    page.get_by_role("button", name=QUIZ[1].right).first.click()
    page.get_by_role("button", name="Check answer 2").click()
    page.get_by_role("status").filter(has_text=QUIZ[1].options[QUIZ[1].right]).wait_for()
    assert notebook.errors() == []
    assert notebook.faults() == []
