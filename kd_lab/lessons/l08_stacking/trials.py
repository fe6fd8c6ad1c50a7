"""Measurements of lesson 08 that are made again for each channel, each sample of names or each run of a training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.compress import prune, quantize
from kd_lab.measure import bits_per_character
from kd_lab.models import GPT
from kd_lab.worlds import Batch


def shuffled(batch: Batch, seed: int) -> Batch:
    """The texts of a batch in an order drawn with a seed: lists of names are sorted by frequency, samples are not."""
    return batch[torch.randperm(len(batch), generator=torch.Generator().manual_seed(seed))]


# ---- rounding with compensation --------------------------------------------------------------------------------------


def output_errors(
    model: GPT, seen: Batch, unseen: Batch, bits: int, layers: Sequence[str]
) -> dict[str, Float[np.ndarray, " layers"]]:
    """The relative error of each layer's output on unseen texts, its weights rounded to nearest or by GPTQ.

    Args:
        model: whose layers are rounded, in groups of 32.
        seen: texts that GPTQ reads.
        unseen: texts on which the error is measured.
        bits: per weight.
        layers: names of linear layers.
    """
    known, new = (quantize.layer_inputs(model, texts, list(layers)) for texts in (seen, unseen))
    scheme = quantize.Scheme(bits, 32)
    errors: dict[str, list[float]] = {"nearest": [], "GPTQ": []}
    for layer in layers:
        exact = model.get_submodule(layer).weight.detach()
        rounded = {
            "nearest": quantize.round_matrix(exact, scheme),
            "GPTQ": quantize.gptq_matrix(exact, known[layer], scheme),
        }
        for method, matrix in rounded.items():
            off = (new[layer] @ (matrix.dequantize() - exact).T).norm() / (new[layer] @ exact.T).norm()
            errors[method].append(off.item())
    return {method: np.array(values) for method, values in errors.items()}


# ---- one loud channel ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loud:
    """One channel made loud in a model whose function has not changed."""

    lost: dict[str, float]  # case → bits per character lost in 8 bits; the cases of `figures.CASES`
    drift: float  # largest change of a logit in full precision, relative to the largest logit
    found: list[int]  # channels that stand out in the calibration
    reaches: dict[str, Float[Tensor, " C"]]  # "as it came" and "smoothed" → largest |x| of each channel of one layer


def one_loud_channel(model: GPT, channel: int, calibration: Batch, names: Batch, layer: str) -> Loud:
    """Weights and activations in 8 bits where one channel is 30 or 300 times as loud, without and with a remedy.

    Args:
        model: made loud without changing its function.
        channel: of every norm's output.
        calibration: texts from which the ranges of the activations are read.
        names: unseen texts on which the loss is measured.
        layer: whose inputs `reaches` describes.
    """
    exact = bits_per_character(model, names)

    def lost(changed: GPT, ranges: Mapping[str, Tensor]) -> float:
        rounded = quantize.round_to_nearest(changed, 8, "channel").dequantize()
        return bits_per_character(quantize.quantize_activations(rounded, ranges), names) - exact

    moderate, loud = (quantize.inject_outlier(model, channel, factor) for factor in (30, 300))
    by_channel = quantize.calibrate(loud, calibration, per="channel")
    smoothed = quantize.smoothquant(loud, by_channel)
    return Loud(
        lost={
            "30 ×, one scale": lost(moderate, quantize.calibrate(moderate, calibration)),
            "300 ×, one scale": lost(loud, quantize.calibrate(loud, calibration)),
            "300 ×, clipped at 99 %": lost(loud, quantize.calibrate(loud, calibration, percentile=99.0)),
            "300 ×, scale per channel": lost(loud, by_channel),
            "300 ×, SmoothQuant": lost(smoothed, quantize.calibrate(smoothed, calibration)),
        },
        drift=max(drift(model, changed, names) for changed in (loud, smoothed)),
        found=sorted({one for channels in quantize.outlier_channels(by_channel).values() for one in channels}),
        reaches={
            "as it came": by_channel[layer],
            "smoothed": quantize.calibrate(smoothed, calibration, per="channel")[layer],
        },
    )


@torch.no_grad()
def drift(model: nn.Module, changed: nn.Module, batch: Batch) -> float:
    """The largest change of a logit, relative to the largest logit."""
    logits = model(batch.inputs)
    return ((changed(batch.inputs) - logits).abs().max() / logits.abs().max()).item()


# ---- zeros -----------------------------------------------------------------------------------------------------------

SCORES: dict[str, Callable[[GPT, Batch], dict[str, Tensor]]] = {
    "magnitude": lambda model, texts: prune.magnitude(model),
    "Wanda": prune.wanda,
    "Taylor": prune.taylor,
}
"""The criteria by name: model, calibration texts → a score for each weight."""


def quality_of_zeros(
    model: GPT, scores: Mapping[str, Tensor], shares: Sequence[float], scope: str, names: Batch
) -> list[float]:
    """Bits per character at each share of zeros, the lowest scores of a scope set to zero."""
    masks = [prune.unstructured_masks(scores, share, scope) for share in shares]
    return [bits_per_character(prune.apply_masks(model, mask), names) for mask in masks]


def spread_of_criteria(model: GPT, calibration: Batch, names: Batch, share: float = 0.8) -> dict[str, float]:
    """Bits per character between the best and the worst criterion, for each scope: "row" and "global"."""
    scores = [score(model, calibration) for score in SCORES.values()]
    return {
        scope: float(np.ptp([quality_of_zeros(model, one, [share], scope, names)[0] for one in scores]))
        for scope in ("row", "global")
    }


# ---- time ------------------------------------------------------------------------------------------------------------


def faster(seconds: Mapping[str, np.ndarray], name: str, base: str = "as it is", parts: int = 5) -> float:
    """Speed relative to the base: the fastest of each in a stretch of the rounds, the median of the stretches.

    >>> rounds = np.array([2.0, 4.0, 2.0, 9.0, 2.0])
    >>> faster({"as it is": rounds, "halved": rounds / 2}, "halved")
    2.0
    """
    best = {key: values.reshape(parts, -1).min(1) for key, values in seconds.items()}
    return float(np.median(best[base] / best[name]))
