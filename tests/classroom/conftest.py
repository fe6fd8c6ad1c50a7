from collections.abc import Callable
from typing import Any

import pytest

from kd_lab.classroom.check import diagnose, find_exercise


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
