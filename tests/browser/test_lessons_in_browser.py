"""Every lesson as a learner meets it: opened in JupyterLab, run from top to bottom, moved, and solved wrongly once."""

import os
import re
from pathlib import Path

import pytest

from kd_lab.classroom.diagnosis import find_exercise

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
DECORATOR = re.compile(r'^@exercise\("([\w.]+)"\)\s+(?:@[\w.]+\s+)*def (\w+)', re.MULTILINE)


def test_it_runs_to_its_last_cell_without_an_error(lesson, learner):
    notebook = learner(lesson)
    assert notebook.errors() == []
    outputs = notebook.page.locator(".jp-OutputArea-output:has(img)")
    for i in range(outputs.count() if os.environ.get("SCREENSHOTS") else 0):
        notebook.screenshot(pictures(lesson) / f"{i:02d}.png", outputs.nth(i))


def test_the_names_of_controls_stand_whole(lesson, learner):
    names = learner(lesson).page.locator(".jp-OutputArea-output .widget-label")
    assert names.count()
    assert not names.evaluate_all(
        "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.innerText)"
    )


def test_the_hook_picture_stands_on_the_first_screen(lesson, learner):
    """At 1280 × 900, with JupyterLab's own bars above it."""
    notebook = learner(lesson)
    notebook.cell(0).scroll_into_view_if_needed()
    box = notebook.page.locator(".jp-OutputArea-output img").first.bounding_box()
    assert box["y"] >= 0
    assert box["y"] + box["height"] <= notebook.page.viewport_size["height"]


def test_axe_finds_nothing_critical_or_serious_in_what_it_draws(lesson, learner):
    assert learner(lesson).faults() == []


def test_its_first_explorer_answers_to_its_keys(lesson, learner):
    notebook = learner(lesson)
    first_explorer_answers_to_its_keys(notebook)
    notebook.screenshot(pictures(lesson) / "moved.png")
    assert notebook.errors() == []


def test_a_wrong_solution_is_diagnosed(lesson, learner):
    notebook = learner(lesson)
    cell, identifier, name = first_exercise(notebook)
    mistake = find_exercise(identifier).mistakes[0]
    notebook.run_cell(cell, source=wrong_solution(identifier, name))
    diagnosis = notebook.output_text(cell)
    assert re.sub(r"\s+", " ", mistake.message) in diagnosis
    assert "your function gives" in diagnosis  # the smallest case that shows it
    notebook.screenshot(pictures(lesson) / "diagnosis.png", notebook.cell(cell))
    assert notebook.errors() == []


def pictures(lesson) -> Path:
    """The folder of this lesson's screenshots, for people to look at."""
    return ROOT / "build" / "screenshots" / lesson.name


def first_explorer_answers_to_its_keys(notebook):
    explorer = notebook.explorers().first
    box = explorer.locator("xpath=ancestor::*[contains(@class, 'widget-vbox')][1]")
    control = first_field(box) or other_choice(box)
    picture, sentence = explorer.locator("img").get_attribute("src"), explorer.locator("figcaption").inner_text()
    control.scroll_into_view_if_needed()
    control.focus()
    for key in keys_that_move(control):
        notebook.page.keyboard.press(key)
    notebook.wait_for_change(explorer.locator("img"), "src", picture)
    assert explorer.locator("figcaption").inner_text() != sentence
    assert explorer.locator("img").get_attribute("alt") == explorer.locator("figcaption").inner_text()


def first_field(box):
    """The first number or text that keys change, found by its accessible name, as a screen reader finds it."""
    for label in box.locator("label").all_inner_texts():
        field = box.locator("input").and_(box.get_by_label(label, exact=True))
        if field.count():
            return field.first
    return None


def other_choice(box):
    """The first option that is not chosen, in an explorer of choices alone."""
    return box.locator('button[aria-pressed="false"]').first


def keys_that_move(control) -> list[str]:
    """Up for a number, four down at its high end, where several may look alike; a letter less; the space bar."""
    if control.evaluate("element => element.tagName") == "BUTTON":
        return [" "]
    if control.get_attribute("type") == "number":
        at_high_end = control.input_value() == control.get_attribute("max")
        return ["ArrowDown"] * 4 if at_high_end else ["ArrowUp"]
    return ["End", "Backspace"] if control.input_value() else ["a"]


def first_exercise(notebook) -> tuple[int, str, str]:
    """Index of the first cell with an exercise, the exercise, and its function's name."""
    for index, cell in enumerate(notebook.cells()):
        if cell["cell_type"] == "code" and (found := DECORATOR.search(cell["source"])):
            return index, *found.groups()
    raise AssertionError("the lesson has no exercise")


def wrong_solution(identifier: str, name: str) -> str:
    """A cell that answers as the exercise's first known mistake does."""
    return (
        "from kd_lab.classroom.diagnosis import find_exercise\n\n"
        f'{name} = exercise("{identifier}")(find_exercise("{identifier}").mistakes[0].function)\n'
    )
