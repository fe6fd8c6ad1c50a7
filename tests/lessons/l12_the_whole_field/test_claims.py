"""Lesson 12, the whole field: what the lesson measured, held against what it says."""

import pytest
from said import one


@pytest.fixture
def found(claims):
    return claims("12")


@pytest.mark.claim("C12a")
@pytest.mark.parametrize(
    "words",
    [
        "word level, forward KL on fixed texts, is ahead",
        "Under KL(Q‖P) word level is far behind",
        "What wins under one judge pays",
        "Mode texts cost coverage",
        "Logits say more than samples",
        "In the worse of its two judgements",
        "comes from the temperature",
    ],
)
def test_each_judge_has_a_favourite(found, words):
    assert one(found["C12a"], words).verdict == "holds"


@pytest.mark.claim("C12b")
@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ("more than WHERE under KL(P‖Q)", "holds"),
        ("more than WHERE under KL(Q‖P)", "holds"),
        ("is its HOW's", "holds"),
        ("on the teacher's own samples", "open"),
    ],
)
def test_how_matters_more_than_where(found, words, verdict):
    assert one(found["C12b"], words).verdict == verdict


@pytest.mark.claim("C12c")
@pytest.mark.parametrize(
    "words", ["Context distillation works", "comes from the instruction", "within ten percentage points"]
)
def test_an_instruction_moves_into_the_weights(found, words):
    assert one(found["C12c"], words).verdict == "holds"


@pytest.mark.claim("C12d")
@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ("teaches its own weights", "holds"),
        ("with another problem's", "holds"),
        ("Plain labels", "holds"),
        ("moves the model less than labels", "open"),
    ],
)
def test_a_teacher_with_the_solution_in_view(found, words, verdict):
    assert one(found["C12d"], words).verdict == verdict


@pytest.mark.claim("C12e")
@pytest.mark.parametrize(
    "words",
    ["two routed experts", "the experts' weights", "the experts' own texts by less", "Nor does on-policy merging"],
)
def test_two_experts_become_one_student(found, words):
    assert one(found["C12e"], words).verdict == "holds"


@pytest.mark.claim("C12f")
@pytest.mark.parametrize(
    ("words", "verdict"),
    [
        ("has the teacher's probabilities in reverse order", "holds"),
        ("Exact letter probabilities", "holds"),
        ("plain text", "holds"),
        ("by index", "holds"),
        ("by letter", "open"),
    ],
)
def test_other_tokens(found, words, verdict):
    assert one(found["C12f"], words).verdict == verdict


@pytest.mark.claim("C12g")
def test_the_board_tells_first_and_last_apart(found):
    assert one(found["C12g"], "told apart").verdict == "holds"
