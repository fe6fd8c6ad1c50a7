"""What lesson 06 measured about the two dials of GKD, also where the seeds leave it open."""

import pytest


@pytest.fixture
def measured(claims):
    return claims("06")


@pytest.mark.claim("C06a")
def test_without_own_texts_forward_kl_is_word_level(measured):
    (equal,) = measured["C06a"]
    assert equal.holds
    assert equal.values == (0.0,)


@pytest.mark.claim("C06b")
def test_with_own_texts_only_reverse_kl_is_on_policy_reverse_kl(measured):
    equal, gradient = measured["C06b"]
    assert equal.values == (0.0,)
    assert gradient.verdict == "holds"
    assert gradient.low <= 1.02
    assert gradient.high >= 0.98


@pytest.mark.claim("C06c")
def test_the_stored_grid_is_what_training_gives(measured):
    again = measured["C06c"][0]
    assert again.holds
    assert again.mean == 5


@pytest.mark.claim("C06c")
def test_each_divergence_wins_under_its_own_judge_where_seeds_decide(measured):
    verdicts = [one.verdict for one in measured["C06c"][1:5]]
    assert verdicts == ["holds", "holds", "open", "open"]


@pytest.mark.claim("C06c")
def test_own_texts_help_where_fixed_ones_are_few_and_cost_where_they_cover(measured):
    names, echo = measured["C06c"][5:7]
    assert (names.verdict, echo.verdict) == ("holds", "holds")
    assert names.high < 0.95
    assert echo.low > 1.2


@pytest.mark.claim("C06c")
def test_the_middle_is_robust_on_one_world_and_open_over_both(measured):
    names, both, lowest = measured["C06c"][7:]
    assert (names.verdict, both.verdict, lowest.verdict) == ("holds", "open", "open")


@pytest.mark.claim("C06d")
def test_one_number_means_different_losses(measured):
    jump, same_number, table = measured["C06d"]
    assert (jump.verdict, same_number.verdict, table.verdict) == ("holds", "holds", "holds")
    assert table.mean == 10
