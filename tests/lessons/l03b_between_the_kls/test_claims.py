"""Lesson 03b, between the KLs: what the lesson measured, held against what it says."""

import math

import pytest
from said import one


@pytest.fixture
def found(claims):
    return claims("03b")


@pytest.mark.claim("C03e")
@pytest.mark.parametrize("words", ["lies between", "sooner than reverse KL", "a hundredth of forward KL"])
def test_jsd_lies_between_and_vanishes_at_both_ends(found, words):
    assert one(found["C03e"], words).verdict == "holds"


@pytest.mark.claim("C03f")
def test_softening_the_teacher_widens_the_forward_student(found):
    assert one(found["C03f"], "teacher alone widens").verdict == "holds"
    assert one(found["C03f"], "narrower instead").verdict == "holds"  # both softened: the other way round


@pytest.mark.claim("C03f")
def test_softening_gives_reverse_kl_fewer_summits_but_no_crisper_peak(found):
    """The saying in full does not hold: with enough heat the student covers both modes, and the lesson says so."""
    assert one(found["C03f"], "fewer wrong summits").verdict == "holds"
    crisper = one(found["C03f"], "does not get crisper")
    assert crisper.verdict == "holds"
    assert crisper.mean == pytest.approx(math.sqrt(2), rel=0.05)
    assert one(found["C03f"], "with enough heat it covers both").verdict == "holds"


@pytest.mark.claim("C03g")
@pytest.mark.parametrize(
    "words",
    [
        "raw JSD(0.98) ends far from",
        "ends where reverse KL does",
        "does not follow β",
        "never rises clearly on the way",
        "rates 1, 2 and 4",
    ],
)
def test_directions_are_compared_at_equal_gradient_norm(found, words):
    assert one(found["C03g"], words).verdict == "holds"


@pytest.mark.claim("C03g")
def test_equal_norms_do_not_help_where_steps_are_too_long(found):
    assert one(found["C03g"], "no longer settles").verdict == "holds"
