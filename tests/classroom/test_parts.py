"""The modules of a lesson's folder are found by its number."""

import pytest

from kd_lab.classroom.parts import part_of


def test_each_part_is_the_module_of_that_name():
    assert "06.1" in part_of("06", "exercises").EXERCISES
    assert part_of("06", "questions").QUIZ


def test_no_lesson_is_none_and_no_part_of_a_lesson_is_an_error():
    assert part_of("55", "exercises") is None
    with pytest.raises(ModuleNotFoundError, match="no_such_part"):
        part_of("06", "no_such_part")
