"""Lesson 13, a real LLM: what the lesson measured, held against what it says."""

import pytest
from said import those

pytestmark = pytest.mark.lesson


@pytest.fixture
def found(claims):
    return claims("13")


@pytest.mark.claim("C13a")
def test_measuring_beats_even_spacing_and_no_rule_that_measures_beats_the_others_clearly(found):
    even = those(found["C13a"], "evenly")
    assert [claim.verdict for claim in even] == ["holds"] * 3  # at both depths, and after healing
    assert min(claim.mean for claim in even) > 1.5
    others = those(found["C13a"], "measured once") + those(found["C13a"], "cosine")
    assert len(others) == 4
    assert all(0.8 < claim.mean < 1.25 for claim in others)


@pytest.mark.claim("C13b")
def test_labels_heal_less_and_caches_heal_as_much(found):
    (labels,) = those(found["C13b"], "Labels alone")
    assert labels.verdict == "holds"
    assert {claim.over for claim in found["C13b"]} == {"texts"}
    assert [claim.verdict for claim in those(found["C13b"], "within a tenth")] == ["holds", "holds"]


@pytest.mark.claim("C13c")
def test_logits_that_are_never_held_take_no_memory_for_them(found):
    assert [claim.verdict for claim in found["C13c"]] == ["holds"]


@pytest.mark.claim("C13d")
def test_more_tokens_heal_more(found):
    (more,) = those(found["C13d"], "Four times the tokens")
    assert more.verdict == "holds"
    assert more.mean < 1


@pytest.mark.claim("C13d")
def test_a_text_teacher_is_worth_less_than_its_logits(found):
    (alone,) = those(found["C13d"], "its text alone")
    assert alone.verdict == "holds"


@pytest.mark.claim("C13e")
def test_a_sum_predicts_the_stack(found):
    assert [claim.verdict for claim in found["C13e"]] == ["holds"]


@pytest.mark.claim("C13f")
def test_a_student_of_two_thirds_is_no_draft(found):
    (slower,) = found["C13f"]
    assert slower.over == "prompts"
    assert slower.mean < 1
