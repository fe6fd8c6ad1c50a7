"""Lesson 11b, few steps: what the lesson measured, held against what it says."""

import pytest
from said import one


@pytest.fixture
def found(claims):
    return claims("11b")


@pytest.mark.claim("C11d")
@pytest.mark.parametrize(
    "words",
    [
        "In one step, the exact teacher",
        "More training of the denoiser",
        "comes within 0.01",
        "is not exact",
        "leaves fewer samples off the modes than halving",
    ],
)
def test_halving_brings_one_step_near_the_data(found, words):
    assert one(found["C11d"], words).verdict == "holds"


@pytest.mark.claim("C11e")
@pytest.mark.parametrize("words", ["within 0.01", "A second jump", "about as many samples off the modes"])
def test_agreeing_with_oneself_does_as_well(found, words):
    assert one(found["C11e"], words).verdict == "holds"


@pytest.mark.claim("C11f")
def test_distribution_matching_is_reverse_kl(found):
    identity = one(found["C11f"], "gradient of reverse KL")
    assert identity.verdict == "holds"
    assert identity.mean < 0.03


@pytest.mark.claim("C11f")
@pytest.mark.parametrize(
    "words",
    [
        "eight equal modes are all found",
        "same gradient loses modes",
        "modes farther apart",
        "does not find all either",
        "Light modes are lost even with all noise",
        "Forward KL, with the same noise",
        "Spread as noise",
        "all noise finds some of the light modes",
        "more time does not help",
        "more weight on high noise",
    ],
)
def test_modes_are_lost_where_the_valley_is_deep(found, words):
    assert one(found["C11f"], words).verdict == "holds"


@pytest.mark.claim("C11f")
@pytest.mark.parametrize("words", ["towards every light mode", "With regression all four", "lie off the modes"])
def test_networks_lose_no_mode_from_sight_and_regression_helps_them_arrive(found, words):
    assert one(found["C11f"], words).verdict == "holds"
