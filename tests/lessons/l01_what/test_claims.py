"""What lesson 01 found about logits, features and relations, as verdicts that other machines and seeds share."""

import pytest


@pytest.fixture
def measured(claims):
    return claims("01")


@pytest.mark.claim("C01a")
def test_the_dark_part_pays_and_softness_alone_does_not(measured):
    assert len(measured["C01a"]) == 7
    for claim in measured["C01a"]:
        assert claim.verdict == "holds", claim.sentence


@pytest.mark.claim("C01b")
def test_the_gradient_keeps_its_size_and_tends_to_the_logit_difference(measured):
    for claim in measured["C01b"]:
        assert claim.verdict == "holds", claim.sentence


@pytest.mark.claim("C01c")
def test_hints_move_features_and_predictions_but_help_less_than_logits(measured):
    for claim in measured["C01c"]:
        assert claim.verdict == "holds", claim.sentence


@pytest.mark.claim("C01d")
def test_relations_move_distances_and_features_but_predict_worse_than_logits(measured):
    for claim in measured["C01d"]:
        assert claim.verdict == "holds", claim.sentence
