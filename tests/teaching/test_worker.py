"""The worker's replies; its process is tested with the judge."""

import pytest

from kd_lab.classroom.diagnosis import exercises_of
from kd_lab.classroom.recorded import decode
from kd_lab.teaching.worker import answer, checked

EXERCISE = exercises_of("03")["03.1"]
DRAWS = [
    {"case": 0, "seed": 1, "bold": False, "seconds": 1.0},
    {"case": 1, "seed": None, "bold": False, "seconds": 1.0},
]


def reply(source):
    request = {"exercise": "03.1", "source": source, "name": "f", "draws": DRAWS, "seconds": 5.0}
    return answer(request, EXERCISE)


def test_values_come_back_with_the_arguments_as_they_were_left():
    said = reply("import numpy as np\ndef f(q, p):\n    q += 1\n    return np.float64(3.0)")
    first = said["answers"][0]
    assert decode(first["value"]) == 3.0
    assert decode(first["after"][0]).max() > 0  # no log-probability any more
    assert "infinite there" in said["check"]


def test_an_error_names_the_line():
    said = reply("def f(q, p):\n    return q.nonsense")
    assert said["answers"][1]["error"].startswith("AttributeError")
    assert "q.nonsense" in said["answers"][1]["error"]


def test_what_stops_before_the_function_is_an_error_of_all():
    assert reply("raise ValueError('first')")["error"] == "ValueError: first"
    assert "SyntaxError" in reply("def f(:")["error"]
    assert "KeyError" in reply("g = 1")["error"]


def test_a_check_that_is_not_there_says_nothing():
    assert checked(exercises_of("03")["03.2"], lambda *_: 0, 1.0) == {}


@pytest.mark.parametrize("source", ["def f(q, p):\n    while True: pass"])
def test_endless_calls_are_said_and_not_repeated_for_ever(source):
    said = reply(source)
    assert [one["endless"] for one in said["answers"]] == [True, True]
    assert "check" not in said
