"""Sums over pairs of states against the enumeration of all prefixes."""

import pytest
import torch

from kd_lab.how import reverse_kl
from kd_lab.measure import (
    conditionals,
    exact_excess_error,
    excess_error,
    gap_by_pair,
    gap_by_position,
    pair_reach,
)
from kd_lab.models import FiniteStateModel
from kd_lab.models.exact_models import window_moves


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    table, rows = (torch.randn(size, 4, generator=generator, dtype=torch.float64) for size in (16, 3))
    moves = torch.tensor([[0, 1, 2, 0], [1, 1, 0, 2], [2, 2, 1, 0]])
    return FiniteStateModel(table, window_moves(4, 2), slip=0.1), FiniteStateModel(rows, moves)


@pytest.mark.parametrize("divergence", [None, reverse_kl])
def test_pairs_give_what_enumeration_gives(pair, divergence):
    student, teacher = pair
    options = {} if divergence is None else {"divergence": divergence}
    tables = [conditionals(model, 5) for model in pair]
    gap = gap_by_pair(student, teacher, **options)
    on_student = (pair_reach(student, teacher, 5) * gap).sum((1, 2))
    on_teacher = (pair_reach(teacher, student, 5) * gap.T).sum((1, 2))
    torch.testing.assert_close(on_student, gap_by_position(*tables, visited=tables[0], **options))
    torch.testing.assert_close(on_teacher, gap_by_position(*tables, visited=tables[1], **options))
    if divergence is None:
        torch.testing.assert_close(excess_error(on_student, on_teacher), exact_excess_error(*tables))


def test_who_never_ends_keeps_the_whole_probability(pair):
    student, teacher = pair
    with torch.no_grad():
        student.table[:, 0] = -60
    torch.testing.assert_close(pair_reach(student, teacher, 40).sum((1, 2)), torch.ones(40, dtype=torch.float64))


def test_a_student_that_is_its_teacher_has_no_gap_where_it_goes(pair):
    _, teacher = pair
    assert (pair_reach(teacher, teacher, 6) * gap_by_pair(teacher, teacher)).abs().max() < 1e-12


def test_what_does_not_fit_is_refused(pair):
    student, _ = pair
    with pytest.raises(ValueError, match="at least 1 token"):
        pair_reach(student, student, 0)
    other = FiniteStateModel(torch.zeros(3, 3), window_moves(3, 1))
    with pytest.raises(ValueError, match="the same ids"):
        pair_reach(student, other, 3)
