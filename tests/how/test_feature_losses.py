"""Squared distance and relational Huber: hand-computed values, labels on and off, and parts that add up."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from kd_lab.how.feature_losses import RelationalHuber, SquaredError
from kd_lab.worlds import Batch

BATCH = Batch(torch.tensor([[0, 1, 2, 0], [0, 2, 0, 0]]), torch.tensor([[True, True, False], [True, False, False]]))
GENERATOR = torch.Generator().manual_seed(0)
LOGITS = torch.randn(2, 3, 5, generator=GENERATOR, dtype=torch.float64)
FEATURES, HINT = (torch.randn(2, 3, 4, generator=GENERATOR, dtype=torch.float64) for _ in range(2))
LABELS = cross_entropy(LOGITS[BATCH.mask], BATCH.targets[BATCH.mask])


def test_the_hint_is_half_the_squared_distance_per_counted_position():
    hint = (FEATURES - HINT)[BATCH.mask].square().sum() / 2 / 3
    torch.testing.assert_close(SquaredError(0.1)((FEATURES, LOGITS), HINT, BATCH), 0.1 * hint + LABELS)
    torch.testing.assert_close(SquaredError(0.1, label_weight=0.0)((FEATURES, LOGITS), HINT, BATCH), 0.1 * hint)


def test_a_hint_without_a_value_matters_nowhere_that_does_not_count():
    ours, wanted = (FEATURES.clone().requires_grad_() for _ in range(2))
    how = SquaredError(label_weight=0.0)
    loss = how((ours, LOGITS), HINT.masked_fill(~BATCH.mask[..., None], torch.nan), BATCH)
    expected = how((wanted, LOGITS), HINT, BATCH)
    assert loss == expected
    (got,), (right,) = torch.autograd.grad(loss, ours), torch.autograd.grad(expected, wanted)
    assert torch.equal(got, right)


def relational(label_weight: float):
    relations = (torch.zeros(2, 2).double(), torch.zeros(2, 2, 2).double())
    return lambda logits: RelationalHuber(label_weight=label_weight)((relations, logits), relations, BATCH)


def squared(label_weight: float):
    return lambda logits: SquaredError(label_weight=label_weight)((FEATURES, logits), HINT, BATCH)


@pytest.mark.parametrize("how", [squared, relational])
def test_labels_without_a_weight_may_be_impossible(how):
    """Their likelihood is infinite, and 0·∞ is NaN."""
    impossible = torch.full_like(LOGITS, -torch.inf)
    impossible[..., 3] = 0
    assert how(1.0)(impossible).item() == torch.inf
    assert torch.equal(how(0.0)(impossible), how(0.0)(LOGITS))


def test_half_precision_is_compared_in_fp32():
    generator = torch.Generator().manual_seed(1)
    ours, hint = (torch.randn(2, 3, 400, generator=generator).bfloat16() for _ in range(2))
    how = SquaredError(weight=1.0, label_weight=0.0)
    loss = how((ours, LOGITS), hint, BATCH)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss.double(), how((ours.double(), LOGITS), hint.double(), BATCH), rtol=1e-5, atol=0)


def test_relations_are_averaged_over_pairs_and_triplets():
    ours = (torch.tensor([[0.0, 1.0], [1.0, 0.0]]).double(), torch.zeros(2, 2, 2).double())
    theirs = (torch.tensor([[0.0, 0.5], [0.5, 0.0]]).double(), torch.full((2, 2, 2), 3.0).double())
    how = RelationalHuber(distance_weight=2.0, angle_weight=1.0, label_weight=0.5)
    expected = 2 * (2 * 0.5**2 / 2) / 4 + (3 - 0.5)  # Huber: quadratic below 1, linear above
    torch.testing.assert_close(how((ours, LOGITS), theirs, BATCH), expected + 0.5 * LABELS)


def test_parts_add_up_to_the_whole():
    whole = SquaredError()((FEATURES, LOGITS), HINT, BATCH)
    parts = sum(
        SquaredError()((FEATURES[i : i + 1], LOGITS[i : i + 1]), HINT[i : i + 1], BATCH[i : i + 1], normalizer=3)
        for i in (0, 1)
    )
    torch.testing.assert_close(parts, whole)


def test_relations_of_a_part_count_by_its_share_of_the_positions():
    zeros = (torch.zeros(2, 2), torch.zeros(2, 2, 2))
    far = (torch.ones(2, 2), torch.zeros(2, 2, 2))
    how = RelationalHuber(label_weight=0.0)
    alone = how((zeros, LOGITS), far, BATCH)
    assert how((zeros, LOGITS), far, BATCH, normalizer=12).item() == pytest.approx(alone.item() * 3 / 12)


def test_a_step_in_which_nothing_counts_has_no_relations():
    nothing = Batch(BATCH.tokens, torch.zeros_like(BATCH.mask))
    ours, theirs = ((torch.full((2, 2), size), torch.zeros(2, 2, 2)) for size in (0.0, 1.0))
    assert RelationalHuber()((ours, LOGITS), theirs, nothing, normalizer=nothing.mask.sum()).item() == 0


@pytest.mark.parametrize("how", [SquaredError, RelationalHuber])
def test_labels_are_read_unless_their_weight_is_nought(how):
    assert how().reads_labels
    assert "labels" in str(how())
    assert not how(label_weight=0.0).reads_labels
    assert "labels" not in str(how(label_weight=0.0))
