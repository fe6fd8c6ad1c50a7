"""Quantization: weights and activations in 2 to 8 bits, after training or through it.

`round_to_nearest` and `gptq` quantize a trained model. `prepare_qat` and `convert_qat` stand before and behind
quantization-aware training. `smoothquant`, `calibrate` and `quantize_activations` treat the inputs of the layers.
"""

from kd_lab.compress.quantize.activations import (
    calibrate,
    inject_outlier,
    layer_inputs,
    outlier_channels,
    quantize_activations,
    smoothquant,
)
from kd_lab.compress.quantize.gptq import gptq, gptq_matrix
from kd_lab.compress.quantize.model import Int8Linear, QuantizedModel, round_to_nearest, to_int8
from kd_lab.compress.quantize.qat import convert_qat, prepare_qat, straight_through
from kd_lab.compress.quantize.rounding import QuantizedMatrix, Scheme, round_matrix
from kd_lab.compress.quantize.storage import load_quantized, save_quantized

__all__ = [
    "Int8Linear",
    "QuantizedMatrix",
    "QuantizedModel",
    "Scheme",
    "calibrate",
    "convert_qat",
    "gptq",
    "gptq_matrix",
    "inject_outlier",
    "layer_inputs",
    "load_quantized",
    "outlier_channels",
    "prepare_qat",
    "quantize_activations",
    "round_matrix",
    "round_to_nearest",
    "save_quantized",
    "smoothquant",
    "straight_through",
    "to_int8",
]
