"""The worker's replies; its process is tested with the judge."""

import json
import os
import subprocess
import sys

import pytest

from kd_lab.classroom.diagnosis import exercises_of, known_answer
from kd_lab.classroom.lesson import edition_of, lessons_of
from kd_lab.classroom.recorded import decode, encode
from kd_lab.teaching.box import box_in
from kd_lab.teaching.judge import library_in
from kd_lab.teaching.slices import slice_of
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


SEARCH = """
import json, sys
from itertools import permutations
from types import FunctionType
sys.path.insert(0, sys.argv[1])
request = json.loads(sys.argv[2])
import numpy as np, torch
torch.set_num_threads(1)
from kd_lab.classroom.answers import close
from kd_lab.classroom.diagnosis import asked
from kd_lab.classroom.guard import Endless, time_limit
from kd_lab.classroom.recorded import decode
from kd_lab.teaching import worker

def in_sight():
    found = {}
    for place, module in list(sys.modules.items()):
        for name, value in list(vars(module).items()) if place.startswith("kd_lab") else ():
            home = f"{getattr(value, '__module__', '')}."
            machinery = home.startswith(("kd_lab.classroom.", "kd_lab.teaching."))
            if isinstance(value, FunctionType) and home.startswith("kd_lab.") and not machinery:
                found.setdefault(value, f"{place}.{name}")
    return found

def answers(function, exercise, expected, order, turn):
    for case, answer in zip(exercise.cases, map(decode, expected), strict=True):
        given = case.inputs()
        try:
            with time_limit(2.0):
                value = asked(exercise, function)(*(turn(given[one]) for one in order))
            if not close(value, answer, exercise.tolerance):
                return False
        except (Exception, Endless, SystemExit):
            return False
    return True

def tensor(value):
    return torch.as_tensor(value) if isinstance(value, np.ndarray) else value

assert worker.__file__.startswith(sys.argv[1])
exercises = worker.prepared(request)
for identifier, one in request["answers"].items():
    exercise = exercises[identifier]
    orders = list(permutations(range(len(exercise.cases[0].inputs()))))[:24]
    for function, name in in_sight().items():
        for turn in (tensor, lambda value: value):
            if any(answers(function, exercise, one["expected"], order, turn) for order in orders):
                print("found", identifier, name)
print("searched", len(in_sight()))
"""


@pytest.fixture(scope="module")
def box(tmp_path_factory):
    return box_in(tmp_path_factory.mktemp("box"))


@pytest.mark.lesson
@pytest.mark.parametrize("lesson", lessons_of(), ids=lambda lesson: f"lesson {lesson.number}")
def test_no_function_in_sight_of_an_answer_is_one(box, lesson):
    """Every name of kd_lab's own modules as a submission finds them is tried as an answer to every exercise."""
    sources = [cell.source for cell in edition_of(lesson, "solved").cells if cell.cell_type == "code"]
    answers = {}
    for identifier, exercise in exercises_of(lesson.number).items():
        given = library_in(slice_of(sources, identifier).source)
        expected = [encode(known_answer(exercise, exercise.reference, case)) for case in exercise.cases]
        answers[identifier] = {"exercise": identifier, "library": sorted(given), "expected": expected}
    request = json.dumps({"lesson": lesson.number, "answers": answers})
    own = {"OMP_NUM_THREADS": "1", "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-I", "-c", SEARCH, str(box), request]
    done = subprocess.run(command, env=os.environ | own, cwd=box, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "searched" in done.stdout
    assert not [line for line in done.stdout.splitlines() if line.startswith("found")]
