import pytest
import torch

from kd_lab.compress.quantize import (
    calibrate,
    inject_outlier,
    layer_inputs,
    outlier_channels,
    quantize_activations,
    smoothquant,
)
from kd_lab.models import GPT, GPTConfig
from kd_lab.worlds import Batch

TOKENS = torch.tensor([[0, 3, 1, 4, 2, 0], [0, 1, 1, 2, 0, 0], [0, 5, 0, 0, 0, 0]])
BATCH = Batch.from_tokens(TOKENS, end=0)


@pytest.fixture
def model():
    return GPT(GPTConfig(vocab_size=7, context=6, layers=2, heads=2, width=24), seed=3).eval()


@torch.no_grad()
def logits(model):
    return model(BATCH.inputs)


def test_inputs_are_those_of_the_counted_positions(model):
    seen = layer_inputs(model, BATCH)
    assert len(seen) == 8
    x = model.tokens(BATCH.inputs) + model.positions.weight[: BATCH.inputs.shape[1]]
    expected = model.blocks[0].attention_norm(x)[BATCH.mask]
    torch.testing.assert_close(seen["blocks.0.attention.query_key_value"], expected)


def test_ranges_are_the_largest_sizes_and_percentiles_leave_some_out(model):
    seen = layer_inputs(model, BATCH)["blocks.1.contract"]
    assert calibrate(model, BATCH)["blocks.1.contract"] == seen.abs().max()
    torch.testing.assert_close(calibrate(model, BATCH, per="channel")["blocks.1.contract"], seen.abs().amax(0))
    median = calibrate(model, BATCH, percentile=50.0)["blocks.1.expand"]
    rows = layer_inputs(model, BATCH)["blocks.1.expand"].abs()
    assert (rows <= median).float().mean() == pytest.approx(0.5, abs=0.01)


def test_padding_does_not_set_a_range(model):
    changed = TOKENS.clone()
    wider = Batch.from_tokens(torch.cat([changed, torch.zeros(3, 1, dtype=torch.long)], 1), end=0)
    for name, reach in calibrate(model, BATCH).items():
        torch.testing.assert_close(calibrate(model, wider)[name], reach)


@pytest.mark.parametrize("percentile", [0, -1, 101])
def test_impossible_percentiles_are_refused(model, percentile):
    with pytest.raises(ValueError, match="percentile is"):
        calibrate(model, BATCH, percentile=float(percentile))


def test_an_injected_channel_is_loud_found_and_changes_nothing(model):
    loud = inject_outlier(model, channel=5, factor=100.0)
    torch.testing.assert_close(logits(loud), logits(model), rtol=1e-5, atol=1e-5)
    assert outlier_channels(calibrate(model, BATCH, per="channel")) == {}
    found = outlier_channels(calibrate(loud, BATCH, per="channel"))
    assert found == {
        f"blocks.{layer}.{name}": [5] for layer in range(2) for name in ("attention.query_key_value", "expand")
    }


def test_smoothing_changes_nothing_but_the_ranges(model):
    loud = inject_outlier(model, channel=5, factor=100.0)
    ranges = calibrate(loud, BATCH, per="channel")
    smoothed = smoothquant(loud, ranges)
    torch.testing.assert_close(logits(smoothed), logits(loud), rtol=1e-5, atol=1e-5)
    assert outlier_channels(calibrate(smoothed, BATCH, per="channel")) == {}


def test_smoothing_balances_activations_and_weights(model):
    ranges = calibrate(model, BATCH, per="channel")
    name, layer = "blocks.0.expand", lambda model: model.blocks[0].expand.weight.abs().amax(0)
    half = smoothquant(model, ranges, alpha=0.5)
    after = calibrate(half, BATCH, per="channel")[name]
    torch.testing.assert_close(after, layer(half))  # α = ½ makes both equally large: √(max|X| · max|W|)
    torch.testing.assert_close(after, (ranges[name] * layer(model)).sqrt())
    whole = calibrate(smoothquant(model, ranges, alpha=1.0), BATCH, per="channel")[name]
    torch.testing.assert_close(whole, torch.ones_like(whole))
    torch.testing.assert_close(layer(smoothquant(model, ranges, 0.0)), torch.ones_like(whole))


def test_a_dead_channel_is_left_alone(model):
    with torch.no_grad():
        model.blocks[0].perceptron_norm.weight[3] = 0.0
        model.blocks[1].expand.weight[:, 4] = 0.0
    smoothed = smoothquant(model, calibrate(model, BATCH, per="channel"))
    assert all(weight.isfinite().all() for weight in smoothed.parameters())
    torch.testing.assert_close(logits(smoothed), logits(model), rtol=1e-5, atol=1e-5)


def test_rounded_activations_are_what_a_plain_loop_says(model):
    ranges = {"blocks.0.expand": torch.tensor(2.0)}
    rounded = quantize_activations(model, ranges, bits=3)
    seen = []
    rounded.blocks[0].expand.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    logits(rounded)
    steps = seen[0] / (2.0 / 3)
    torch.testing.assert_close(steps, steps.round())
    assert steps.abs().max() <= 3.001
    assert len(layer_inputs(model, BATCH)["blocks.0.expand"]) == int(BATCH.mask.sum())  # the original has no hook left


def test_one_loud_channel_spoils_a_shared_step_and_both_remedies_undo_it(model):
    def gap(changed, reference):
        return (logits(changed) - logits(reference)).abs().mean().item()

    clean = gap(quantize_activations(model, calibrate(model, BATCH)), model)
    loud = inject_outlier(model, channel=5, factor=100.0)
    spoiled = gap(quantize_activations(loud, calibrate(loud, BATCH)), loud)
    ranges = calibrate(loud, BATCH, per="channel")
    per_channel = gap(quantize_activations(loud, ranges), loud)
    smoothed = smoothquant(loud, ranges)
    migrated = gap(quantize_activations(smoothed, calibrate(smoothed, BATCH)), loud)
    assert spoiled > 10 * clean
    assert per_channel < 2 * clean
    assert migrated < 2 * clean


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: inject_outlier(m, 24, 10.0), "channel is 24; expected 0 … 23"),
        (lambda m: inject_outlier(m, 2, 0.0), "factor is 0"),
        (lambda m: smoothquant(m, calibrate(m, BATCH)), "expected calibrate"),
        (lambda m: smoothquant(m, {}), "came none"),
        (lambda m: smoothquant(m, calibrate(m, BATCH, per="channel"), 1.5), "alpha is 1.5"),
        (lambda m: outlier_channels(calibrate(m, BATCH)), "one range for all channels"),
        (lambda m: quantize_activations(m, calibrate(m, BATCH), bits=9), "bits is 9"),
        (
            lambda m: quantize_activations(m, {"blocks.7.expand": torch.tensor(1.0)}),
            "no linear layer 'blocks.7.expand'",
        ),
    ],
)
def test_what_cannot_be_is_refused(model, call, message):
    with pytest.raises(ValueError, match=message):
        call(model)
