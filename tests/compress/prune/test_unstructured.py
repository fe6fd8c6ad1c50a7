"""Masks that count right, and zeros that stay zero."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_lab.compress.prune import (
    apply_masks,
    magnitude,
    mask_gradients,
    semi_structured_masks,
    sparsity,
    to_csr,
    unstructured_masks,
)


@pytest.mark.parametrize("scope", ["global", "layer", "row"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_masks_drop_the_share_that_was_asked_for(model, scope, share):
    masks = unstructured_masks(magnitude(model), share, scope)
    dropped = sum(int((~mask).sum()) for mask in masks.values())
    assert dropped / sum(mask.numel() for mask in masks.values()) == pytest.approx(share, abs=0.04)
    pruned = apply_masks(model, masks)
    assert sparsity(pruned) == pytest.approx(share, abs=0.04)
    assert sparsity(model) == 0
    if scope == "layer":
        assert all((~mask).float().mean() == pytest.approx(share, abs=0.01) for mask in masks.values())
    if scope == "row":
        assert all(len(set(mask.sum(1).tolist())) == 1 for mask in masks.values())


def test_global_masks_compare_matrices_and_local_ones_do_not():
    scores = {"loud": torch.tensor([[5.0, 6.0]]), "quiet": torch.tensor([[1.0, 2.0]])}
    assert unstructured_masks(scores, 0.5)["quiet"].sum() == 0
    assert unstructured_masks(scores, 0.5, "layer")["quiet"].tolist() == [[False, True]]


@given(st.lists(st.integers(0, 5), min_size=8, max_size=8))
@settings(max_examples=50, deadline=None)
def test_two_of_every_four_stay_and_they_are_the_largest(values):
    score = torch.tensor(values, dtype=torch.float).view(1, 8)
    mask = semi_structured_masks({"w": score})["w"]
    for four, stays in zip(score.view(2, 4), mask.view(2, 4), strict=True):
        assert stays.sum() == 2
        assert four[stays].min() >= four[~stays].max()


def test_masks_that_do_not_fit_are_refused(model):
    with pytest.raises(ValueError, match="sparsity is 1"):
        unstructured_masks(magnitude(model), 1)
    with pytest.raises(ValueError, match="scope is 'rows'"):
        unstructured_masks(magnitude(model), 0.5, "rows")
    with pytest.raises(ValueError, match="has 6 inputs"):
        semi_structured_masks({"w": torch.ones(2, 6)})
    with pytest.raises(ValueError, match="no such matrix"):
        apply_masks(model, {"tokens.weight": torch.ones(11, 16, dtype=torch.bool)})


def test_zeros_that_are_held_stay_zero_under_adam(model, batch):
    masks = unstructured_masks(magnitude(model), 0.7, "layer")
    pruned = apply_masks(model, masks)
    handles = mask_gradients(pruned, masks)
    optimizer = torch.optim.AdamW(pruned.parameters(), lr=0.01, weight_decay=0.0)
    for _ in range(3):
        loss = F.cross_entropy(pruned(batch.inputs)[batch.mask], batch.targets[batch.mask])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert sparsity(pruned) == pytest.approx(0.7, abs=0.01)
    moved = apply_masks(model, masks).blocks[0].expand.weight != pruned.blocks[0].expand.weight
    assert moved.float().mean() > 0.2, "the weights that stay are trained"
    for handle in handles:
        handle.remove()
    F.cross_entropy(pruned(batch.inputs)[batch.mask], batch.targets[batch.mask]).backward()
    optimizer.step()
    assert sparsity(pruned) < 0.1


def test_compressed_rows_hold_the_nonzero_weights_and_multiply_alike(model):
    pruned = apply_masks(model, unstructured_masks(magnitude(model), 0.8, "row"))
    weight = pruned.blocks[0].expand.weight.detach()
    sparse = to_csr(weight)
    assert len(sparse.values()) == int((weight != 0).sum())
    column = torch.ones(weight.shape[1], 1, dtype=weight.dtype)
    torch.testing.assert_close(sparse @ column, weight @ column)


def test_a_matrix_without_numbers_has_no_rows_to_compress():
    with pytest.raises(ValueError, match="meta device, which holds no numbers"):
        to_csr(torch.zeros(2, 3, device="meta"))


@pytest.mark.parametrize("scope", ["global", "layer", "row"])
def test_nothing_is_ranked_by_what_is_no_number(scope):
    scores = {"a": torch.ones(2, 2), "b": torch.tensor([[1.0, torch.nan]])}
    with pytest.raises(ValueError, match="scores of b hold NaN"):
        unstructured_masks(scores, 0.5, scope)


def test_two_of_four_are_not_chosen_by_what_is_no_number():
    with pytest.raises(ValueError, match="scores of a hold NaN"):
        semi_structured_masks({"a": torch.tensor([[1.0, torch.nan, 3.0, 2.0]])})
