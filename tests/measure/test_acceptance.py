"""Acceptance, and the speed that is predicted from it."""

import pytest
import torch

from kd_lab.measure.acceptance import acceptance, best_guesses, speedup, tokens_per_call
from kd_lab.models import TabularModel, sampling_logp, speculate
from kd_lab.worlds import Batch


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def tables(seed):
    return [torch.randn(4**t, 4, generator=chance(seed + t), dtype=torch.float64) for t in range(4)]


@pytest.mark.parametrize("settings", [{}, {"temperature": 0.5}, {"top_p": 0.7}])
def test_it_is_the_overlap_of_what_both_are_sampled_from(settings):
    draft, target = TabularModel(tables(0)), TabularModel(tables(10))
    batch = Batch.from_tokens(torch.tensor([[0, 1, 2, 3, 1], [0, 2, 0, 0, 0]]), end=0)
    found = acceptance(draft, target, batch, **settings)
    p, q = (sampling_logp(model(batch.inputs), **settings).exp() for model in (target, draft))
    torch.testing.assert_close(found, torch.minimum(p, q).sum(-1) * batch.mask)
    assert (found[~batch.mask] == 0).all()


def test_the_deployed_settings_matter():
    """Two drafts change places: top-p cuts what the one is good at."""
    target = TabularModel([torch.tensor([[0.5, 0.3, 0.1, 0.1]]).log()])
    flat = TabularModel([torch.tensor([[0.4, 0.4, 0.1, 0.1]]).log()])
    head = TabularModel([torch.tensor([[0.62, 0.38, 0.0, 0.0]]).log()])
    batch = Batch.from_tokens(torch.tensor([[0, 1]]), end=0)
    at_one = [acceptance(draft, target, batch).item() for draft in (flat, head)]
    at_cut = [acceptance(draft, target, batch, top_p=0.75).item() for draft in (flat, head)]
    assert at_one[0] > at_one[1]
    assert at_cut[0] < at_cut[1]


def test_guesses_stand_as_often_as_it_says():
    rows, same = 200, [[tables(seed)[0].repeat(4**t, 1) for t in range(2)] for seed in (0, 10)]
    draft, target = (TabularModel(one) for one in same)
    alpha = acceptance(draft, target, Batch.from_tokens(torch.tensor([[0, 1]]), end=0)).item()
    stood = 0
    for seed in range(rows):
        stood += speculate(target, draft, torch.tensor([0]), 2, guesses=1, generator=chance(seed)).rounds[0].accepted
    assert stood / rows == pytest.approx(alpha, abs=4 * (alpha * (1 - alpha) / rows) ** 0.5)


def test_tokens_per_call_is_a_geometric_sum():
    assert tokens_per_call(0.8, 5) == pytest.approx((1 - 0.8**6) / 0.2)
    assert tokens_per_call(1.0, 3) == 4
    assert tokens_per_call(0.0, 3) == 1


@pytest.mark.parametrize(
    ("alpha", "gamma", "cost", "published"),
    [(0.75, 7, 0.02, 3.2), (0.8, 7, 0.04, 3.3), (0.82, 7, 0.11, 2.5), (0.68, 5, 0.04, 2.4), (0.53, 5, 0.02, 1.9)],
)
def test_speeds_are_the_ones_of_the_paper_s_table_4(alpha, gamma, cost, published):
    assert speedup(alpha, gamma, cost) == pytest.approx(published, abs=0.1)


def test_one_guess_pays_where_acceptance_exceeds_cost():
    assert speedup(0.3, 1, 0.2) == pytest.approx(1.3 / 1.2)
    assert best_guesses(0.3, 0.31) == 0
    assert best_guesses(0.31, 0.3) == 1
    assert best_guesses(1.0, 0.1, most=12) == 12
    assert speedup(0.8, 4, 0.1, verification=2.0) < speedup(0.8, 4, 0.1)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="a share from 0 to 1"):
        tokens_per_call(1.2, 3)
    with pytest.raises(ValueError, match="a ratio of at least 0"):
        speedup(0.5, 3, -0.1)
    batch = Batch.from_tokens(torch.tensor([[0, 1]]), end=0)
    with pytest.raises(ValueError, match="one vocabulary"):
        acceptance(TabularModel.uniform(4, 2), TabularModel.uniform(5, 2), batch)
