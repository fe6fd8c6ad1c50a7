"""Teaching notes are read as data; what is not in the fixed form is refused by name."""

import re
from pathlib import Path

import nbformat
import pytest

from kd_lab.classroom.lesson import find_lessons
from kd_lab.teaching.notes import Step, notes_in, parsed

GOOD = """# 55 · A lesson: teaching notes

It is easy.

## Goals

- count to three

## Routes

### 10 minutes

Run all first.

| minutes | what | where |
|---|---|---|
| 4 | look | hook [1] |
| 6 | talk | Recap |

Skip: the rest.

## Misconceptions

### "It is so."

It is not: [2].

## Discussions

### Why?

**Expected.** Because.

**Rubric.**

- (1) a reason
- (2) a better one

## Exam

### 1. A sum (4 points)

What is $1+1$?

**Solution.** 2.
"""


def test_notes_are_read_part_by_part():
    notes = parsed(GOOD)
    assert (notes.title, notes.about) == ("55 · A lesson", "It is easy.")
    assert notes.goals == ("count to three",)
    assert notes.routes[0].steps == (Step(4, "look", "hook [1]"), Step(6, "talk", "Recap"))
    assert notes.routes[0].lead == "Run all first."
    assert notes.routes[0].skip == "the rest."
    assert notes.misconceptions == (("It is so.", "It is not: [2]."),)
    assert (notes.discussions[0].question, notes.discussions[0].points) == ("Why?", 3)
    exam = notes.exam[0]
    assert (exam.title, exam.points, exam.question, exam.solution) == ("A sum", 4, "What is $1+1$?", "2.")


@pytest.mark.parametrize(
    ("right", "wrong", "words"),
    [
        ("# 55 · A lesson: teaching notes", "# 55 · A lesson", "it begins with '# 55 · A lesson"),
        ("## Misconceptions", "## Mistakes", "its sections are Goals, Routes, Mistakes"),
        ("### 10 minutes", "### ten minutes", "the route 'ten minutes'"),
        ("| 6 | talk", "| 5 | talk", "take 9 minutes; expected 10"),
        ("Skip: the rest.", "", "a line “Skip: …”"),
        ("**Expected.** ", "", "the discussion 'Why?'"),
        ("- (2) a better one", "- (3) a better one", "begin with (1) or (2) points"),
        ("### 1. A sum (4 points)", "### 2. A sum (4 points)", "such as “1. Short title (4 points)”"),
        ("### 1. A sum (4 points)", "### 1. A sum", "such as “1. Short title (4 points)”"),
        ("**Solution.** 2.", "2.", "begins with **Solution.**"),
        ("**Solution.** 2.", "**Solution.**", "begins with **Solution.**"),
        ("Skip: the rest.", "Skip: the rest.\n\nThen talk.", "nothing reads 'Then talk.'; put it before the table"),
        ("- count to three", "- count to three\n  or four", "in 'Goals' nothing reads 'or four'"),
        ("- (1) a reason", "- (1) a reason\n  of any kind", "in 'Why?' nothing reads 'of any kind'"),
        ("### 1. A sum", "Choose.\n\n### 1. A sum", "'Choose.' stands before the first heading"),
    ],
)
def test_what_is_not_in_the_form_is_refused(tmp_path, right, wrong, words):
    assert GOOD.count(right) == 1
    (tmp_path / "teaching.md").write_text(GOOD.replace(right, wrong), encoding="utf-8")
    with pytest.raises(ValueError) as refused:  # noqa: PT011 — the words are compared below, brackets and all
        notes_in(tmp_path)
    assert words in str(refused.value)
    assert "teaching.md" in str(refused.value)


def test_a_lesson_without_notes_has_none(tmp_path):
    assert notes_in(tmp_path) is None


def named_places(folder: Path) -> list[tuple[str, str]]:
    """(explorer or nothing, name) of each name in italics in the column “where” of a lesson's routes."""
    steps = (step for route in notes_in(folder).routes for step in route.steps)
    return [place for step in steps for place in re.findall(r"(explorer )?\*([^*]+)\*", step.where)]


LESSONS = pytest.mark.parametrize("lesson", find_lessons(), ids=lambda one: one.number)


@LESSONS
def test_what_the_routes_name_is_in_the_lesson(lesson):
    """Sections were renamed, and the routes still sent the teacher to the old names."""
    source = lesson.source.read_text(encoding="utf-8")
    headings = "\n".join(re.findall(r"^# #+ .*$", source, re.MULTILINE))
    code = "".join(file.read_text(encoding="utf-8") for file in lesson.folder.glob("*.py"))
    explorers = set(re.findall(r'\bname(?:: str)? ?= ?"([^"]+)"', code))
    for explorer, name in named_places(lesson.folder):
        known = name in explorers if explorer else name in headings or f"**{name}" in source
        assert known, f"{lesson.folder.name}/teaching.md: *{name}* is no {explorer or 'section '}of the lesson"


@LESSONS
def test_the_cells_of_quiz_and_exercises_have_the_numbers_that_the_notes_give(lesson):
    """A cell was put in, and every number after it was one too low."""
    cells = [cell.source for cell in nbformat.read(lesson.notebook, as_version=4).cells if cell.cell_type == "code"]
    notes = (lesson.folder / "teaching.md").read_text(encoding="utf-8")
    quizzes = [("quiz(", int(number)) for number in re.findall(r"Quiz \[(\d+)\]", notes)]
    exercises = re.findall(r"[Ee]xercise (\d\d\w?\.\d)(?: \([^)]*\))? \[(\d+)\]", notes)
    for words, number in quizzes + [(f'("{one}")', int(number)) for one, number in exercises]:
        assert words in cells[number - 1], f"{lesson.folder.name}/teaching.md: {words} is not in cell [{number}]"
    for step in (step for route in notes_in(lesson.folder).routes for step in route.steps):
        spans = [
            (int(first), int(last or first)) for first, last in re.findall(r"\[(\d+)\](?:–\[(\d+)\])?", step.where)
        ]
        shown = "\n".join(cells[number - 1] for first, last in spans for number in range(first, last + 1))
        if spans and (asked := re.findall(r"[Ee]xercise (\d\d\w?\.\d)", step.what)):
            assert f'("{asked[-1]}")' in shown, step
        if spans and "quiz" in step.what.lower():
            assert "quiz(" in cells[spans[-1][1] - 1], step
