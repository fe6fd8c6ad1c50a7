"""Activations in eight bits: ranges calibrated on real text, outlier channels, and SmoothQuant.

Weights are known before anything runs; activations are not. Their range is calibrated: some texts are read, and the
largest values are kept. An integer product needs one range for all channels: a scale that differs from input to input
stands inside the sum over inputs and cannot be taken out of it. So one loud channel sets the step of all channels.
SmoothQuant divides that channel down in the norm before it, and multiplies the weights that read it.

The inputs of the blocks' linear layers are rounded here. The rounding is simulated: values on the grid are multiplied
in float32.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.arguments import checked
from kd_lab.models import GPT, device_of, evaluating
from kd_lab.worlds import Batch

Ranges = Mapping[str, Float[Tensor, " *I"]]
"""The largest |x| to represent at the input of a layer, by the layer's name: one number, or one per channel."""


@checked
@torch.no_grad()
def layer_inputs(model: GPT, batch: Batch, names: list[str] | None = None) -> dict[str, Float[Tensor, "N I"]]:
    """The inputs of the blocks' linear layers at the counted positions of a batch, one row per position.

    >>> from kd_lab.models import load_teacher
    >>> from kd_lab.worlds import surnames
    >>> seen = layer_inputs(load_teacher("surnames"), surnames().train[:2], names=["blocks.0.expand"])
    >>> seen["blocks.0.expand"].shape[1]
    128
    """
    seen, handles, batch = {}, [], batch.to(device_of(model))
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear) and (names is None or name in names):
            handles.append(layer.register_forward_pre_hook(_note(seen, name, batch)))
    try:
        with evaluating(model):
            model(batch.inputs)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _note(seen: dict[str, Tensor], name: str, batch: Batch):
    def hook(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        seen[name] = inputs[0][batch.mask]

    return hook


@checked
def calibrate(
    model: GPT, batch: Batch, *, percentile: float = 100.0, per: Literal["tensor", "channel"] = "tensor"
) -> dict[str, Tensor]:
    """The range of every layer's inputs on some texts.

    Args:
        model: is read and stays as it is.
        batch: texts like those to come.
        percentile: 100 takes the largest |x|; less leaves out the share 1 − percentile/100 of the largest, which will
            be clipped.
        per: one range per layer, or one per input channel.

    Returns:
        The range by the layer's name: `[]`, or `[I]` per channel.

    Raises:
        ValueError: a percentile outside (0, 100], or no position counts.
    """
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile is {percentile}; expected more than 0 and at most 100, where 100 clips nothing")
    batch.counted()  # refuses a batch of which nothing counts
    ranges = {}
    for name, rows in layer_inputs(model, batch).items():
        sizes = rows.abs() if per == "channel" else rows.abs().reshape(-1, 1)
        rank = max(1, round(percentile / 100 * len(sizes)))  # torch.quantile refuses more than 16 million values
        ranges[name] = sizes.kthvalue(rank, dim=0).values.reshape(rows.shape[1:] if per == "channel" else ())
    return ranges


@checked
def outlier_channels(ranges: Ranges, times: float = 20.0) -> dict[str, list[int]]:
    """The channels whose range is more than `times` that of the layer's median channel; layers without are left out.

    >>> outlier_channels({"a": torch.tensor([1.0, 2.0, 90.0]), "b": torch.tensor([1.0, 2.0, 3.0])})
    {'a': [2]}

    Raises:
        ValueError: the ranges are not per channel.
    """
    found = {}
    for name, peaks in ranges.items():
        if peaks.ndim != 1:
            raise ValueError(f"{name} has one range for all channels; expected calibrate(..., per='channel')")
        found[name] = (peaks > times * peaks.median()).nonzero()[:, 0].tolist()
    return {name: channels for name, channels in found.items() if channels}


@checked
@torch.no_grad()
def inject_outlier(model: GPT, channel: int, factor: float) -> GPT:
    """A copy that computes the same, with one channel `factor` times as loud behind every norm of the blocks.

    The norm's weight is multiplied, and the column of the layer that reads it is divided. Large language models grow
    such channels in training.

    Raises:
        ValueError: there is no such channel, or the factor is not above zero.
    """
    if not 0 <= channel < model.config.width:
        raise ValueError(f"channel is {channel}; expected 0 … {model.config.width - 1}")
    if not 0 < factor < float("inf"):
        raise ValueError(f"factor is {factor}; expected a finite number above 0")
    changed = deepcopy(model)
    for _, norm, reader in norm_pairs(changed):
        norm.weight[channel] *= factor
        reader.weight[:, channel] /= factor
    return changed


@checked
@torch.no_grad()
def smoothquant(model: GPT, ranges: Ranges, alpha: float = 0.5) -> GPT:
    """A copy that computes the same, with the difficulty moved from loud channels into the weights that read them.

    s_j = max|X_j|^α / max|W_j|^(1−α);  the norm's weight is divided by s, column j of the next layer multiplied by s_j.

    Args:
        model: is read and stays as it is.
        ranges: per channel, from `calibrate(..., per="channel")`.
        alpha: the migration strength α in [0, 1]; 1 makes all channels equally loud, 0 all columns equally large.

    Raises:
        ValueError: alpha out of range, or no range per channel for a layer behind a norm.

    Source: Xiao et al. (2022), arXiv:2211.10438, equation 4.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha is {alpha}; expected 0 … 1")
    changed = deepcopy(model)
    for name, norm, reader in norm_pairs(changed):
        peaks = ranges.get(name)
        if peaks is None or peaks.shape != norm.weight.shape:
            came = "none" if peaks is None else f"a range of shape {tuple(peaks.shape)}"
            raise ValueError(f"for {name} came {came}; expected calibrate(model, batch, per='channel') of this model")
        columns = reader.weight.abs().amax(0)
        quiet = (peaks == 0) | (columns == 0)  # a dead channel, or one that is not read: nothing to balance
        factor = (peaks**alpha / columns ** (1 - alpha)).where(~quiet, 1.0)
        norm.weight /= factor
        reader.weight *= factor
    return changed


def norm_pairs(model: GPT) -> Iterator[tuple[str, nn.LayerNorm, nn.Linear]]:
    """Each norm of the blocks with the linear layer that alone reads it, under that layer's name."""
    for number, block in enumerate(model.blocks):
        yield f"blocks.{number}.attention.query_key_value", block.attention_norm, block.attention.query_key_value
        yield f"blocks.{number}.expand", block.perceptron_norm, block.expand


@checked
def quantize_activations(model: GPT, ranges: Ranges, bits: int = 8) -> GPT:
    """A copy whose linear layers read rounded inputs: x̂ = s·clip(round(x/s)) with s = range / (2^(bits−1) − 1).

    Args:
        model: is read and stays as it is.
        ranges: of every layer to round; other layers keep their inputs.
        bits: 2 … 8.

    Raises:
        ValueError: bits out of range, or a range for a layer that the model does not have.
    """
    if not 2 <= bits <= 8:
        raise ValueError(f"bits is {bits}; expected 2 … 8")
    changed, steps = deepcopy(model), 2 ** (bits - 1) - 1
    layers = dict(changed.named_modules())
    for name, reach in ranges.items():
        if not isinstance(layers.get(name), nn.Linear):
            raise ValueError(f"the model has no linear layer {name!r}; expected the ranges of this model")
        layers[name].register_forward_pre_hook(_round((reach / steps).clamp(min=1e-12), steps))
    return changed


def _round(scale: Tensor, steps: int):
    def hook(layer: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return ((inputs[0] / scale).round().clamp(-steps, steps) * scale,)

    return hook
