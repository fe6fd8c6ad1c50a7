"""The verdicts of lesson 09: they must be the same on another machine."""

import pytest
from said import one


@pytest.fixture
def found(claims):
    return claims("09")


@pytest.mark.claim("C09a")
@pytest.mark.parametrize(
    "words",
    [
        "traces lead to the top",
        "teach next to nothing",
        "far above its base",
        "far below traces",
        "stand behind a wrong step",
        "hardly moves",
        "GRPO works",
        "on-policy distillation ends ahead",
    ],
)
def test_traces_teach_what_a_verifier_cannot_from_a_weak_base(found, words):
    assert one(found["C09a"], words).verdict == "holds"


@pytest.mark.claim("C09a")
def test_how_far_traces_are_ahead_from_a_warm_base_is_open_though_they_are_in_every_pair(found):
    claim = one(found["C09a"], "traces end ahead of GRPO")
    assert claim.verdict == "open"
    assert min(claim.values) > 0


@pytest.mark.claim("C09a")
@pytest.mark.parametrize("words", ["more reliable", "adds little", "within the weak base's reach"])
def test_reinforcement_makes_reliable_and_traces_extend_the_reach(found, words):
    assert one(found["C09a"], words).verdict == "holds"


@pytest.mark.claim("C09b")
@pytest.mark.parametrize(
    "words",
    [
        "mistakes included",
        "hardly teaches the missing facts",
        "does not find the missing facts",
        "finds some of the missing facts",
        "still answers as its teacher does",
        "brings out the facts",
    ],
)
def test_the_ceiling_of_a_flawed_teacher(found, words):
    assert one(found["C09b"], words).verdict == "holds"
