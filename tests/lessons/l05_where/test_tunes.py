"""The language of the lesson, its exact growth, and the pictures and stored numbers that rest on it."""

import numpy as np
import pytest
import torch

from kd_lab.lessons.l05_where import few_texts
from kd_lab.lessons.l05_where.figures import ingredients_table, teacher_table
from kd_lab.lessons.l05_where.tunes import LOST, NOTES, L, growth, kl_at_forks, new_student, tunes, visits


def test_a_note_played_twice_is_lost_until_the_remedy():
    tune = tunes()
    states = tune.states(torch.tensor([[0, 1, 1, 2, 4, 3]]))[0].tolist()
    assert states == [0, 1, LOST, LOST, 0, 3]
    assert LOST not in tunes(forgiving=True).states(torch.tensor([[0, 1, 1, 2, 3, 3]]))


def test_the_teacher_plays_a_note_twice_once_in_fifty_thousand():
    assert tunes().logp()[1, 1].exp().item() == pytest.approx(1 / 50_000)


def test_growth_begins_alike_and_is_zero_for_the_teacher_itself():
    tune = tunes()
    own, theirs = growth(new_student(0), tune)
    assert own.shape == theirs.shape == (L,)
    assert own[0].item() == pytest.approx(theirs[0].item())
    assert sum(growth(tune, tune)).abs().max().item() < 1e-9


def test_forks_are_weighted_by_visits():
    student, tune = new_student(0), tunes()
    weights = visits(student, tune)
    assert 1 < weights.sum().item() <= L, "a text that ends early has fewer positions"
    assert kl_at_forks(student, tune, weights) == pytest.approx(kl_at_forks(student, tune, 3 * weights))


def test_tables_read_well():
    assert "hardly ever → lost" in teacher_table(tunes())
    assert len(teacher_table(tunes()).splitlines()) == 2 + 5
    assert NOTES.symbols[4] in teacher_table(tunes()).splitlines()[0]
    assert "| steady | 1.50 | 3.0 | 2.0 |" in ingredients_table({"steady": np.array([[1.0, 2, 2], [2.0, 4, 2]])})


def test_the_stored_table_has_a_row_for_each_seed_and_a_column_for_each_share():
    table = few_texts.stored()
    assert tuple(table) == few_texts.SIZES
    assert {rows.shape for rows in table.values()} == {(len(few_texts.SEEDS), len(few_texts.SHARES))}
