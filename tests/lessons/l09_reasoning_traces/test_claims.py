"""The verdicts of lesson 09: they must be the same on another machine."""

import pytest


@pytest.fixture
def found(claims):
    return claims("09")


def one(claims, *words):
    """The claim of a group whose sentence holds these words."""
    (match,) = [claim for claim in claims if all(word in claim.sentence for word in words)]
    return match


@pytest.mark.claim("C09a")
@pytest.mark.parametrize(
    "words",
    [
        "traces lead to the top",
        "teach next to nothing",
        "nearly reaches traces",
        "far below traces",
        "are luck",
        "hardly moves",
        "GRPO works",
        "stay ahead of GRPO",
    ],
)
def test_traces_teach_what_a_verifier_cannot_from_a_weak_base(found, words):
    assert one(found["C09a"], words).verdict == "holds"


@pytest.mark.claim("C09a")
@pytest.mark.parametrize("words", ["more reliable", "adds little", "within the weak base's reach"])
def test_reinforcement_makes_reliable_and_traces_extend_the_reach(found, words):
    assert one(found["C09a"], words).verdict == "holds"


@pytest.mark.claim("C09b")
@pytest.mark.parametrize(
    "words",
    [
        "mistakes included",
        "does not teach the missing facts",
        "does not find the missing facts",
        "finds some of them",
        "still answers as its teacher does",
        "brings out the facts",
    ],
)
def test_the_ceiling_of_a_flawed_teacher(found, words):
    assert one(found["C09b"], words).verdict == "holds"
