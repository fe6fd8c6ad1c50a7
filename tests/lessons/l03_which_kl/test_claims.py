"""Lesson 03, which KL: what the lesson measured, held against what it says."""

import math

import pytest
from said import one


@pytest.fixture
def found(claims):
    return claims("03")


@pytest.mark.claim("C03a")
def test_forward_kl_covers_and_fills_the_valley(found):
    (valley,) = found["C03a"]
    assert valley.verdict == "holds"


@pytest.mark.claim("C03b")
@pytest.mark.parametrize("words", ["best student", "single random start", "next to none"])
def test_reverse_kl_locks_onto_one_mode(found, words):
    assert one(found["C03b"], words).verdict == "holds"


@pytest.mark.claim("C03c")
@pytest.mark.parametrize(
    "words",
    [
        "implausible tokens under forward KL",
        "fewer of the teacher's plausible tokens",
        "full rank",
        "best student is a copy",
        "In the plane a single",
    ],
)
def test_the_same_with_a_softmax_and_in_the_plane(found, words):
    assert one(found["C03c"], words).verdict == "holds"


@pytest.mark.claim("C03d")
def test_each_integrand_blows_up_on_its_own_side(found):
    forgets, invents = found["C03d"]
    assert (forgets.verdict, invents.verdict) == ("holds", "holds")
    # By hand at q = 10^-12, p = ½: ½·log(¼/(q·(1 − q))) against log 2 for the other direction.
    expected = 0.5 * math.log(0.25 / 1e-12) / math.log(2)
    assert (forgets.mean, invents.mean) == pytest.approx((expected, expected), rel=1e-4)
