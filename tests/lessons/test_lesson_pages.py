"""The page of every lesson as it was built: the picture first, code that can be read, pictures with names, and
predictions that are answered soon."""

import json
import re

import nbformat
import pytest

from kd_lab.classroom.lesson import tags

FIRST_CELLS, SETUP_LINES, OPEN_LINES, OPEN_COLUMNS, ANSWERED_WITHIN = 4, 6, 25, 100, 3


@pytest.fixture
def page(lesson):
    return nbformat.read(lesson.notebook, as_version=4)


def code_of(page):
    return [cell for cell in page.cells if cell.cell_type == "code"]


def open_code(page):
    """The cells whose code a learner sees at once."""
    return [cell for cell in code_of(page) if "hide-input" not in tags(cell)]


def test_the_hook_is_a_picture_and_stands_before_any_code_to_read(page):
    position = next(i for i, cell in enumerate(page.cells) if "<img" in json.dumps(cell.get("outputs", [])))
    assert position < FIRST_CELLS
    before = [cell for cell in page.cells[: position + 1] if cell in open_code(page)]
    assert all(len(cell.source.splitlines()) <= SETUP_LINES for cell in before), "code stands before the picture"


def test_open_cells_are_short(page):
    for cell in open_code(page):
        assert len(cell.source.splitlines()) <= OPEN_LINES, f"fold this cell or move what it does:\n{cell.source}"


def test_open_lines_are_narrow(page):
    wide = [line for cell in open_code(page) for line in cell.source.splitlines() if len(line) > OPEN_COLUMNS]
    assert wide == []


def test_every_saved_picture_has_a_text_and_a_width(page):
    outputs = [output.get("data", {}) for cell in page.cells for output in cell.get("outputs", [])]
    assert not any("image/png" in data for data in outputs), "a bare PNG has neither in JupyterLab: use viz.show"
    pictures = [tag for data in outputs for tag in re.findall(r"<img [^>]*>", "".join(data.get("text/html", "")))]
    assert pictures
    for tag in pictures:
        assert re.search(r'\balt="[^"]{20,}"', tag), tag[:200]
        assert re.search(r'\bwidth="\d+"', tag), tag[:200]


def test_a_prediction_is_answered_soon(page):
    cells = [cell.source for cell in code_of(page)]
    for position, source in enumerate(cells):
        for identifier in re.findall(r'predict\(\s*"([\w.]+)"', source):
            answers = [i for i, one in enumerate(cells) if re.search(rf'reveal\(\s*"{re.escape(identifier)}"', one)]
            assert len(answers) == 1, f"{identifier} is answered {len(answers)} times"
            assert answers[0] - position <= ANSWERED_WITHIN, f"{identifier} waits {answers[0] - position} cells"


def test_the_steps_of_a_round_are_labelled_alike(page):
    """**Explore.** and not **Explore**, **Explore:** or **Explore: what follows**."""
    text = "\n".join(cell.source for cell in page.cells if cell.cell_type == "markdown")
    labels = re.findall(r"\*\*(?:Predict|Explore|Derive|Build|Check|Experiment|Play)(?![ \w])[^*]*\*\*", text)
    assert [label for label in labels if not re.fullmatch(r"\*\*\w+\.\*\*", label)] == []
