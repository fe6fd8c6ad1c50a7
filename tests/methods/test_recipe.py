"""A recipe is three choices that fit together, and says why when they do not."""

import pytest

from kd_lab.how import Divergence, NegativeLogLikelihood
from kd_lab.methods import METHODS, Recipe, labels_only, sequence_level, word_level
from kd_lab.what import Logits, Sequences
from kd_lab.where import Corpus, Mixture, StudentRollouts, TeacherRollouts, TextTeacher


def test_every_method_has_one_row_in_the_table():
    lines = Recipe.table().splitlines()
    assert len(lines) == 2 + len(METHODS)
    assert len(set(map(len, lines))) == 1  # aligned
    for method, line in zip(METHODS, lines[2:], strict=True):
        recipe = method()
        for cell in (recipe.name, str(recipe.what), str(recipe.how), str(recipe.where)):
            assert f" {cell} " in line


def test_a_table_of_ones_own_recipes():
    mine = Recipe("mine", Logits(), Divergence("jsd", beta=0.9, temperature=2.0), Mixture(0.25))
    assert "| mine   | logits | JSD(0.9), τ = 2 | mix, λ = 0.25 |" in Recipe.table([mine])


@pytest.mark.parametrize(
    ("what", "how", "where", "reason"),
    [
        (Logits(), NegativeLogLikelihood(), Corpus(), "gives distributions and HOW"),
        (Sequences(), Divergence(), TeacherRollouts(), "gives tokens and HOW"),
        (Sequences(), NegativeLogLikelihood(), StudentRollouts(), "its own tokens"),
        (Sequences(), NegativeLogLikelihood(), Mixture(0.5), "its own tokens"),
    ],
)
def test_illegal_combinations_are_refused_with_the_reason(what, how, where, reason):
    with pytest.raises(ValueError, match=reason):
        Recipe("illegal", what, how, where)


def test_a_mixture_that_never_asks_the_student_is_off_policy():
    Recipe("legal", Sequences(), NegativeLogLikelihood(), Mixture(0.0, otherwise=TeacherRollouts()))


def test_a_text_only_teacher_shows_no_logits():
    teacher = TextTeacher("http://127.0.0.1:9/v1")
    with pytest.raises(ValueError, match=r"returns text only.*sequence_level"):
        word_level().fits(teacher)
    sequence_level().fits(teacher)


def test_without_a_teacher_only_labels_are_left():
    labels_only().fits(None)
    with pytest.raises(ValueError, match="no teacher came"):
        word_level().fits(None)
    with pytest.raises(ValueError, match="no teacher came"):
        sequence_level().fits(None)


def test_knobs_refuse_what_they_cannot_do():
    with pytest.raises(ValueError, match=r"on_policy_fraction is 1\.5"):
        Mixture(1.5)
    with pytest.raises(ValueError, match="decode is 'best'"):
        TeacherRollouts(decode="best")
    with pytest.raises(ValueError, match="divergence is 'kl'"):
        Divergence("kl")
    with pytest.raises(ValueError, match="label_weight is 2"):
        Divergence(label_weight=2.0)
