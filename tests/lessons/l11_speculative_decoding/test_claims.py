"""What lesson 11 measured about drafts, losses and speed."""

import pytest


@pytest.fixture
def measured(claims):
    return claims("11")


@pytest.mark.claim("C11a")
def test_speculation_is_lossless_by_listing_and_by_drawing(measured):
    listed, redrawn, plain, cut, control, counted = measured["C11a"][:6]
    assert listed.holds
    assert listed.mean < 1e-9
    assert [one.verdict for one in (redrawn, plain, cut, control, counted)] == ["holds"] * 5
    assert redrawn.low > 0.02
    assert control.high < -1.5


@pytest.mark.claim("C11a")
def test_settings_of_deployment_belong_to_both_distributions(measured):
    less, lead, mismatch = measured["C11a"][6:]
    assert [one.verdict for one in (less, lead, mismatch)] == ["holds"] * 3
    assert mismatch.low > 0.01


@pytest.mark.claim("C11b")
def test_from_a_cold_start_logits_and_forward_kl_win(measured):
    logits, *over = measured["C11b"][:5]
    assert logits.verdict == "holds"
    assert [one.verdict for one in over] == ["holds"] * 4


@pytest.mark.claim("C11b")
def test_after_a_warm_start_losses_made_of_acceptance_win(measured):
    *gains, sharper, reverse, prefixes = measured["C11b"][5:]
    assert [one.verdict for one in gains] == ["holds"] * 3
    assert max(one.mean for one in gains) < 0.02
    assert [one.verdict for one in (sharper, reverse, prefixes)] == ["holds"] * 3


@pytest.mark.claim("C11c")
def test_speed_follows_the_cost_and_stays_below_the_formula(measured):
    small, large, promised, closer = measured["C11c"]
    assert small.values[0] < large.values[0]
    assert promised.values[0] < 1.2
    assert large.values[0] > 1
    assert closer.id == "C11c"
