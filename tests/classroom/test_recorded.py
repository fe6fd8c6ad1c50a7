"""Answers as data: what is carried comes back, what is no value is not carried, and nothing is run to read it."""

import json
import math

import numpy as np
import pytest
import torch

from kd_lab.classroom.answers import close
from kd_lab.classroom.diagnosis import Case, Exercise, Mistake, diagnose
from kd_lab.classroom.exercise import guarded
from kd_lab.classroom.recorded import Opaque, Replay, StandIn, Unsolved, decode, encode, replayed, stand_in


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -3,
        "text",
        1 / 3,
        -math.inf,
        (1, [2.5, None], {"a": torch.zeros(2, 0)}),
        torch.tensor([[0.1, 1e-30], [math.nan, 4.0]]),
        torch.tensor([True, False]),
        torch.arange(6).reshape(2, 3).T,
        torch.tensor(0.5, dtype=torch.bfloat16, requires_grad=True),
        np.float64(0.25),
        np.array([[1, 2], [3, 4]], dtype=np.int32),
    ],
)
def test_values_survive_the_journey(value):
    back = decode(json.loads(json.dumps(encode(value))))
    assert close(back, value, 0.0)
    if isinstance(value, torch.Tensor):
        assert back.dtype == value.dtype


def test_not_a_number_stays_one():
    assert math.isnan(decode(encode(math.nan)))


class Agreeable(float):
    """Equal to everything, to whoever asks it."""

    def __eq__(self, _):
        return True

    def __hash__(self):
        return 0


@pytest.mark.parametrize("value", [Agreeable(3), print, object(), 1 + 2j, np.array([print]), 2**70])
def test_what_is_no_value_equals_nothing(value):
    back = decode(encode(value))
    assert isinstance(back, Opaque)
    assert back != back
    assert not close(back, 3.0, 1e-5)


def test_a_nesting_without_end_is_cut():
    endless = []
    endless.append(endless)
    assert "opaque" in json.dumps(encode(endless))


@pytest.mark.parametrize(
    "data",
    [
        {"tuple": 3},
        {"unknown": 3},
        {},
        {"array": "float", "shape": [2], "data": "AAAA", "tensor": None},
        {"array": "object", "shape": [0], "data": "", "tensor": None},
        {"array": "float", "shape": [-1], "data": "", "tensor": None},
        {"float": "no number"},
        2.5,
    ],
)
def test_what_nobody_encoded_is_refused(data):
    with pytest.raises(ValueError, match=r".+"):
        decode(data)


def double(x):
    return 2 * x


def recorded_exercise():
    """Twice x, without the function that doubles."""
    return Exercise(
        reference=StandIn("double", "x", answers=[6.0, 8.0]),
        explanation="",
        cases=(Case("x = 3", lambda: (3.0,)), Case("x = 4", lambda: (4.0,))),
        mistakes=(Mistake("squared", "That is the square.", Replay([9.0, 16.0])),),
    )


def test_an_answer_is_diagnosed_without_the_solution():
    exercise = recorded_exercise()
    assert diagnose(exercise, double) is None
    wrong = diagnose(exercise, lambda x: x * x)
    assert (wrong.message, wrong.name) == ("That is the square.", "squared")
    assert "expected 6" in wrong.example


def test_a_right_answer_takes_the_place_of_the_solution():
    exercise = recorded_exercise()
    with pytest.raises(Unsolved, match="`double`"):
        exercise.reference(3.0)
    kept = guarded("97.1", exercise, double)
    exercise.reference.solved = kept
    assert exercise.reference(5.0) == 10.0


def test_an_error_in_a_later_cell_is_the_learners_own_where_there_is_no_solution():
    exercise = recorded_exercise()

    def careful(x):
        if x > 10:
            raise LookupError("too large")
        return 2 * x

    kept = exercise.reference.solved = guarded("97.1", exercise, careful)
    with pytest.raises(LookupError):
        kept(11.0)


def test_recorded_answers_are_found_beside_their_module(tmp_path):
    (tmp_path / "recorded.json").write_text(
        json.dumps(
            {
                "double": {
                    "expected": [encode(6.0)],
                    "mistakes": [{"name": "squared", "message": "No.", "answers": [encode(9.0)]}],
                }
            }
        ),
        encoding="utf-8",
    )
    module = str(tmp_path / "exercises.py")
    assert stand_in(module, "double", "x").answers == (6.0,)
    ((name, message, answers),) = replayed(module, "double")
    assert (name, message, answers.answers) == ("squared", "No.", (9.0,))
    assert stand_in(str(tmp_path / "elsewhere" / "exercises.py"), "double", "x").answers == ()
