"""What the slides show is what the lessons hold."""

import pytest

from kd_lab.classroom.lesson import find_lessons
from kd_lab.teaching.material import hand_examples, material_of, section

LESSONS = find_lessons()


@pytest.mark.parametrize("lesson", LESSONS, ids=[lesson.number for lesson in LESSONS])
def test_every_lesson_has_a_hook_filmstrips_claims_and_a_question(lesson):
    material = material_of(lesson)
    assert material.promise.endswith(".")
    for picture in (material.hook, *(one for film in material.films for one in film.pictures)):
        assert picture.source.startswith("data:image/")
        assert len(picture.alt) > 20
    assert material.hook.caption
    calls = sum(cell.source.count(".filmstrip(") for cell in lesson.cells() if cell.cell_type == "code")
    assert len(material.films) == calls >= 1
    for film in material.films:
        assert film.explorer
        assert len(film.pictures) >= 2
        assert film.pictures[0].caption.startswith("**a. ")
    assert material.claims
    assert material.questions
    assert all("?" in question for question in material.questions)
    assert material.recap.startswith("1. ")
    assert material.last_cell > 10


def test_the_example_of_lesson_03_is_found_whole():
    (lesson,) = find_lessons(numbers=["03"])
    (example,) = material_of(lesson).by_hand
    assert example.startswith("By hand, with three tokens")
    assert "0.96\\ln\\frac{0.96}{0.49}" in example
    assert "Exercise" not in example


def test_a_text_without_an_example_has_none():
    assert hand_examples("This is written by hand.\n\nBy head.") == []


def test_a_section_ends_where_the_next_begins():
    (lesson,) = find_lessons(numbers=["03"])
    assert section(lesson, "Discuss").splitlines()[0] == "*For two people, ten minutes.*"
    assert "Expected answers" not in section(lesson, "Discuss")
    assert section(lesson, "Dessert") == ""
