"""Sparse teachers in memory: the numbers that are kept, rows that go with a batch's rows, and all that is refused."""

import pytest
import torch

from kd_lab.how import SparseTeacher, sampled, top_k
from kd_lab.how.sparse_cache import check_layout, check_tail, checked_ids


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
    with pytest.raises(ValueError, match=rf"k is {k}; expected (1 … 20|a whole number)"):
        top_k(logits(20), k)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_an_impossible_temperature_is_refused(temperature):
    with pytest.raises(ValueError, match=r"temperature is .*; expected a (positive )?number"):
        top_k(logits(20), 3, temperature=temperature)
    with pytest.raises(ValueError, match=r"temperature is .*; expected a (positive )?number"):
        sampled(logits(20), 3, temperature=temperature, generator=torch.Generator())


@pytest.mark.parametrize("keep", [top_k, lambda logits, k: sampled(logits, k, generator=torch.Generator())])
def test_logits_without_numbers_are_refused(keep):
    with pytest.raises(ValueError, match="meta device, which holds no numbers"):
        keep(torch.zeros(2, 3, device="meta"), 1)


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


IDS = torch.tensor([[0, 1], [3, 2]])
LOGP = torch.full((2, 2), -2.0)
REST = torch.log1p(-2 * torch.tensor([-2.0, -2.0]).exp())


def test_masked_positions_are_emptied_and_all_else_stays():
    mask = torch.tensor([True, False])
    spoiled, nan = IDS.masked_fill(~mask[:, None], 10**6), LOGP.masked_fill(~mask[:, None], torch.nan)
    ids = checked_ids(spoiled.int(), nan, None, mask, 5, "bucket")
    assert ids.dtype == torch.int64
    assert ids.tolist() == [[0, 1], [-1, -1]]


def test_repeats_are_draws():
    assert checked_ids(torch.tensor([[1, 1]]), LOGP[:1], None, None, 5, "sampled").tolist() == [[1, 1]]
    assert checked_ids(torch.tensor([[-1, -1, 1]]), torch.full((1, 3), -2.0), None, None, 5, "bucket").shape == (1, 3)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ids": torch.tensor([[0, 0], [1, 2]])}, r"same id twice.*write −1"),
        ({"ids": torch.tensor([[0, 9], [1, 2]])}, r"from 0 to 9; expected 0 … 4"),
        ({"ids": torch.tensor([[0, -2], [1, 2]])}, r"from -2 to 2; expected 0 … 4.*or −1"),
        ({"ids": torch.tensor([[0, 1], [-1, -1]])}, r"1 positions that count have no token"),
        ({"logp": torch.tensor([[0.5, 0.2], [0.5, 0.2]])}, r"goes up to 0.5.*log-probabilities, 0 at most"),
        ({"logp": torch.tensor([[torch.nan, -2.0], [-2.0, -2.0]])}, r"expected log-probabilities"),
        ({"logp": torch.full((2, 2), -0.1)}, r"sum to 1.8097; expected 1 at most"),
        ({"logp": torch.full((2, 2), -torch.inf), "tail": "sampled"}, r"what is impossible is never drawn"),
        ({"logp": torch.full((2, 2), -torch.inf), "tail": "renormalize"}, r"no probability at all"),
        ({"tail_logp": REST - 1}, r"sum to a probability of 0.5390; expected 1"),
        ({"tail_logp": torch.full((2,), torch.nan)}, r"sum to a probability of nan; expected 1"),
    ],
)
def test_values_that_are_refused_and_so_by_the_operator(change, says):
    arguments = {"ids": IDS, "logp": LOGP, "tail_logp": None, "mask": None, "vocabulary": 5, "tail": "bucket"} | change
    with pytest.raises(ValueError, match=says):
        checked_ids(**arguments)
    with pytest.raises(ValueError, match=says):
        torch.ops.kd_lab.checked_sparse_ids(**arguments)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ids": torch.zeros(2, 2)}, r"expected integers"),
        ({"ids": torch.tensor(1)}, r"teacher_ids has shape \(\)"),
        ({"logp": torch.zeros(2, 2, dtype=torch.long)}, r"teacher_logp has dtype torch.int64"),
        ({"logp": torch.full((2, 3), -2.0)}, r"\(2, 3\).*\(2, 'K'\)"),
        ({"ids": IDS[:, :0], "logp": LOGP[:, :0]}, r"K ≥ 1"),
        ({"tail_logp": LOGP}, r"tail_logp has shape \(2, 2\); expected \(2,\)"),
        ({"tail_logp": REST.long()}, r"tail_logp has dtype torch.int64"),
    ],
)
def test_layouts_that_are_refused(change, says):
    with pytest.raises(ValueError, match=says):
        check_layout(**({"ids": IDS, "logp": LOGP, "tail_logp": REST, "positions": torch.Size([2])} | change))


def test_an_unknown_tail_is_refused():
    with pytest.raises(ValueError, match="'ghost'; expected one of 'bucket'"):
        check_tail("ghost", "forward_kl")
