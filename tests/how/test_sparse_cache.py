"""Sparse teachers in memory: the numbers that are kept, and that rows go with a batch's rows."""

import pytest
import torch

from kd_lab.how import SparseTeacher, sampled, top_k


def logits(vocabulary: int, rows: int = 64) -> torch.Tensor:
    return 3 * torch.randn(rows, vocabulary, generator=torch.Generator().manual_seed(0))


def test_top_k_is_of_the_whole_softmax():
    kept = top_k(torch.tensor([[0.0, 2.0, 1.0]]), 2, temperature=0.5)
    torch.testing.assert_close(kept.logp, (2 * torch.tensor([[2.0, 1.0, 0.0]])).log_softmax(-1)[:, :2])


@pytest.mark.parametrize("k", [1, 5, 19, 20])
def test_the_mass_of_the_rest_is_exact_where_1_minus_the_kept_is_nothing(k):
    teacher = 20 * logits(20)
    kept = top_k(teacher, k)
    exact = teacher.double().log_softmax(-1).scatter(-1, kept.ids, -torch.inf).logsumexp(-1)
    torch.testing.assert_close(kept.tail_logp.double(), exact, rtol=1e-5, atol=1e-5)
    assert (kept.tail_logp == -torch.inf).all() == (k == 20)


def test_draws_follow_the_teacher_at_its_temperature():
    teacher = torch.tensor([2.0, 0.0, 1.0])
    draws = sampled(teacher, 20_000, generator=torch.Generator().manual_seed(0), temperature=2.0)
    share = draws.ids.bincount(minlength=3) / 20_000
    torch.testing.assert_close(share, (teacher / 2).softmax(-1), rtol=0, atol=0.015)  # four standard errors
    torch.testing.assert_close(draws.logp, (teacher / 2).log_softmax(-1)[draws.ids])
    again = sampled(teacher, 20_000, generator=torch.Generator().manual_seed(0), temperature=2.0)
    assert torch.equal(draws.ids, again.ids)


def test_rows_are_picked_as_a_batch_picks_them():
    cache = top_k(logits(20, 12).view(3, 4, 20), 5)
    for rows in (torch.tensor([2, 0]), slice(1, 3), torch.tensor([[True] * 4, [False] * 4, [True] * 4])):
        part = cache[rows].to("cpu")
        assert torch.equal(part.ids, cache.ids[rows])
        assert torch.equal(part.logp, cache.logp[rows])
        assert torch.equal(part.tail_logp, cache.tail_logp[rows])
        assert (part.vocabulary, part.tail, part.temperature) == (20, "bucket", 1.0)
    assert len(cache) == 3
    draws = sampled(logits(20), 5, generator=torch.Generator().manual_seed(0))
    assert draws[:2].tail_logp is None


@pytest.mark.parametrize("k", [0, 21, True])
def test_an_impossible_k_is_refused(k):
    with pytest.raises(ValueError, match=rf"k is {k}; expected 1 … 20"):
        top_k(logits(20), k)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_temperature_is_refused(temperature):
    with pytest.raises(ValueError, match="expected a positive number"):
        top_k(logits(20), 3, temperature=temperature)
    with pytest.raises(ValueError, match="expected a positive number"):
        sampled(logits(20), 3, temperature=temperature, generator=torch.Generator())


def test_logits_that_make_no_distribution_are_refused():
    spoiled = logits(20)
    spoiled[3, 2] = torch.nan
    with pytest.raises(ValueError, match="no distribution at 1 positions"):
        top_k(spoiled, 3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"tail": "ghost"}, r"'ghost'"),
        ({"vocabulary": 0}, r"vocabulary is 0"),
        ({"temperature": -1.0}, r"temperature is -1.0"),
        ({"tail_logp": torch.zeros(3)}, r"tail_logp has shape \(3,\); expected \(2,\)"),
    ],
)
def test_a_teacher_whose_parts_do_not_fit_cannot_be_made(change, says):
    parts = {"ids": torch.zeros(2, 1, dtype=torch.long), "logp": torch.zeros(2, 1), "vocabulary": 5, "tail": "bucket"}
    with pytest.raises(ValueError, match=says):
        SparseTeacher(**(parts | change))
