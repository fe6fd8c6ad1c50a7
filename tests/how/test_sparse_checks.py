"""Ids and log-probabilities that are none are refused, wherever they stand and on whichever way they come."""

import pytest
import torch

from kd_lab.how.sparse_checks import check_layout, check_tail, checked_ids

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
