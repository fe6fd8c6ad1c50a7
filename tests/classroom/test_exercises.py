"""Rules that the exercises of every lesson keep."""

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from kd_lab.classroom.diagnosis import diagnose, exercises_of, written
from kd_lab.classroom.lesson import find_lessons, halves

EXERCISES = {name: one for lesson in find_lessons() for name, one in exercises_of(lesson.number).items()}


@cache
def rejections() -> Counter[str]:
    """How often tests call assert_rejects for each exercise, read from their source."""
    found: Counter[str] = Counter()
    for file in Path(__file__).parents[1].glob("lessons/*/test_exercises.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and getattr(node.func, "id", "") == "assert_rejects"
                and isinstance(node.args[0], ast.Constant)
            ):
                found[node.args[0].value] += 1
    return found


@pytest.mark.parametrize("identifier", EXERCISES)
def test_the_reference_passes_its_own_check_twice(identifier):
    for _ in range(2):  # a case that hands out the same objects again would fail the second time
        assert diagnose(EXERCISES[identifier], EXERCISES[identifier].reference) is None


@pytest.mark.parametrize(
    ("identifier", "mistake"),
    [
        pytest.param(name, mistake, id=f"{name}-{mistake.name}")
        for name, one in EXERCISES.items()
        for mistake in one.mistakes
    ],
)
def test_every_mistake_gets_its_own_message(identifier, mistake):
    found = diagnose(EXERCISES[identifier], mistake.function)
    assert found is not None, "the cases cannot tell this mistake from the solution"
    assert found.message == mistake.message, "the cases cannot tell this mistake from another one"


@pytest.mark.parametrize("identifier", EXERCISES)
def test_every_exercise_is_tested_against_three_wrong_answers(identifier):
    assert rejections()[identifier] >= 3, (
        f"exercise {identifier} needs three calls assert_rejects({identifier!r}, wrong, part_of_message) in "
        f"tests/lessons/l{identifier.partition('.')[0]}_…/test_exercises.py"
    )


@pytest.mark.parametrize(
    ("identifier", "answer"),
    [
        pytest.param(name, answer, id=f"{name}-{written(answer).__name__}")
        for name, one in EXERCISES.items()
        for answer in one.unusual
    ],
)
def test_a_right_but_unusual_answer_is_right(identifier, answer):
    assert diagnose(EXERCISES[identifier], answer) is None


@pytest.mark.parametrize("identifier", EXERCISES)
def test_a_solution_is_short_explained_and_its_mistakes_have_names(identifier):
    exercise = EXERCISES[identifier]
    lines = [
        line for line in halves(exercise.reference)[1].splitlines() if line.strip() and not line.strip().startswith("#")
    ]
    assert 1 <= len(lines) <= 15
    assert exercise.explanation.strip()
    assert written(exercise.reference).__doc__
    names = [mistake.name for mistake in exercise.mistakes]
    assert len(set(names)) == len(names) >= 3
    assert len(exercise.unusual) >= 2, "right but unusual answers, with which a notebook runs to its end"
