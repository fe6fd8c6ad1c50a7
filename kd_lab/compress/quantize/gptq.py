"""GPTQ: round one column after another, and let the columns that are left compensate for the error.

Rounding to nearest minimises the error of each weight. The layer's output is what counts: the errors of many weights
add up there, and can be made to cancel on the inputs that really occur.

Source: Frantar et al. (2022), arXiv:2210.17323, section 3 and algorithm 1.
"""

from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.arguments import checked
from kd_lab.compress.quantize.activations import layer_inputs
from kd_lab.compress.quantize.model import QuantizedModel, as_quantized, matrix_layers
from kd_lab.compress.quantize.rounding import (
    Group,
    QuantizedMatrix,
    Scheme,
    round_matrix,
    scale_and_zero_point,
    to_codes,
)
from kd_lab.models import GPT
from kd_lab.worlds import Batch

BLOCK = 64
"""Columns whose errors reach those behind them in one product: the same result, with less memory moved."""

DAMPING = 0.01
"""A share of the mean square input is added to each: inputs that never occur, or always together, stay solvable."""


@checked
@torch.no_grad()
def gptq(model: GPT, batch: Batch, bits: int, group: Group = 32, symmetric: bool = True) -> QuantizedModel:
    """Round a model so that the outputs of its layers stay close, on the texts of a batch.

    The linear layers of the blocks go in the order of computation, each on the inputs that it gets from the rounded
    layers before it. Embeddings are rounded to nearest: their inputs are single tokens, and no other column could
    compensate.

    Args:
        model: is read and stays as it is.
        batch: some hundred texts to calibrate on; training texts, never held-out ones.
        bits, group, symmetric: as in `round_to_nearest`; the file is no larger.

    Raises:
        ValueError: a number is out of range, a weight is not finite, or the batch counts no position.
    """
    scheme, working, rounded = Scheme(bits, group, symmetric), deepcopy(model), {}
    for name, layer in matrix_layers(working):
        if isinstance(layer, nn.Embedding):
            matrix = round_matrix(layer.weight, scheme)
        else:
            matrix = gptq_matrix(layer.weight, layer_inputs(working, batch, [name])[name], scheme)
        layer.weight.copy_(matrix.dequantize())
        rounded[f"{name}.weight"] = matrix
    return as_quantized(model, scheme, rounded)


@checked
@torch.no_grad()
def gptq_matrix(weight: Float[Tensor, "O I"], inputs: Float[Tensor, "N _"], scheme: Scheme) -> QuantizedMatrix:
    """Codes for small ‖(W − Ŵ)Xᵀ‖, column after column.

    H = XᵀX/N + damping, U = the upper Cholesky factor of H⁻¹;  for column i:  e = (wᵢ − ŵᵢ) / Uᵢᵢ  and
    w_j ← w_j − e·Uᵢⱼ for all j > i. A group's grid is laid when its first column is reached, over the weights as they
    are by then.

    Args:
        weight: of a linear layer.
        inputs: of the layer, one row per position.
        scheme: bits, and the weights that share a grid.

    Raises:
        ValueError: there is no input, or the shapes do not fit.
    """
    if not len(inputs) or inputs.shape[1] != weight.shape[1]:
        raise ValueError(
            f"inputs have shape {tuple(inputs.shape)} and the weight {tuple(weight.shape)}; expected at least one row "
            f"of {weight.shape[1]} inputs: calibrate on texts with counted positions"
        )
    in_groups = isinstance(scheme.group, int)
    upper, width = _inverse_factor(inputs), scheme.group if in_groups else BLOCK
    left = weight.detach().double().T.contiguous()  # row i is column i of the weight
    codes, scales, zeros = torch.empty_like(left, dtype=torch.uint8), [], []
    for start in range(0, len(left), width):
        stop = min(start + width, len(left))
        if in_groups or start == 0:
            scale, zero = scale_and_zero_point(left[start : stop if in_groups else None].T.float(), _whole(scheme))
            scales.append(scale)
            zeros.append(zero)
        step, middle = scale[:, 0].double(), scheme.middle if zero is None else zero[:, 0].double()
        errors = torch.zeros_like(left[start:stop])
        for i in range(start, stop):
            codes[i] = to_codes(left[i], step, middle, scheme)
            error = (left[i] - step * (codes[i].double() - middle)) / upper[i, i]
            left[i + 1 : stop] -= torch.outer(upper[i, i + 1 : stop], error)
            errors[i - start] = error
        left[stop:] -= upper[start:stop, stop:].T @ errors
    zero = None if scheme.symmetric else torch.cat(zeros, 1)
    return QuantizedMatrix(codes.T.contiguous(), torch.cat(scales, 1), zero, scheme)


def _inverse_factor(inputs: Float[Tensor, "N I"]) -> Float[Tensor, "I I"]:
    """U with UᵀU = H⁻¹, in float64: the matrices are small, and their condition is not."""
    inputs = inputs.double()
    hessian = inputs.T @ inputs / len(inputs)
    hessian.diagonal().add_(DAMPING * hessian.diagonal().mean().clamp(min=1e-12))
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(hessian)), upper=True)


def _whole(scheme: Scheme) -> Scheme:
    """The same grid over all columns that are passed: the group is cut out already."""
    return Scheme(scheme.bits, "tensor" if scheme.group == "tensor" else "channel", scheme.symmetric)
