import pytest
import torch

from kd_lab.compress.quantize import round_to_nearest, to_int8

TOKENS = torch.tensor([[0, 3, 1, 4, 2], [0, 1, 1, 2, 5]])


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
