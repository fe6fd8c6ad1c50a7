"""A model on its grid: which weights are rounded, how far off it is, and its product in integers."""

import pytest
import torch

from kd_lab.compress.quantize import to_int8
from kd_lab.compress.quantize.model import matrices, round_to_nearest

TOKENS = torch.tensor([[0, 3, 1, 4, 2], [0, 1, 1, 2, 5]])


def test_every_matrix_is_rounded_and_the_norms_are_not(model):
    quantized = round_to_nearest(model, 4, group=8)
    restored = quantized.dequantize()
    for name, weight in model.named_parameters():
        same = torch.equal(weight, restored.get_parameter(name))
        assert same == (weight.ndim == 1), name
    assert set(quantized.matrices) == {name for name, _ in matrices(model)}
    assert not restored.training


def test_the_model_that_was_read_stays_as_it_is(model):
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    round_to_nearest(model, 2)
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())


def test_eight_bits_are_close_and_fewer_are_further(model):
    with torch.no_grad():
        exact = model(TOKENS)
        gaps = [
            (round_to_nearest(model, bits, 8).dequantize()(TOKENS) - exact).abs().max().item() for bits in (8, 4, 2)
        ]
    assert gaps[0] < 0.02 * exact.abs().max()
    assert gaps[0] < gaps[1] < gaps[2]


def test_bits_per_weight_counts_the_scales(model):
    assert round_to_nearest(model, 4, 8).bits_per_weight == 4 + 16 / 8
    assert round_to_nearest(model, 4, 8, symmetric=False).bits_per_weight == 4 + 20 / 8
    weights = sum(weight.numel() for _, weight in matrices(model))
    assert round_to_nearest(model, 3, "tensor").bits_per_weight == 3 + 16 * 10 / weights


@pytest.mark.parametrize("group", ["channel", "tensor"])
def test_integers_multiply_to_what_the_simulation_says(model, group):
    quantized = round_to_nearest(model, 8, group)
    with torch.no_grad():
        simulated, integers = quantized.dequantize()(TOKENS), to_int8(quantized)(TOKENS)
    assert not torch.equal(simulated, integers)  # the activations are rounded, too
    assert (simulated - integers).abs().max() < 0.05 * simulated.abs().max()


@pytest.mark.parametrize("arguments", [(8, 32), (4, "channel"), (8, "channel", False)])
def test_grids_that_no_integer_sum_can_use_are_refused(model, arguments):
    with pytest.raises(ValueError, match="expected 8 bits, symmetric"):
        to_int8(round_to_nearest(model, *arguments))
