"""What lesson 06 measured about the two dials of GKD, also where a claim does not hold."""

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
    assert equal.holds
    assert equal.values == (0.0,)
    assert gradient.holds
    assert gradient.low <= 1 <= gradient.high
    assert gradient.half_width < 0.05


@pytest.mark.claim("C06c")
def test_the_stored_grid_is_what_training_gives(measured):
    again = measured["C06c"][0]
    assert again.holds
    assert again.mean == 1


@pytest.mark.claim("C06c")
def test_each_divergence_wins_before_its_own_judge_where_seeds_decide(measured):
    names_forward, names_reverse, echo_forward, echo_reverse = measured["C06c"][1:5]
    assert names_forward.holds
    assert names_forward.low > 0.3
    assert names_reverse.holds
    assert names_reverse.low > 0.3
    assert echo_forward.holds
    assert echo_forward.low > 0
    assert not echo_reverse.holds, "four seeds do not decide it"
    assert echo_reverse.low < 0 < echo_reverse.high


@pytest.mark.claim("C06c")
def test_own_texts_help_where_fixed_ones_are_few_and_cost_where_they_cover(measured):
    names, echo = measured["C06c"][5:7]
    assert names.holds
    assert names.low > 0.2
    assert not echo.holds
    assert echo.high < 0


@pytest.mark.claim("C06c")
def test_the_middle_is_robust_on_one_world_and_not_over_both(measured):
    names, both, lowest = measured["C06c"][7:]
    assert names.holds
    assert names.low > 0.05
    assert not both.holds
    assert both.high < 0.1
    assert not lowest.holds
    assert lowest.low > 0.1


@pytest.mark.claim("C06d")
def test_one_number_means_different_losses(measured):
    jump, same_number, table = measured["C06d"]
    assert jump.holds
    assert jump.high < 0.05
    assert same_number.holds
    assert min(same_number.values) > 0.1
    assert table.holds
    assert table.mean == 1
