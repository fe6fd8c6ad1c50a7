"""A recipe is three choices that fit together, and says why when they do not."""

import pytest

from kd_lab.contracts import How, What, Where
from kd_lab.how import Divergence, NegativeLogLikelihood, PolicyGradient
from kd_lab.how.feature_losses import RelationalHuber, SquaredError
from kd_lab.methods import METHODS, Recipe, Term, labels_only, sequence_level, word_level
from kd_lab.what import Features, Logits, Paths, Relations, Sequences
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
        (Logits(), Divergence(label_weight=1.0), StudentRollouts(), "1 labels reads labels .*second term"),
        (Logits(), Divergence(label_weight=0.1), Mixture(0.5), "are the student.s own tokens"),
        (Features(), SquaredError(), StudentRollouts(), "label_weight=0 here"),
        (Relations(), RelationalHuber(), StudentRollouts(), "label_weight=0 here"),
        (Paths(), PolicyGradient(), Corpus(), "written_by is 'data'"),
        (Paths(), PolicyGradient(), Mixture(0.5), "has texts written by others"),
        (Paths(), PolicyGradient(), StudentRollouts(temperature=0.9), r"temperature of 0\.9"),
        (Paths(), PolicyGradient(), Mixture(1.0, temperature=1.2), r"temperature of 1\.2"),
    ],
)
def test_illegal_combinations_are_refused_with_the_reason(what, how, where, reason):
    with pytest.raises(ValueError, match=reason):
        Recipe("illegal", what, how, where)
    with pytest.raises(ValueError, match=reason):
        Recipe("illegal", terms=(Term(Logits(), Divergence(), Corpus()), Term(what, how, where)))


def test_what_is_refused_with_labels_is_right_without_them():
    Recipe("legal", Features(), SquaredError(label_weight=0.0), StudentRollouts())
    Recipe("legal", Logits(), Divergence(label_weight=0.5), Mixture(0.0))
    Recipe("legal", Logits(), Divergence(), StudentRollouts(temperature=0.9))


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


# ---- sums of terms ---------------------------------------------------------------------------------------------------

ON_TEACHER = Term(Logits(), Divergence("skew_kl", beta=0.1), TeacherRollouts())
ON_STUDENT = Term(Logits(), Divergence("reverse_kl"), StudentRollouts(), weight=0.5)


def test_a_recipe_of_one_term_shows_its_knobs():
    one = Recipe("mine", Logits(), Divergence(), Corpus())
    assert one == Recipe("mine", terms=[Term(Logits(), Divergence(), Corpus())])
    assert (one.what, one.how, one.where) == (Logits(), Divergence(), Corpus())
    assert isinstance(one.what, What)
    assert isinstance(one.how, How)
    assert isinstance(one.where, Where)


def test_a_recipe_of_two_terms_is_their_sum():
    both = Recipe("both", terms=(ON_TEACHER, ON_STUDENT))
    assert str(both) == (
        "both: logits × skew KL(0.1) × teacher samples + 0.5 · logits × reverse KL × on-policy (student)"
    )
    assert Recipe.table([both]).splitlines()[2:] == [
        "| both   | logits       | skew KL(0.1) | teacher samples     |",
        "|   +    | 0.5 · logits | reverse KL   | on-policy (student) |",
    ]
    with pytest.raises(ValueError, match="both is a sum of 2 terms"):
        _ = both.how


def test_every_term_must_fit_the_teacher():
    both = Recipe("both", terms=(Term(Sequences(), NegativeLogLikelihood(), Corpus()), ON_STUDENT))
    with pytest.raises(ValueError, match="both copies logits, and this teacher returns text only"):
        both.fits(TextTeacher("http://127.0.0.1:9/v1"))


@pytest.mark.parametrize("weight", [0.0, float("nan"), float("inf")])
def test_a_weight_is_a_number_that_counts(weight):
    with pytest.raises(ValueError, match=r"weight is .*; expected a (finite number that is not 0|number)"):
        Term(Logits(), Divergence(), Corpus(), weight)


def test_knobs_and_terms_are_two_ways_of_saying_one_thing():
    with pytest.raises(ValueError, match="nothing has 0 terms and 0 of the three knobs"):
        Recipe("nothing")
    with pytest.raises(ValueError, match="half has 0 terms and 2 of the three knobs"):
        Recipe("half", Logits(), Divergence())
    with pytest.raises(ValueError, match="double has 1 terms and 3 of the three knobs"):
        Recipe("double", Logits(), Divergence(), Corpus(), terms=(ON_TEACHER,))
