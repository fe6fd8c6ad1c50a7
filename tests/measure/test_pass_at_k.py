"""pass@k: by hand, against all choices of k texts, and without bias."""

from itertools import combinations
from math import comb

import pytest
import torch

from kd_lab.measure.pass_at_k import pass_at_k


def test_it_is_the_share_of_choices_with_a_right_text():
    for right in range(6):
        texts = [True] * right + [False] * (5 - right)
        for k in range(1, 6):
            choices = [any(chosen) for chosen in combinations(texts, k)]
            found = pass_at_k(torch.tensor([right]), drawn=5, k=k).item()
            assert found == pytest.approx(sum(choices) / len(choices))
            assert found == pytest.approx(1 - comb(5 - right, k) / comb(5, k))


def test_at_one_it_is_the_share_of_right_texts_and_at_n_whether_there_is_one():
    right = torch.tensor([0, 1, 7, 8])
    torch.testing.assert_close(pass_at_k(right, 8, 1), right.double() / 8)
    assert pass_at_k(right, 8, 8).tolist() == [0, 1, 1, 1]


def test_its_expectation_is_exact_where_the_plug_in_is_too_low():
    chance, drawn, k = 0.2, 6, 4
    weights = torch.tensor([comb(drawn, c) * chance**c * (1 - chance) ** (drawn - c) for c in range(drawn + 1)])
    counts = torch.arange(drawn + 1)
    expected = (weights.double() * pass_at_k(counts, drawn, k)).sum().item()
    plug_in = (weights * (1 - (1 - counts / drawn) ** k)).sum().item()
    assert expected == pytest.approx(1 - (1 - chance) ** k, abs=1e-6)
    assert plug_in < expected - 0.01


def test_hundreds_of_texts_overflow_nothing():
    found = pass_at_k(torch.tensor([3]), drawn=2000, k=1000).item()
    assert found == pytest.approx(1 - (1000 * 999 * 998) / (2000 * 1999 * 1998))


@pytest.mark.parametrize(
    ("right", "drawn", "k", "words"),
    [
        ([1], 4, 5, "1 ≤ k ≤ drawn"),
        ([1], 4, 0, "1 ≤ k ≤ drawn"),
        ([5], 4, 2, "counts of 0 … 4"),
        ([-1], 4, 2, "counts"),
    ],
)
def test_impossible_counts_are_refused(right, drawn, k, words):
    with pytest.raises(ValueError, match=words):
        pass_at_k(torch.tensor(right), drawn, k)
