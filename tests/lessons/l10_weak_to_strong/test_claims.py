"""Lesson 10, weak to strong: what the lesson measured, held against what it says."""

import pytest
from said import one


@pytest.fixture
def found(claims):
    return claims("10")


@pytest.mark.claim("C10a")
@pytest.mark.parametrize("words", ["most of the gap", "recovers little", "has no gap to recover"])
def test_a_strong_student_recovers_what_it_knows_and_cannot_copy(found, words):
    assert one(found["C10a"], words).verdict == "holds"


@pytest.mark.claim("C10a")
@pytest.mark.parametrize("words", ["about as much as it disagrees", "Misfit alone is no gain"])
def test_misfit_is_gain_where_the_student_can_say_the_truth(found, words):
    assert one(found["C10a"], words).verdict == "holds"


@pytest.mark.claim("C10a")
@pytest.mark.parametrize(
    "words", ["nearer to its ceiling", "amplifies what the student leans to", "wide head from copying"]
)
def test_confidence_amplifies_and_saves_no_wide_head(found, words):
    assert one(found["C10a"], words).verdict == "holds"


@pytest.mark.claim("C10b")
@pytest.mark.parametrize("words", ["From 1K to 8K", "the curve has a knee", "there is no reversal"])
def test_good_teachers_saturate_and_do_not_reverse(found, words):
    assert one(found["C10b"], words).verdict == "holds"


@pytest.mark.claim("C10b")
@pytest.mark.parametrize("words", ["the order turns round", "worse than the labels", "removes the reversal"])
def test_overtrained_teachers_reverse_the_order(found, words):
    assert one(found["C10b"], words).verdict == "holds"


@pytest.mark.claim("C10c")
@pytest.mark.parametrize("words", ["errors fall at random", "follow a rule it can read"])
def test_noise_averages_out_and_a_rule_does_not(found, words):
    assert one(found["C10c"], words).verdict == "holds"


@pytest.mark.claim("C10c")
@pytest.mark.parametrize("words", ["helps an overtrained model", "stops at its best is better than"])
def test_self_distillation_helps_less_than_stopping_early(found, words):
    assert one(found["C10c"], words).verdict == "holds"


@pytest.mark.claim("C10c")
@pytest.mark.parametrize("words", ["After a rough first fit", "After a smooth first fit", "gain little on one fit"])
def test_rounds_are_regularisation(found, words):
    assert one(found["C10c"], words).verdict == "holds"
