from collections.abc import Callable
from typing import Any

import pytest
from lesson_run import Run

from kd_lab.classroom.claim import Claim
from kd_lab.classroom.diagnosis import diagnose, find_exercise
from kd_lab.classroom.lesson import Lesson, find_lessons

LESSONS = {lesson.number: lesson for lesson in find_lessons()}


@pytest.fixture(scope="session")
def claims(run_of: Callable[[Lesson], Run]) -> Callable[[str], dict[str, tuple[Claim, ...]]]:
    """`claims("02")["C02b"]`: the claims that lesson 02 made under this number, in their order."""
    return lambda number: run_of(LESSONS[number]).claims


@pytest.fixture
def assert_rejects() -> Callable[[str, Callable[..., Any], str], None]:
    """`assert_rejects("02.1", wrong_function, "part of the message")`: the check names this mistake, with an example.

    Write the identifier as a literal: `test_every_exercise_is_tested_against_three_wrong_answers` counts by reading.
    """

    def reject(identifier: str, wrong: Callable[..., Any], part: str) -> None:
        misconception = diagnose(find_exercise(identifier), wrong)
        assert misconception is not None, f"the check of {identifier} accepts {wrong.__name__}"
        assert part in misconception.message, f"{identifier} says of {wrong.__name__}: {misconception.message}"
        assert misconception.example, f"{identifier} rejects {wrong.__name__} without an example"

    return reject
