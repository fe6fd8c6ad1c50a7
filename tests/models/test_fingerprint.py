"""Fingerprints: equal from run to run, different wherever the values differ, and refused where neither can be had."""

from dataclasses import dataclass
from functools import partial
from threading import Lock

import pytest
import torch

from kd_lab.models import FiniteStateModel, MixtureModel, TabularModel
from kd_lab.models.exact_models import window_moves
from kd_lab.models.fingerprint import fingerprint
from kd_lab.worlds import surnames


@dataclass(frozen=True)
class Setting:
    beta: float


def test_fingerprints_tell_values_apart_and_not_runs():
    values = [1, 1.0, True, "1", None, (1,), [1], [[1]], {"a": 1}, Setting(0.5), Setting(0.6), torch.zeros(2)]
    values += [
        torch.zeros(2, 1),
        torch.zeros(2).double(),
        torch.ones(2),
        partial(max, 1),
        partial(max, 2),
        partial(min, 1),
    ]
    assert len({fingerprint(value) for value in values}) == len(values)
    assert fingerprint(surnames(top=100)) == fingerprint(surnames(top=100)) != fingerprint(surnames(top=101))


def test_what_has_no_stable_hash_is_refused():
    with pytest.raises(ValueError, match="a object has no stable hash"):
        fingerprint(object())


def multiply(by):
    return lambda number: number * by


STEPS = 3


def uses_a_global():
    return [STEPS for _ in range(2)]


def test_a_function_counts_with_what_it_closes_over_and_with_its_defaults():
    assert fingerprint(multiply(2)) == fingerprint(multiply(2)) != fingerprint(multiply(3))
    one, other = (lambda number, by=by: number * by for by in (2, 3))
    assert fingerprint(one) != fingerprint(other)


def test_a_function_counts_with_the_globals_that_it_uses_even_inside_a_comprehension(monkeypatch):
    before = fingerprint(uses_a_global)
    monkeypatch.setitem(uses_a_global.__globals__, "STEPS", 4)
    assert fingerprint(uses_a_global) != before


def test_a_function_may_call_itself():
    def factorial(number):
        return number * factorial(number - 1) if number else 1

    assert len(fingerprint(factorial)) == 16


def test_a_bound_method_counts_with_its_object():
    one, other = (TabularModel([torch.full((1, 2), value)]) for value in (0.0, 1.0))
    assert fingerprint(one.forward) != fingerprint(other.forward)


def test_a_model_counts_with_its_settings():
    """The slip of a model and the share of a mixture are no weights."""
    table, moves = torch.zeros(3, 3), window_moves(3, 1)
    slips = [FiniteStateModel(table, moves, slip=slip) for slip in (0.0, 0.1)]
    assert fingerprint(slips[0]) != fingerprint(slips[1])
    shares = [MixtureModel(*slips, share=share) for share in (0.3, 0.4)]
    assert fingerprint(shares[0]) != fingerprint(shares[1])
    assert fingerprint(slips[0]) == fingerprint(slips[0].eval())


@pytest.mark.parametrize("value", [
    Lock(), torch.Generator(), iter([1]), torch.zeros(2, device="meta"), torch.zeros(2, 2).to_sparse()
])  # fmt: skip
def test_state_outside_of_python_is_refused(value):
    with pytest.raises(ValueError, match="has no stable hash"):
        fingerprint({"inside": [value]})
