"""A GPT with a few bits per weight: every matrix rounded to the nearest point of its grid.

Rounded are the four matrices of each block, the position embedding, and the token embedding, which is also the head.
The norms' weights, a thousandth of the parameters, stay as they are.

`dequantize()` simulates the arithmetic: it multiplies the restored weights in float32. `to_int8` multiplies the codes,
and `save_quantized` writes a file of the size that the bits say.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from kd_lab.compress.quantize.rounding import Group, QuantizedMatrix, Scheme, round_matrix
from kd_lab.models import GPT, GPTConfig


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
