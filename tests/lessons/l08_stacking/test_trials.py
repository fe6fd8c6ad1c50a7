"""The measurements of lesson 08 on small samples: shapes, signs and the cases whose answer is known."""

import pytest
import torch

from kd_lab.lessons.l08_stacking.figures import CASES, CRITERIA
from kd_lab.lessons.l08_stacking.trials import (
    SCORES,
    drift,
    one_loud_channel,
    output_errors,
    quality_of_zeros,
    shuffled,
    spread_of_criteria,
)
from kd_lab.measure import bits_per_character
from kd_lab.models import load_teacher
from kd_lab.worlds import surnames


@pytest.fixture(scope="module")
def teacher():
    return load_teacher("surnames")


@pytest.fixture(scope="module")
def names():
    return shuffled(surnames().held_out, 0)[slice(0, 60)]


def test_a_shuffled_list_holds_the_same_texts_in_another_order():
    batch = surnames().held_out
    again, other = shuffled(batch, 0), shuffled(batch, 1)
    assert torch.equal(again.tokens, shuffled(batch, 0).tokens)
    assert not torch.equal(again.tokens, other.tokens)
    assert sorted(map(tuple, again.tokens.tolist())) == sorted(map(tuple, batch.tokens.tolist()))


def test_gptq_brings_the_output_closer_than_the_nearest_points_do(teacher, names):
    errors = output_errors(teacher, names[slice(0, 30)], names[slice(30, 60)], 3, ["blocks.1.expand"])
    assert errors["GPTQ"].shape == errors["nearest"].shape == (1,)
    assert 0 < errors["GPTQ"][0] < errors["nearest"][0] < 0.2


def test_one_loud_channel_spoils_one_scale_and_no_other_case(teacher, names):
    loud = one_loud_channel(teacher, 7, names, names, "blocks.1.expand")
    assert list(loud.lost) == list(CASES)
    assert loud.lost["300 ×, one scale"] > 1
    assert all(abs(lost) < 0.05 for case, lost in loud.lost.items() if case != "300 ×, one scale")
    assert (loud.found, loud.drift < 1e-5) == ([7], True)
    assert loud.reaches["as it came"].argmax() == 7
    assert loud.reaches["smoothed"].max() < loud.reaches["as it came"].max() / 100


def test_a_model_does_not_drift_from_itself(teacher, names):
    assert drift(teacher, teacher, names) == 0


def test_no_zeros_cost_nothing_and_many_cost_much(teacher, names):
    scores = SCORES["magnitude"](teacher, names)
    whole = bits_per_character(teacher, names)
    none, many = quality_of_zeros(teacher, scores, [0.0, 0.9], "row", names)
    assert none == pytest.approx(whole)
    assert many > whole + 0.3


def test_the_criteria_have_a_look_each_and_spread_more_over_the_whole_model(teacher, names):
    assert list(SCORES) == list(CRITERIA)
    spread = spread_of_criteria(teacher, names, names)
    assert 0 < spread["row"] < spread["global"]
