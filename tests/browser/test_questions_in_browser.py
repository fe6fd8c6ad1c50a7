"""Predictions and quizzes in JupyterLab and Chromium: every option can be chosen, every answer is answered."""

import re

import nbformat
import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

LONG = "large, because the teacher weighs every term, and the student's logarithm is very negative where it misses " * 2

CELLS = [
    f"""
from kd_lab.classroom import Question, predict, quiz
guess = predict("KL(p‖q) is …", ["small", {LONG.strip()!r}, "zero"])
""",
    """
quiz(
    Question("1 + 1?", {"2": "Two.", "3": "One too many."}, "2"),
    Question("2 + 2?", {"4": "Four.", "5": "No."}, "4"),
)
""",
    'guess.reveal("zero", "Because `p = q`.")',
]


@pytest.fixture
def notebook(lab, open_notebook):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), lab.root / "questions.ipynb")
    opened = open_notebook("questions.ipynb")
    opened.run_all()
    assert opened.errors() == []
    return opened


def test_an_option_of_several_lines_covers_no_other_and_is_recalled(notebook):
    page = notebook.page
    assert "You made no prediction. What happened: zero." in notebook.output_text(2)
    page.get_by_role("button", name="zero").click()
    page.get_by_role("button", name="large").click()  # fails where another option lies over this one
    page.get_by_role("button", name="Commit to this answer").click()
    page.get_by_role("status").filter(has_text="You said “large").wait_for()
    notebook.run_cell(2)
    assert "You said “large" in notebook.output_text(2)
    notebook.run_cell(0)
    expect(page.get_by_role("button", name="large")).to_have_class(re.compile("mod-active"))


def test_a_quiz_answers_each_question_for_itself(notebook):
    page = notebook.page
    page.get_by_role("button", name="Check answer 2").click()
    page.get_by_role("status").filter(has_text="Choose an answer first").wait_for()
    page.get_by_role("button", name="3", exact=True).focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")  # by key: JupyterLab takes many of them for itself
    page.get_by_role("button", name="Check answer 1").click()
    page.get_by_role("status").filter(has_text="Not so. One too many.").wait_for()
    page.get_by_role("button", name="4", exact=True).click()
    page.get_by_role("button", name="Check answer 2").click()
    page.get_by_role("status").filter(has_text="Right. Four.").wait_for()
    assert notebook.errors() == []
