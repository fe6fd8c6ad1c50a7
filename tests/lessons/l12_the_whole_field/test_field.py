"""Every choice is either legal, and then it is a recipe of the library, or refused in the library's own words."""

import re
from itertools import product

import pytest

from kd_lab.lessons.l12_the_whole_field.field import (
    HOWS,
    METHODS,
    OTHER_TOKENS,
    WHATS,
    WHERES,
    compose,
    key_of,
    legal_cells,
    refusal,
)
from kd_lab.methods import gkd, minillm, on_policy, word_level


def test_cells_are_legal_or_refused_with_a_reason():
    for cell in product(WHATS, HOWS, WHERES):
        reason = refusal(*cell)
        assert (reason is None) == (cell in legal_cells())
        if reason:
            assert "expected" in reason or "take" in reason, reason
            with pytest.raises(ValueError, match=re.escape(reason)):
                compose(*cell)
    assert len(legal_cells()) == 7 * 4 + 2 + 2 + 2 + 1


def test_every_word_is_of_use():
    for position, words in enumerate((WHATS, HOWS, WHERES)):
        assert {cell[position] for cell in legal_cells()} == set(words)


@pytest.mark.parametrize(
    ("cell", "method"),
    [
        (("logits", "forward KL", "fixed set, λ = 0"), word_level()),
        (("logits", "reverse KL", "the student's, λ = 1"), on_policy()),
        (("logits", "JSD", "half the student's, λ = ½"), gkd()),
        (("whole texts", "policy gradient", "the student's, λ = 1"), minillm(teacher_mix=0.0)),
    ],
)
def test_named_methods_are_cells(cell, method):
    assert key_of(compose(*cell)) == key_of(method)
    assert compose(*cell).terms == method.terms


def test_two_recipes_that_differ_have_two_keys():
    recipes = [*METHODS.values(), *OTHER_TOKENS.values(), *(compose(*cell) for cell in legal_cells())]
    keys = {}
    for recipe in recipes:
        assert keys.setdefault(key_of(recipe), recipe.terms) == recipe.terms
    assert key_of(minillm(length_norm=False)) != key_of(minillm())
