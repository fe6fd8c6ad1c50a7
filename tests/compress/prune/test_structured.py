"""Smaller models that compute what their masked twins compute."""

import pytest
import torch

from kd_lab.compress.prune import (
    Structures,
    channel_scores,
    head_scores,
    layer_scores,
    magnitude,
    mask_structures,
    remove_structures,
    select_structures,
)
from kd_lab.models import GPT, generate, load_model, save_model


@pytest.fixture
def keep():
    return Structures(layers=(0, 2), heads=((1, 3), (0, 1)), channels=(tuple(range(0, 64, 3)), tuple(range(22))))


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
    kept = select_structures(model, magnitude(model), heads=3)
    assert kept.heads[1] == (0, 1, 3)
    assert len(kept.channels[0]) == 64


def test_layers_can_be_ranked_by_something_else(model):
    kept = select_structures(model, magnitude(model), layers=2, layer_importance=torch.tensor([3.0, 1.0, 2.0]))
    assert kept.layers == (0, 2)


def test_a_smaller_model_says_what_its_masked_twin_says(model, keep, batch):
    small, masked = remove_structures(model, keep), mask_structures(model, keep)
    assert isinstance(small, GPT)
    torch.testing.assert_close(small(batch.inputs), masked(batch.inputs), rtol=0, atol=1e-12)
    assert (small(batch.inputs) - model(batch.inputs)).abs().max() > 1e-3
    cache = small.new_cache(16, 12)
    pieces = [small(piece, cache=cache) for piece in batch.inputs.split([4, 8], dim=1)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), masked(batch.inputs), rtol=0, atol=1e-12)


def test_in_single_precision_the_two_agree_to_a_hundred_thousandth(shape, keep, batch):
    model = GPT(shape, seed=1).eval()
    torch.testing.assert_close(
        remove_structures(model, keep)(batch.inputs), mask_structures(model, keep)(batch.inputs), rtol=0, atol=1e-5
    )


def test_it_is_physically_smaller_and_can_be_pruned_again(model, keep):
    small = remove_structures(model, keep)
    assert small.config.head_width == 4
    assert remove_structures(model, keep, dropout=0.5).config.dropout == 0.5
    assert small.blocks[0].attention.query_key_value.weight.shape == (3 * 2 * 4, 16)
    assert small.blocks[1].contract.weight.shape == (16, 22)
    again = remove_structures(small, select_structures(small, magnitude(small), layers=1, heads=1, channels=5))
    assert again.blocks[0].expand.weight.shape == (5, 16)


def test_it_shares_no_memory_with_the_model_that_it_came_from(model, keep):
    small = remove_structures(model, keep)
    with torch.no_grad():
        for parameter in small.parameters():
            parameter.zero_()
    assert all((parameter != 0).any() for parameter in model.parameters())


def test_it_is_saved_read_and_written_with_like_any_other(tmp_path, shape, keep):
    small = remove_structures(GPT(shape, seed=1), keep).eval()
    save_model(small, tmp_path / "small.safetensors")
    read = load_model(tmp_path / "small.safetensors")
    assert read.config == small.config
    start, chance = torch.zeros(2, 1, dtype=torch.long), torch.Generator().manual_seed(0)
    assert torch.equal(generate(read, start, 5, greedy=True), generate(small, start, 5, greedy=True))
    assert generate(read, start, 5, generator=chance).shape == (2, 6)


def test_a_choice_that_does_not_fit_is_refused(model, keep):
    with pytest.raises(ValueError, match=r"heads is 5; expected 1 … 4"):
        select_structures(model, magnitude(model), heads=5)
    with pytest.raises(ValueError, match="layers is 0"):
        select_structures(model, magnitude(model), layers=0)
    with pytest.raises(ValueError, match=r"layers \[0, 3\] are to stay; expected numbers from 0 to 2"):
        remove_structures(model, Structures((0, 3), keep.heads, keep.channels))
    with pytest.raises(ValueError, match=r"keep \[1, 2\] heads; expected one number"):
        remove_structures(model, Structures(keep.layers, ((0,), (0, 1)), keep.channels))
    with pytest.raises(ValueError, match="ascending"):
        mask_structures(model, Structures(keep.layers, ((1, 0), (0, 1)), keep.channels))
    with pytest.raises(ValueError, match="2 layers stay and 1 rows of heads"):
        remove_structures(model, Structures(keep.layers, keep.heads[:1], keep.channels))


def test_no_structure_is_ranked_by_what_is_no_number(model):
    scores = magnitude(model)
    with pytest.raises(ValueError, match="scores of layers hold NaN"):
        select_structures(model, scores, layers=2, layer_importance=torch.tensor([1.0, torch.nan, 2.0]))
    scores["blocks.1.expand.weight"][0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"scores of blocks\.1\.expand\.weight hold NaN"):
        select_structures(model, scores, heads=2)
