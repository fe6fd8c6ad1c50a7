"""Lesson 00, the map: what the lesson measured, held against what it says."""

import math

import pytest


@pytest.fixture
def found(claims):
    return claims("00")


@pytest.mark.claim("C00a")
def test_a_small_language_is_listed_and_a_large_one_cannot_be(found):
    listed, unlistable = found["C00a"]
    assert listed.holds
    assert "117,649" in listed.sentence
    assert listed.mean < 1e-9  # how far the listed probabilities are from summing to 1
    assert unlistable.holds
    # a billion per second since the Big Bang, as a share of 50,000^200, in powers of ten
    assert unlistable.mean == pytest.approx(math.log10(1e9 * 13.8e9 * 3.156e7) - 200 * math.log10(50_000))
    assert unlistable.mean < -900


@pytest.mark.claim("C00b")
def test_the_chain_rule_gives_the_kl_of_the_joints(found):
    (deviation,) = found["C00b"]
    assert deviation.holds
    assert deviation.mean < 1e-6


@pytest.mark.claim("C00c")
def test_a_student_with_a_teacher_beats_one_with_labels(found):
    ahead, farther_with_few_names, overfitting, at_its_best = found["C00c"]
    assert [one.verdict for one in (ahead, farther_with_few_names, overfitting, at_its_best)] == ["holds"] * 4
    assert len(ahead.values) == 5
    assert farther_with_few_names.low > ahead.high  # the fewer the names, the more a teacher is worth
