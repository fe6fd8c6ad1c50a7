"""The rules of thumb, held against measurements."""

import pytest

from kd_lab.lessons.l08_stacking.advice import RULES, advice_table, advise, smallest_files, smallest_rungs
from kd_lab.lessons.l08_stacking.experiment import stored_runs
from kd_lab.lessons.l08_stacking.stack import FULL


def test_every_rule_is_found_and_held_against_what_was_measured():
    for name, (first, reason) in RULES.items():
        advice = advise(name)
        assert (advice.first, advice.reason, advice.agrees) == (first, reason, None)
        assert advise(name, {first: 3.0, "something else": 1.0}).agrees
        assert not advise(name, {first: 1.0, "something else": 3.0}).agrees
    with pytest.raises(ValueError, match="bottleneck is 'speed'"):
        advise("speed")
    with pytest.raises(ValueError, match="expected 'quantize' among them"):
        advise("memory", {"prune": 2.0})


def test_the_smallest_files_are_those_of_the_stored_rungs():
    runs = stored_runs()
    smallest = smallest_files(runs, within=0.25)
    assert max(smallest, key=smallest.get) == "all three stages"
    assert smallest_files(runs, within=-1.0) == dict.fromkeys(smallest, 1.0)
    original = runs.at(False, 0, 16).bytes
    assert smallest["distil"] == original / runs.at(True, 0, 16).bytes
    assert smallest_rungs(runs, within=0.25)["distil"] is runs.at(True, 0, 16)
    best = smallest_rungs(runs, within=0.25)["all three stages"]
    assert (best.distilled, best.pruned > 0, best.bits < 16) == (True, True, True)
    assert best is not runs.at(*FULL)  # “the whole stack” is a rung; the best of its kind is another one


def test_the_table_has_a_row_per_bottleneck():
    table = advice_table(
        {"memory": advise("memory", {"quantize": 2.0, "zeros": 1.0}), "text only": advise("text only")}
    )
    rows = table.splitlines()[2:]
    assert [row.split("|")[1].strip() for row in rows] == ["memory", "text only"]
    assert [row.split("|")[4].strip() for row in rows] == ["yes", "–"]
