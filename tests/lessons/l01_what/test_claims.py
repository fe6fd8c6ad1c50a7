"""What lesson 01 measured about logits, features and relations, also where a claim does not hold."""

import pytest


@pytest.fixture
def measured(claims):
    return claims("01")


@pytest.mark.claim("C01a")
def test_soft_targets_gain_by_their_dark_part_and_not_by_softness(measured):
    gain, smoothing, permuted, first_choice, warmer = measured["C01a"]
    assert gain.holds
    assert gain.low > 0.1
    assert not smoothing.holds
    assert smoothing.mean < 0.5
    assert not permuted.holds
    assert permuted.high < 0
    assert first_choice.holds
    assert first_choice.mean > 0
    assert not warmer.holds
    assert warmer.mean < 0


@pytest.mark.claim("C01b")
def test_the_gradient_keeps_its_size_and_tends_to_the_logit_difference(measured):
    with_factor, without, limit, rate = measured["C01b"]
    assert all(claim.holds for claim in measured["C01b"])
    assert with_factor.low > 0.5
    assert with_factor.high < 2
    assert without.high < 0.01
    assert limit.high < 0.02
    assert 0.4 < rate.mean < 0.6


@pytest.mark.claim("C01c")
def test_hints_move_features_and_predictions_but_help_less_than_logits(measured):
    cka, unexplained, helped, beyond = measured["C01c"]
    assert cka.holds
    assert cka.low > 0.3
    assert unexplained.holds
    assert unexplained.high < 1
    assert helped.holds
    assert helped.low > 0
    assert not beyond.holds
    assert beyond.mean < 0


@pytest.mark.claim("C01d")
def test_relations_move_distances_and_neither_cka_nor_predictions(measured):
    alike, as_hints, predicts = measured["C01d"]
    assert alike.holds
    assert alike.low > 0.1
    assert not as_hints.holds
    assert not predicts.holds
    assert predicts.mean < 0
