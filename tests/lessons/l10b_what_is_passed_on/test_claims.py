"""The verdicts of lesson 10b: they must be the same on another machine and with other seeds."""

import math

import pytest
from said import one


@pytest.fixture
def measured(claims):
    return claims("10b")


@pytest.mark.claim("C10d")
@pytest.mark.parametrize("part", ["loses 1/N of the diversity", "the loss is bounded"])
def test_the_exact_law_of_replacement_and_of_accumulation(measured, part):
    assert one(measured["C10d"], part).verdict == "holds"


@pytest.mark.claim("C10d")
def test_the_floor_of_accumulation_is_eulers_product(measured):
    lost = one(measured["C10d"], "the loss is bounded").mean
    assert lost == pytest.approx(1 - math.sin(math.pi / math.sqrt(30)) / (math.pi / math.sqrt(30)))


@pytest.mark.claim("C10d")
@pytest.mark.parametrize(
    "part",
    [
        "models collapse: real names cost more",
        "The tail is lost",
        "Without the cut the drift is slower",
        "rare pairs of letters do not die out",
        "Keeping all text, the real names included",
        "A tenth of real names",
        "even without the real names",
        "The real names hold a part of the rest",
    ],
)
def test_generations_of_surnames_collapse_or_do_not(measured, part):
    assert one(measured["C10d"], part).verdict == "holds"


@pytest.mark.claim("C10e")
@pytest.mark.parametrize(
    "part",
    [
        "is right as often",
        "agrees with the teacher more often",
        "distribution is far",
        "far too sure",
        "has nearly gone",
    ],
)
def test_agreement_is_not_fidelity(measured, part):
    assert one(measured["C10e"], part).verdict == "holds"


@pytest.mark.claim("C10f")
@pytest.mark.parametrize("part", ["that no loss had trained", "learns more of names than one with other weights"])
def test_silent_outputs_teach_a_student_with_the_teachers_beginning_only(measured, part):
    assert one(measured["C10f"], part).verdict == "holds"


@pytest.mark.claim("C10f")
def test_logits_of_filtered_names_carry_a_trait_and_text_alone_is_not_shown_to(measured):
    assert one(measured["C10f"], "carry the trait to a GPT that began").verdict == "holds"
    assert one(measured["C10f"], "Filtered text alone").verdict == "open"


@pytest.mark.claim("C10f")
@pytest.mark.parametrize(
    "part",
    [
        "student of marked text is found",
        "student of plain text is not",
        "A tenth of marked names shows",
        "costs the student",
    ],
)
def test_a_watermark_passes_to_students_of_marked_text(measured, part):
    assert one(measured["C10f"], part).verdict == "holds"
