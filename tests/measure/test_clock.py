"""Seconds in turns: everything runs equally often, in moving order, and the warm-up is not counted."""

import time

import pytest

from kd_lab.measure.clock import seconds_in_turns


def test_the_order_moves_on_and_the_first_round_is_not_counted():
    calls = []
    seconds = seconds_in_turns({name: lambda name=name: calls.append(name) for name in "abc"}, rounds=3)
    assert "".join(calls) == "abc" + "bca" + "cab" + "abc"
    assert all(len(each) == 3 for each in seconds.values())


def test_what_sleeps_longer_takes_longer():
    seconds = seconds_in_turns({"nap": lambda: time.sleep(0.001), "sleep": lambda: time.sleep(0.02)}, rounds=2)
    assert (seconds["sleep"] >= 0.02).all()
    assert seconds["nap"].min() < 0.02  # a busy machine may be late, but not each time
    assert (seconds["nap"] >= 0.001).all()


def test_nothing_to_run_is_refused():
    with pytest.raises(ValueError, match="rounds is 0 for 1 paths"):
        seconds_in_turns({"a": int}, rounds=0)
    with pytest.raises(ValueError, match="for 0 paths"):
        seconds_in_turns({})
