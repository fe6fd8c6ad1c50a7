"""A GPT with a few bits per weight: every matrix rounded to the nearest point of its grid.

Rounded are the four matrices of each block, the position embedding, and the token embedding, which is also the head.
The norms' weights, a thousandth of the parameters, stay as they are.

`dequantize()` simulates the arithmetic: it multiplies the restored weights in float32. `to_int8` multiplies the codes,
and `save_quantized` writes a file of the size that the bits say.
"""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kd_lab.arguments import checked
from kd_lab.compress.quantize.rounding import Group, QuantizedMatrix, Scheme, round_matrix
from kd_lab.models import GPT, GPTConfig


@checked
@dataclass(frozen=True)
class QuantizedModel:
    """A GPT whose matrices are codes."""

    config: GPTConfig
    scheme: Scheme
    matrices: Mapping[str, QuantizedMatrix]  # by the name of the weight, in the model's order
    rest: Mapping[str, Tensor]  # the other weights, as they are

    @property
    def bits_per_weight(self) -> float:
        """Bits stored per weight of the matrices, scales and zero points counted."""
        stored = sum(matrix.stored_bits for matrix in self.matrices.values())
        return stored / sum(matrix.codes.numel() for matrix in self.matrices.values())

    def dequantize(self) -> GPT:
        """The model with its weights on the grid, in float32 and in eval mode."""
        model = GPT(self.config)
        weights = {name: matrix.dequantize() for name, matrix in self.matrices.items()}
        model.load_state_dict(weights | dict(self.rest))
        return model.eval()


@checked
def round_to_nearest(model: GPT, bits: int, group: Group = 32, symmetric: bool = True) -> QuantizedModel:
    """Round every matrix of a model to the nearest point of its grid: no data, no training.

    Args:
        model: is read and stays as it is.
        bits: of one weight, 2 … 8.
        group: neighbouring inputs of one output that share a scale; "channel": one scale per output; "tensor": one for
            all. The last group of a row is shorter where the group does not divide it.
        symmetric: a grid around zero; else from the smallest weight to the largest, with a zero point per group.

    Raises:
        ValueError: a number is out of range, or a weight is not finite.

    >>> from kd_lab.models import load_teacher
    >>> round_to_nearest(load_teacher("surnames"), bits=4).bits_per_weight  # a scale of 16 bits for 32 weights
    4.5
    """
    scheme = Scheme(bits, group, symmetric)
    return as_quantized(model, scheme, {name: round_matrix(weight, scheme) for name, weight in matrices(model)})


def as_quantized(model: GPT, scheme: Scheme, rounded: Mapping[str, QuantizedMatrix]) -> QuantizedModel:
    """A model's matrices as another method rounded them, and its other weights as they are."""
    rest = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.ndim == 1}
    return QuantizedModel(model.config, scheme, dict(rounded), rest)


def matrices(model: GPT) -> Iterator[tuple[str, Tensor]]:
    """Every weight with two axes under its name, in the model's order.

    >>> [name for name, _ in matrices(GPT(GPTConfig(vocab_size=3, context=4, layers=1, heads=1, width=8)))][:3]
    ['tokens.weight', 'positions.weight', 'blocks.0.attention.query_key_value.weight']
    """
    for name, layer in matrix_layers(model):
        yield f"{name}.weight", layer.weight


def matrix_layers(model: GPT) -> Iterator[tuple[str, nn.Module]]:
    """The modules that hold one matrix each: linear layers and embeddings."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            yield name, module


@checked
class Int8Linear(nn.Module):
    """x ↦ x Ŵᵀ in integers, for a matrix of 8-bit codes with one scale per output or one for all.

    The product is that of torch's dynamic kernels for x86 (FBGEMM) and ARM (QNNPACK). The weights' codes go in as they
    are; activations are rounded when they arrive, with one scale per call. On a processor without VNNI instructions
    torch keeps them to seven bits: a sum of two products then fits sixteen bits.

    Of what torch 2.13 offers on a CPU without VNNI or AMX, this is the one path that was faster than float32: `_int_mm`
    and the packed INT4 product fall back to a plain loop there. Torch has announced that the type of these weights will
    go; where it is gone, `to_int8` says so.
    """

    def __init__(self, matrix: QuantizedMatrix) -> None:
        super().__init__()
        outputs = len(matrix.codes)
        codes = (matrix.codes.to(torch.int16) - matrix.scheme.middle).to(torch.int8)
        scale = matrix.scale.double().flatten().expand(outputs)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*quantized tensor creation.*", category=UserWarning)
            tensor = torch._make_per_channel_quantized_tensor(
                codes, scale, torch.zeros(outputs, dtype=torch.long), axis=0
            )
        self.packed = torch.ops.quantized.linear_prepack(tensor, None)

    def forward(self, x: Tensor) -> Tensor:
        return torch.ops.quantized.linear_dynamic(x, self.packed, reduce_range=True)


@checked
def to_int8(quantized: QuantizedModel) -> GPT:
    """A model whose blocks multiply in INT8; embeddings, attention scores and the head stay in float32.

    Raises:
        ValueError: the model is not in 8 bits, symmetric, per channel or per tensor, or this torch has no kernel.
    """
    scheme = quantized.scheme
    if scheme.bits != 8 or not scheme.symmetric or isinstance(scheme.group, int):
        raise ValueError(
            f"the model is rounded by {scheme}; expected 8 bits, symmetric, 'channel' or 'tensor': a scale that "
            "changes along the inputs cannot be taken out of an integer sum"
        )
    if not hasattr(torch, "_make_per_channel_quantized_tensor") or torch.backends.quantized.engine == "none":
        raise ValueError(f"torch {torch.__version__} has no INT8 kernel here; quantized.dequantize() simulates")
    model = quantized.dequantize()
    for number, block in enumerate(model.blocks):
        name = f"blocks.{number}"
        block.attention.query_key_value = Int8Linear(quantized.matrices[f"{name}.attention.query_key_value.weight"])
        block.attention.project = Int8Linear(quantized.matrices[f"{name}.attention.project.weight"])
        block.expand = Int8Linear(quantized.matrices[f"{name}.expand.weight"])
        block.contract = Int8Linear(quantized.matrices[f"{name}.contract.weight"])
    return model
