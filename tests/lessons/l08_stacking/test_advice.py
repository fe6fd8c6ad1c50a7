"""The rules of thumb, held against measurements."""

import pytest

from kd_lab.lessons.l08_stacking.advice import RULES, advise


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
