"""The model itself gets smaller: fewer bits a weight, fewer weights, and what a smaller model costs."""

from kd_lab.compress.activations import (
    calibrate,
    inject_outlier,
    layer_inputs,
    outlier_channels,
    round_activations,
    smooth,
)
from kd_lab.compress.gptq import compensated, gptq
from kd_lab.compress.integer import integer
from kd_lab.compress.quantize import Quantized, load_quantized, matrices, quantize, save_quantized
from kd_lab.compress.rounding import Rounded, Scheme, round_to_nearest
from kd_lab.compress.training import rounding, settled, straight_through

__all__ = [
    "Quantized",
    "Rounded",
    "Scheme",
    "calibrate",
    "compensated",
    "gptq",
    "inject_outlier",
    "integer",
    "layer_inputs",
    "load_quantized",
    "matrices",
    "outlier_channels",
    "quantize",
    "round_activations",
    "round_to_nearest",
    "rounding",
    "save_quantized",
    "settled",
    "smooth",
    "straight_through",
]
