"""Importance of weights and blocks, by hand."""

import pytest
import torch
import torch.nn.functional as F

from kd_lab.compress.prune import block_influence, magnitude, prunable, taylor, wanda
from kd_lab.worlds import Batch


def test_magnitude_is_the_size_of_the_weight_and_covers_the_blocks_alone(model):
    scores = magnitude(model)
    assert len(scores) == 4 * 3
    assert all(name.startswith("blocks.") for name in scores)
    for name, score in scores.items():
        assert torch.equal(score, model.get_parameter(name).abs())


def test_wanda_weighs_by_the_norm_of_what_comes_in_at_counted_positions(model, batch):
    normed = model.blocks[0].attention_norm(model.tokens(batch.inputs) + model.positions.weight)
    norms = normed[batch.mask].square().sum(0).sqrt()
    expected = model.blocks[0].attention.query_key_value.weight.abs() * norms
    torch.testing.assert_close(wanda(model, batch)["blocks.0.attention.query_key_value.weight"], expected)


def test_wanda_leaves_no_hook_behind(model, batch):
    wanda(model, batch)
    assert not any(layer._forward_hooks for layer in prunable(model).values())


def test_taylor_is_the_squared_weight_times_gradient_and_leaves_gradients_alone(model, batch):
    loss = F.cross_entropy(model(batch.inputs)[batch.mask], batch.targets[batch.mask])
    weight = model.blocks[1].expand.weight
    (gradient,) = torch.autograd.grad(loss, weight)
    score = taylor(model, batch, pieces=1)["blocks.1.expand.weight"]
    torch.testing.assert_close(score, (weight * gradient).square().detach())
    assert all(parameter.grad is None for parameter in model.parameters())
    with pytest.raises(ValueError, match="pieces is 17 for 16 texts"):
        taylor(model, batch, pieces=17)


def test_taylor_predicts_the_change_of_the_loss(model, batch):
    """First order: for a small weight, (L without it − L)² is close to its score."""

    def loss():
        return F.cross_entropy(model(batch.inputs)[batch.mask], batch.targets[batch.mask]).item()

    scores, weight = taylor(model, batch, pieces=1)["blocks.2.contract.weight"], model.blocks[2].contract.weight
    before = loss()
    for place in [(0, 0), (3, 5), (7, 40)]:
        kept = weight[place].item()
        with torch.no_grad():
            weight[place] = 0.99 * kept  # a hundredth of the way, so that the curvature stays out
            change = (loss() - before) / 0.01
            weight[place] = kept
        assert change**2 == pytest.approx(scores[place].item(), rel=0.05)


def test_a_layer_that_writes_nothing_has_no_influence(model, batch):
    with torch.no_grad():
        model.blocks[1].attention.project.weight.zero_()
        model.blocks[1].contract.weight.zero_()
    influence = block_influence(model, batch)
    assert influence[1].abs() < 1e-12
    assert (influence[[0, 2]] > 1e-3).all()


@pytest.mark.parametrize("score", [wanda, taylor, block_influence])
def test_texts_of_which_nothing_counts_are_refused(score, model, batch):
    """Scores of such texts are NaN or all alike, and pruning would drop weights in the order of their rows."""
    nothing = Batch(batch.tokens, torch.zeros_like(batch.mask))
    with pytest.raises(ValueError, match=r"positions counts|no position counts in 8 of 8 pieces"):
        score(model, nothing)


def test_each_piece_needs_a_position_that_counts(model, batch):
    mask = batch.mask.clone()
    mask[4:6] = False
    with pytest.raises(ValueError, match="no position counts in 1 of 8 pieces, the first of them piece 2"):
        taylor(model, Batch(batch.tokens, mask))
    assert all(score.isfinite().all() for score in taylor(model, Batch(batch.tokens, mask), pieces=4).values())


def test_a_number_of_pieces_that_does_not_divide_the_texts_is_taken_as_it_is(model, batch):
    """The mean over seven pieces of 16 texts: three or two texts in each."""
    name, scores = "blocks.1.expand.weight", taylor(model, batch, pieces=7)
    weight, squares = model.get_parameter(name), []
    for rows in torch.arange(16).split([3, 3, 2, 2, 2, 2, 2]):
        piece = batch[rows]
        loss = F.cross_entropy(model(piece.inputs)[piece.mask], piece.targets[piece.mask])
        squares.append((weight * torch.autograd.grad(loss, weight)[0]).square().detach())
    torch.testing.assert_close(scores[name], torch.stack(squares).mean(0))
