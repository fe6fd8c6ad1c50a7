"""Answers are compared by value, shape and entry, and shown in one short line."""

import warnings

import numpy as np
import pytest
import torch

from kd_lab.classroom.answers import brief, close, difference, logs, quiet


@pytest.mark.parametrize(
    ("got", "expected", "same"),
    [
        (1, 1.0, True),
        (torch.tensor(1.0), 1.0, True),
        (torch.tensor([1.0]), 1.0, False),
        (np.array([1.0, 2.0]), [1, 2], True),
        (float("inf"), float("inf"), True),
        (float("nan"), 0.0, False),
        ("ab", "ab", True),
        ([torch.ones(2), "x"], (torch.ones(2), "x"), True),
        ([torch.ones(2)], [torch.ones(3)], False),
        ({"a": 1.0}, {"a": 1.0 + 1e-7}, True),
        ({"a": 1.0}, {"b": 1.0}, False),
        (None, 1.0, False),
        ([1.0, [2.0]], [1.0, [2.0]], True),
        (True, True, True),
    ],
)
def test_close(got, expected, same):
    assert close(got, expected, 1e-5) is same


def test_brief_is_one_short_line():
    assert brief(torch.full((2, 2), 1 / 3)) == "[[0.3333, 0.3333], [0.3333, 0.3333]]"
    assert brief(torch.nn.Linear(2, 2)) == "a Linear"
    assert brief(object()) == "an object"
    assert brief("x" * 500) == "a str"
    assert brief(True) == "True"


@pytest.mark.parametrize(
    ("got", "expected", "part"),
    [
        (None, 1.0, "return statement is missing"),
        ("text", 1.0, "It returns a str"),
        (torch.zeros(2), torch.zeros(3), "The shape is (2,)"),
        (float("nan"), 1.0, "NaN or an infinity"),
        (2.0, 1.0, "The value differs"),
    ],
)
def test_an_answer_that_no_known_mistake_explains_is_told_how_it_differs(got, expected, part):
    assert part in difference(got, expected)


def test_a_quiet_function_answers_the_same_and_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(quiet(lambda p: p * np.log(p))(np.zeros(1)))
        np.testing.assert_array_equal(logs([0.0, 0.5], [1.0, 0.0]), [[-np.inf, np.log(0.5)], [0.0, -np.inf]])
