"""The verdicts of lesson 10b: they must be the same on another machine and with other seeds."""

import math

import pytest


@pytest.fixture
def measured(claims):
    return claims("10b")


def one(measured, number, part):
    """The claim under a number whose sentence holds these words."""
    (match,) = [claim for claim in measured[number] if part in claim.sentence]
    return match


@pytest.mark.claim("C10d")
@pytest.mark.parametrize("part", ["loses 1/N of the diversity", "the loss is bounded"])
def test_the_exact_law_of_replacement_and_of_accumulation(measured, part):
    assert one(measured, "C10d", part).verdict == "holds"


@pytest.mark.claim("C10d")
def test_the_floor_of_accumulation_is_eulers_product(measured):
    lost = one(measured, "C10d", "the loss is bounded").mean
    assert lost == pytest.approx(1 - math.sin(math.pi / math.sqrt(30)) / (math.pi / math.sqrt(30)))
