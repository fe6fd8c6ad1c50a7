"""masked_mean and its relatives: what is divided by what, and what never counts."""

from inspect import unwrap

import pytest
import torch

from kd_lab.how import masked_mean
from kd_lab.how.reduction import position_weights, reduce

VALUES = torch.tensor([[1.0, 2.0, 3.0], [5.0, 7.0, 11.0]])
MASK = torch.tensor([[True, True, False], [True, False, False]])


def test_the_mean_is_over_counted_positions_and_not_over_rows_or_columns():
    assert masked_mean(VALUES, MASK).item() == pytest.approx((1 + 2 + 5) / 3)
    assert masked_mean(VALUES).item() == pytest.approx(29 / 6)
    batchmean = VALUES.sum() / len(VALUES)  # what dividing by B alone would give
    assert masked_mean(VALUES) != batchmean


def test_the_token_mean_is_not_the_mean_of_sequence_means():
    of_sequences = torch.stack([VALUES[0, :2].mean(), VALUES[1, :1].mean()]).mean()
    assert masked_mean(VALUES, MASK).item() != pytest.approx(of_sequences.item())


@pytest.mark.parametrize("garbage", [float("nan"), float("inf"), 1e30])
def test_a_masked_position_never_matters(garbage):
    values = VALUES.masked_fill(~MASK, garbage).requires_grad_()
    loss = masked_mean(values, MASK)
    assert loss.item() == pytest.approx(8 / 3)
    torch.testing.assert_close(torch.autograd.grad(loss, values)[0], MASK / 3)


def test_the_mean_of_nothing_is_zero_with_a_zero_gradient():
    values = VALUES.clone().requires_grad_()
    loss = masked_mean(values, torch.zeros_like(MASK))
    assert loss.item() == 0
    assert torch.autograd.grad(loss, values)[0].eq(0).all()


def test_a_normalizer_makes_parts_add_up_to_the_whole():
    """Gradient accumulation: the parts hold 2 and 1 counted tokens, so the mean of their means would be wrong."""
    parts = [masked_mean(VALUES[i], MASK[i], normalizer=MASK.sum()) for i in range(2)]
    torch.testing.assert_close(sum(parts), masked_mean(VALUES, MASK))
    wrong = torch.stack([masked_mean(VALUES[i], MASK[i]) for i in range(2)]).mean()
    assert not torch.isclose(wrong, masked_mean(VALUES, MASK))


@pytest.mark.parametrize(
    ("reduction", "normalizer"),
    [("mean", None), ("mean", 7), ("mean", torch.tensor(2.5)), ("sum", None), ("none", None)],
)
@pytest.mark.parametrize("mask", [None, MASK, torch.zeros_like(MASK)])
def test_position_weights_are_the_gradient_of_the_reduction(reduction, mask, normalizer):
    values = VALUES.clone().requires_grad_()
    losses = values if mask is None else values.where(mask, 0.0)
    gradient = torch.autograd.grad(reduce(losses, mask, reduction, normalizer).sum(), values)[0]
    assert torch.equal(position_weights(VALUES.shape, mask, reduction, normalizer), gradient)


@pytest.mark.parametrize(
    ("mask", "says"), [(MASK.long(), r"torch.bool"), (MASK[:, :2], r"\(2, 2\)"), (MASK[0], r"nothing is broadcast")]
)
def test_a_mask_that_does_not_fit_is_refused(mask, says):
    with pytest.raises(ValueError, match=says):
        unwrap(masked_mean)(VALUES, mask)  # as it is outside the tests, where nothing checks annotations


def test_a_tensors_value_is_not_looked_at_and_0_is_the_mean_of_nothing():
    values = VALUES.clone().requires_grad_()
    loss = masked_mean(values, MASK, torch.tensor(0))
    assert loss == 0
    assert torch.autograd.grad(loss, values)[0].eq(0).all()
    assert masked_mean(VALUES, MASK, torch.tensor([[4]])).item() == pytest.approx(2)


def test_data_parallel_gradients_are_averaged_so_the_count_is_divided_by_the_ranks():
    """Two ranks, of which each holds one row: the average of their gradients is that of the mean over all."""
    values = VALUES.clone().requires_grad_()
    expected = torch.autograd.grad(masked_mean(values, MASK), values)[0]
    ranks = [masked_mean(values[i], MASK[i], normalizer=MASK.sum() / 2) for i in range(2)]
    averaged = sum(torch.autograd.grad(loss, values)[0] for loss in ranks) / 2
    torch.testing.assert_close(averaged, expected)


@pytest.mark.parametrize("normalizer", [0, -1.0, float("nan"), torch.tensor([1.0, 2.0])])
def test_a_normalizer_that_is_no_positive_number_is_refused(normalizer):
    with pytest.raises(ValueError, match="normalizer"):
        masked_mean(VALUES, MASK, normalizer)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_values_of_half_precision_are_added_and_divided_in_fp32(dtype):
    """In fp16 the divisor of 100,000 is infinite and a sum of 70,000 too; in bf16 1001 is 1000."""
    wide = torch.promote_types(dtype, torch.float32)
    values = torch.ones(4, dtype=dtype, requires_grad=True)
    loss = masked_mean(values, normalizer=torch.tensor(1e5))
    torch.testing.assert_close(loss, torch.tensor(4e-5, dtype=wide))
    torch.testing.assert_close(*torch.autograd.grad(loss, values), torch.full_like(values, 1e-5))
    assert masked_mean(values, normalizer=torch.tensor(1001.0)).item() == pytest.approx(4 / 1001, rel=1e-6)
    many = torch.full((70_000,), 1.0, dtype=dtype)
    assert masked_mean(many).item() == 1
    assert reduce(many, None, "sum", None).item() == 70_000
    assert reduce(many, None, "none", None).dtype == dtype
