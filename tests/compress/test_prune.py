"""Pruning: importance by hand, masks that count right, and smaller models that say what their silenced twins say."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from kd_lab.compress.prune import (
    Keep,
    channel_scores,
    choose,
    head_scores,
    hold_zeros,
    keep_largest,
    keep_two_of_four,
    layer_influence,
    layer_scores,
    magnitude,
    prunable,
    remove,
    silence,
    sparsity,
    taylor,
    wanda,
    zero,
)
from kd_lab.models import GPT, GPTConfig, generate, load_model, save_model
from kd_lab.worlds import Batch

SHAPE = GPTConfig(vocab_size=11, context=12, layers=3, heads=4, width=16)


@pytest.fixture
def model():
    return GPT(SHAPE, seed=1).double().eval()


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 11, (16, 13), generator=generator)
    tokens[:, 0] = 0
    tokens[::2, 9:] = 0  # every second text is shorter
    return Batch.from_tokens(tokens, end=0)


@pytest.fixture
def keep():
    return Keep(layers=(0, 2), heads=((1, 3), (0, 1)), channels=(tuple(range(0, 64, 3)), tuple(range(22))))


# ---- importance


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
    influence = layer_influence(model, batch)
    assert influence[1].abs() < 1e-12
    assert (influence[[0, 2]] > 1e-3).all()


# ---- masks


@pytest.mark.parametrize("scope", ["global", "layer", "row"])
@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_masks_drop_the_share_that_was_asked_for(model, scope, share):
    masks = keep_largest(magnitude(model), share, scope)
    dropped = sum(int((~mask).sum()) for mask in masks.values())
    assert dropped / sum(mask.numel() for mask in masks.values()) == pytest.approx(share, abs=0.04)
    pruned = zero(model, masks)
    assert sparsity(pruned) == pytest.approx(share, abs=0.04)
    assert sparsity(model) == 0
    if scope == "layer":
        assert all((~mask).float().mean() == pytest.approx(share, abs=0.01) for mask in masks.values())
    if scope == "row":
        assert all(len(set(mask.sum(1).tolist())) == 1 for mask in masks.values())


def test_global_masks_compare_matrices_and_local_ones_do_not():
    scores = {"loud": torch.tensor([[5.0, 6.0]]), "quiet": torch.tensor([[1.0, 2.0]])}
    assert keep_largest(scores, 0.5)["quiet"].sum() == 0
    assert keep_largest(scores, 0.5, "layer")["quiet"].tolist() == [[False, True]]


@given(st.lists(st.integers(0, 5), min_size=8, max_size=8))
@settings(max_examples=50, deadline=None)
def test_two_of_every_four_stay_and_they_are_the_largest(values):
    score = torch.tensor(values, dtype=torch.float).view(1, 8)
    mask = keep_two_of_four({"w": score})["w"]
    for four, stays in zip(score.view(2, 4), mask.view(2, 4), strict=True):
        assert stays.sum() == 2
        assert four[stays].min() >= four[~stays].max()


def test_masks_that_do_not_fit_are_refused(model):
    with pytest.raises(ValueError, match="sparsity is 1"):
        keep_largest(magnitude(model), 1)
    with pytest.raises(ValueError, match="scope is 'rows'"):
        keep_largest(magnitude(model), 0.5, "rows")
    with pytest.raises(ValueError, match="has 6 inputs"):
        keep_two_of_four({"w": torch.ones(2, 6)})
    with pytest.raises(ValueError, match="no such matrix"):
        zero(model, {"tokens.weight": torch.ones(11, 16, dtype=torch.bool)})


def test_zeros_that_are_held_stay_zero_under_adam(model, batch):
    masks = keep_largest(magnitude(model), 0.7, "layer")
    pruned = zero(model, masks)
    handles = hold_zeros(pruned, masks)
    optimizer = torch.optim.AdamW(pruned.parameters(), lr=0.01, weight_decay=0.0)
    for _ in range(3):
        loss = F.cross_entropy(pruned(batch.inputs)[batch.mask], batch.targets[batch.mask])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert sparsity(pruned) == pytest.approx(0.7, abs=0.01)
    moved = zero(model, masks).blocks[0].expand.weight != pruned.blocks[0].expand.weight
    assert moved.float().mean() > 0.2, "the weights that stay are trained"
    for handle in handles:
        handle.remove()
    F.cross_entropy(pruned(batch.inputs)[batch.mask], batch.targets[batch.mask]).backward()
    optimizer.step()
    assert sparsity(pruned) < 0.1


# ---- structures


def test_head_and_channel_scores_count_every_weight_of_the_blocks_once(model):
    scores = magnitude(model)
    heads, channels, layers = head_scores(model, scores), channel_scores(model, scores), layer_scores(model, scores)
    assert heads.shape == (3, 4)
    assert channels.shape == (3, 64)
    total = sum(score.sum() for score in scores.values())
    torch.testing.assert_close(heads.sum() + channels.sum(), total)
    torch.testing.assert_close(layers.sum(), total)


def test_the_least_important_head_is_the_one_that_was_made_small(model):
    with torch.no_grad():
        by_head = model.blocks[1].attention.query_key_value.weight.view(3, 4, 4, 16)
        by_head[:, 2] *= 0.01
        model.blocks[1].attention.project.weight.view(16, 4, 4)[:, 2] *= 0.01
    kept = choose(model, magnitude(model), heads=3)
    assert kept.heads[1] == (0, 1, 3)
    assert len(kept.channels[0]) == 64


def test_layers_can_be_ranked_by_something_else(model):
    kept = choose(model, magnitude(model), layers=2, layer_importance=torch.tensor([3.0, 1.0, 2.0]))
    assert kept.layers == (0, 2)


def test_a_smaller_model_says_what_its_silenced_twin_says(model, keep, batch):
    small, quiet = remove(model, keep), silence(model, keep)
    assert isinstance(small, GPT)
    torch.testing.assert_close(small(batch.inputs), quiet(batch.inputs), rtol=0, atol=1e-12)
    assert (small(batch.inputs) - model(batch.inputs)).abs().max() > 1e-3
    cache = small.new_cache(16, 12)
    pieces = [small(piece, cache=cache) for piece in batch.inputs.split([4, 8], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), quiet(batch.inputs), rtol=0, atol=1e-12)


def test_in_single_precision_the_two_agree_to_a_hundred_thousandth(keep, batch):
    model = GPT(SHAPE, seed=1).eval()
    torch.testing.assert_close(remove(model, keep)(batch.inputs), silence(model, keep)(batch.inputs), rtol=0, atol=1e-5)


def test_it_is_physically_smaller_and_can_be_pruned_again(model, keep):
    small = remove(model, keep)
    assert small.config.head_width == 4
    assert remove(model, keep, dropout=0.5).config.dropout == 0.5
    assert small.blocks[0].attention.query_key_value.weight.shape == (3 * 2 * 4, 16)
    assert small.blocks[1].contract.weight.shape == (16, 22)
    again = remove(small, choose(small, magnitude(small), layers=1, heads=1, channels=5))
    assert again.blocks[0].expand.weight.shape == (5, 16)


def test_it_shares_no_memory_with_the_model_that_it_came_from(model, keep):
    small = remove(model, keep)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    assert all((parameter != 0).any() for parameter in model.parameters())


def test_it_is_saved_read_and_written_with_like_any_other(tmp_path, keep):
    small = remove(GPT(SHAPE, seed=1), keep).eval()
    save_model(small, tmp_path / "small.safetensors")
    read = load_model(tmp_path / "small.safetensors")
    assert read.config == small.config
    start, chance = torch.zeros(2, 1, dtype=torch.long), torch.Generator().manual_seed(0)
    assert torch.equal(generate(read, start, 5, greedy=True), generate(small, start, 5, greedy=True))
    assert generate(read, start, 5, generator=chance).shape == (2, 6)


def test_a_choice_that_does_not_fit_is_refused(model, keep):
    with pytest.raises(ValueError, match=r"heads is 5; expected 1 … 4"):
        choose(model, magnitude(model), heads=5)
    with pytest.raises(ValueError, match="layers is 0"):
        choose(model, magnitude(model), layers=0)
    with pytest.raises(ValueError, match=r"layers \[0, 3\] are to stay; expected numbers from 0 to 2"):
        remove(model, Keep((0, 3), keep.heads, keep.channels))
    with pytest.raises(ValueError, match=r"keep \[1, 2\] heads; expected one number"):
        remove(model, Keep(keep.layers, ((0,), (0, 1)), keep.channels))
    with pytest.raises(ValueError, match="ascending"):
        silence(model, Keep(keep.layers, ((1, 0), (0, 1)), keep.channels))
    with pytest.raises(ValueError, match="2 layers stay and 1 rows of heads"):
        remove(model, Keep(keep.layers, keep.heads[:1], keep.channels))
