"""The verdicts of lesson 09b: they must be the same on another machine."""

import pytest
from said import one


@pytest.fixture
def found(claims):
    return claims("09b")


@pytest.mark.claim("C09c")
@pytest.mark.parametrize(
    "words",
    [
        "enough for the style",
        "not enough for the answers",
        "does bring the capability",
        "style comes without capability",
        "has no style",
        "right most of the time",
    ],
)
def test_style_is_copied_before_capability_and_further(found, words):
    assert one(found["C09c"], words).verdict == "holds"


@pytest.mark.claim("C09d")
@pytest.mark.parametrize(
    "words",
    [
        "without explanations do not teach",
        "do not carry over",
        "with explanations do teach five moves.",
        "more reliable, on two moves",
    ],
)
def test_problems_explanations_and_verification_add_different_things(found, words):
    assert one(found["C09d"], words).verdict == "holds"


@pytest.mark.claim("C09d")
def test_help_of_a_verifier_on_long_problems_is_open(found):
    assert one(found["C09d"], "more reliable on five moves").verdict == "open"
