"""The draws of every exercise: the solution and unusual answers pass all of them, every known mistake fails one."""

import pytest

from kd_lab.classroom.answers import close
from kd_lab.classroom.diagnosis import asked, exercises_of
from kd_lab.classroom.lesson import lessons_of
from kd_lab.classroom.recorded import decode, encode
from kd_lab.teaching.draws import draws_of

EXERCISES = [(identifier, one) for lesson in lessons_of() for identifier, one in exercises_of(lesson.number).items()]


def passes(exercise, function, draw):
    try:
        got = asked(exercise, function)(*draw.inputs(exercise))
    except Exception:
        return False
    return close(decode(encode(got)), draw.expected, exercise.tolerance)


@pytest.mark.parametrize(("identifier", "exercise"), EXERCISES, ids=[identifier for identifier, _ in EXERCISES])
def test_draws_tell_right_from_wrong(identifier, exercise):
    draws = draws_of(identifier, exercise, "a secret")
    assert sum(draw.counts for draw in draws) >= 2  # fresh, and not to be guessed
    assert {draw.case for draw in draws} == set(range(len(exercise.cases)))
    for right in (exercise.reference, *exercise.unusual):
        assert all(passes(exercise, right, draw) for draw in draws)
    for mistake in exercise.mistakes:
        assert not all(passes(exercise, mistake.function, draw) for draw in draws), mistake.name


def test_another_secret_is_another_draw_and_the_same_the_same():
    exercise = exercises_of("03")["03.1"]
    one, same, other = (draws_of("03.1", exercise, secret) for secret in ("a", "a", "b"))
    assert [draw.seed for draw in one] == [draw.seed for draw in same]
    assert not {draw.seed for draw in one if draw.seed} & {draw.seed for draw in other}
