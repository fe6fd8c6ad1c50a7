import pytest
import torch

from kd_lab.compress.quantize import Scheme, gptq, gptq_matrix, round_matrix, round_to_nearest
from kd_lab.compress.quantize.gptq import DAMPING
from kd_lab.models import GPT, GPTConfig
from kd_lab.worlds import Batch


def layer(outputs=24, inputs=40, rows=300, seed=0):
    """A weight, and inputs whose channels lean on one another, as those of a model do."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(inputs, inputs, generator=generator) / inputs**0.5 + torch.eye(inputs)
    weight = torch.randn(outputs, inputs, generator=generator)
    return weight, torch.randn(rows, inputs, generator=generator) @ mixing


def error(rounded, weight, inputs):
    return (inputs @ (rounded.dequantize() - weight).T).square().mean().item()


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("group", [8, 16, 27, "channel", "tensor"])
@pytest.mark.parametrize("bits", [2, 3, 4])
def test_the_layers_output_is_closer_than_with_nearest_points_at_the_same_size(bits, group, symmetric):
    weight, inputs = layer()
    scheme = Scheme(bits, group, symmetric)
    nearest, better = round_matrix(weight, scheme), gptq_matrix(weight, inputs, scheme)
    assert error(better, weight, inputs) < 0.9 * error(nearest, weight, inputs)
    assert better.stored_bits == nearest.stored_bits


def test_columns_follow_the_textbook_recursion():
    """One column after the other with the inverse Hessian itself, from which each settled column is eliminated."""
    weight, inputs = layer(outputs=5, inputs=12)
    scheme = Scheme(3, "channel")
    hessian = inputs.double().T @ inputs.double() / len(inputs)
    hessian += DAMPING * hessian.diagonal().mean() * torch.eye(12)
    left, scale = weight.double().clone(), weight.abs().amax(1, keepdim=True).div(3).half().double()
    inverse = hessian.inverse()
    settled = torch.empty_like(left)
    for i in range(12):
        settled[:, i] = scale[:, 0] * (left[:, i] / scale[:, 0]).round().clamp(-3, 3)
        left -= torch.outer((left[:, i] - settled[:, i]) / inverse[i, i], inverse[i])
        inverse = inverse - torch.outer(inverse[:, i], inverse[i]) / inverse[i, i]
    torch.testing.assert_close(gptq_matrix(weight, inputs, scheme).dequantize(), settled.float())


def test_inputs_that_know_nothing_of_one_another_leave_nothing_to_make_up_for():
    weight, _ = layer(inputs=16)
    inputs = torch.eye(16).repeat(4, 1)
    scheme = Scheme(3, 8)
    assert torch.equal(gptq_matrix(weight, inputs, scheme).codes, round_matrix(weight, scheme).codes)


def test_a_silent_input_and_fewer_rows_than_inputs_are_no_obstacle():
    weight, inputs = layer(rows=7)
    inputs[:, 3] = 0.0
    assert gptq_matrix(weight, inputs, Scheme(3, 8)).dequantize().isfinite().all()


def test_a_model_keeps_its_embeddings_rounded_to_nearest_and_its_logits_come_closer():
    model = GPT(GPTConfig(vocab_size=7, context=6, layers=2, heads=2, width=24), seed=3).eval()
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, 7, (64, 7), generator=generator)
    tokens[:, 0] = 0
    batch = Batch.from_tokens(tokens, end=0)
    nearest, better = round_to_nearest(model, 3, 8), gptq(model, batch, 3, 8)
    for name in ("tokens.weight", "positions.weight"):
        assert torch.equal(nearest.matrices[name].codes, better.matrices[name].codes)
    gaps = []
    for quantized in (nearest, better):
        restored = quantized.dequantize()
        for name in ("tokens", "positions"):  # rounded alike, and far coarser here than what is compared
            restored.get_submodule(name).load_state_dict(model.get_submodule(name).state_dict())
        with torch.no_grad():
            gaps.append((restored(batch.inputs) - model(batch.inputs)).square().mean())
    assert gaps[1] < 0.9 * gaps[0]
    assert better.bits_per_weight == nearest.bits_per_weight


def test_inputs_of_another_width_or_none_are_refused():
    weight, inputs = layer()
    for wrong in (inputs[:, :-1], inputs[:0]):
        with pytest.raises(ValueError, match="expected at least one row of 40 inputs"):
            gptq_matrix(weight, wrong, Scheme(3))
