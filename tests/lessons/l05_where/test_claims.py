"""The verdicts of lesson 05 about exposure bias: they must be the same on another machine and with other seeds."""

import pytest


@pytest.fixture
def measured(claims):
    return claims("05")


def verdicts(measured, number, *parts):
    """Sentence -> verdict of the claims under this number that have one of the parts; each part must be there once."""
    found = [[one for one in measured[number] if part in one.sentence] for part in parts]
    assert [len(group) for group in found] == [1] * len(parts), parts
    return {one.sentence: one.verdict for (one,) in found}


def all_hold(measured, number, *parts):
    return set(verdicts(measured, number, *parts).values()) == {"holds"}


@pytest.mark.claim("C05a")
def test_off_policy_error_compounds_and_on_policy_error_hardly(measured):
    assert all_hold(measured, "C05a", "Off-policy, the accumulated", "closer to linearly", "At 24 tokens the excess")


@pytest.mark.claim("C05a")
def test_on_policy_growth_is_linear_only_for_a_student_that_knows_that_it_is_lost(measured):
    assert all_hold(measured, "C05a", "two tokens of memory still grows faster", "knows when it is lost grows linearly")


@pytest.mark.claim("C05a")
def test_each_ingredient_weakens_the_bias_in_its_own_way(measured):
    assert all_hold(
        measured,
        "C05a",
        "A steady hand loses",
        "The error that a steady hand is left with",
        "An unsteady hand keeps",
        "no consequences the error grows linearly",
        "stumbles and repairs remove nearly all",
    )


@pytest.mark.claim("C05a")
def test_a_transformer_shows_it_and_pays(measured):
    assert all_hold(measured, "C05a", "A transformer of 16 units", "pays for its on-policy steps")


@pytest.mark.claim("C05b")
def test_labels_on_own_texts_correct_the_forks(measured):
    assert all_hold(
        measured,
        "C05b",
        "Labels on the student's own texts",
        "change nothing at the forks",
        "DAgger with an aggregated set",
        "lower the error of whole texts",
        "too, is nearer to its teacher off the road",
    )
    (untouched,) = (one for one in measured["C05b"] if "change nothing at the forks" in one.sentence)
    assert untouched.values == pytest.approx([1] * 5, abs=1e-12), "what is never visited is never changed"


@pytest.mark.claim("C05c")
def test_surnames_have_little_bias_and_on_policy_gains_no_bits(measured):
    assert all_hold(
        measured,
        "C05c",
        "exposure bias adds little",
        "on-policy forward KL gains no held-out bits",
        "names that the teacher finds more likely",
        "pays for likely names",
    )


@pytest.mark.claim("C05c")
def test_own_texts_gain_where_fixed_texts_are_few(measured):
    assert all_hold(measured, "C05c", "With 100 fixed names", "With all 18,012 fixed names")


@pytest.mark.claim("C05c")
def test_on_policy_training_is_worth_its_seconds_on_the_tunes(measured):
    assert all_hold(measured, "C05c", "On the tunes on-policy training is worth it")
    (seconds,) = (one for one in measured["C05c"] if "seconds of a word-level step" in one.sentence)
    assert 0.5 < seconds.mean < 10  # the machine's own; the lesson says whether it was three
