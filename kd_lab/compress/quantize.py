"""A GPT in a few bits a weight: rounded, packed into a file, and back.

Every matrix is rounded: the four of each block, the position embedding, and the token embedding, also the head.
The norms' weights, a thousandth of the parameters, stay as they are.

What is stored is real: the file holds `bits` bits a weight, the scales, and a header of some 500 bytes. The arithmetic
of `restore()` is simulated: it multiplies restored weights in float32. `kd_lab.compress.integer` multiplies the codes.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from kd_lab.compress.packing import pack, packed_bytes, unpack
from kd_lab.compress.rounding import Group, Rounded, Scheme, round_to_nearest
from kd_lab.models import GPT, GPTConfig
from kd_lab.models.saved import checksum, read_tensors, write_file


@dataclass(frozen=True)
class Quantized:
    """A GPT whose matrices are codes."""

    config: GPTConfig
    scheme: Scheme
    matrices: Mapping[str, Rounded]  # by the name of the weight, in the model's order
    rest: Mapping[str, Tensor]  # the other weights, as they are

    @property
    def bits_per_weight(self) -> float:
        """Of the matrices, scales and zero points counted."""
        stored = sum(matrix.bits for matrix in self.matrices.values())
        return stored / sum(matrix.codes.numel() for matrix in self.matrices.values())

    def restore(self) -> GPT:
        """The model with its weights on the grid, in float32 and in eval mode."""
        model = GPT(self.config)
        weights = {name: matrix.restore() for name, matrix in self.matrices.items()}
        model.load_state_dict(weights | dict(self.rest))
        return model.eval()


def quantize(model: GPT, bits: int, group: Group = 32, symmetric: bool = True) -> Quantized:
    """Round every matrix of a model to the nearest point of its grid: no data, no training.

    Args:
        model: is read and stays as it is.
        bits: of one weight, 2 … 8.
        group: neighbouring inputs of one output that share a scale; "channel": one scale an output; "tensor": one for
            all. The last group of a row is shorter where the group does not divide it.
        symmetric: a grid around zero; else from the smallest weight to the largest, with a zero point a group.

    Raises:
        ValueError: a number is out of range, or a weight is not finite.

    >>> from kd_lab.models import load_teacher
    >>> quantize(load_teacher("surnames"), bits=4).bits_per_weight  # a scale of 16 bits for 32 weights
    4.5
    """
    scheme = Scheme(bits, group, symmetric)
    return as_quantized(model, scheme, {name: round_to_nearest(weight, scheme) for name, weight in matrices(model)})


def as_quantized(model: GPT, scheme: Scheme, rounded: Mapping[str, Rounded]) -> Quantized:
    """A model's matrices as they were rounded elsewhere, and its other weights as they are."""
    rest = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.ndim == 1}
    return Quantized(model.config, scheme, dict(rounded), rest)


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


def save_quantized(quantized: Quantized, path: str | Path) -> None:
    """Write a quantized model to one safetensors file, whole or not at all.

    Four tensors: the codes of all matrices as one stream of bits, all scales, all zero points as a stream (empty where
    the grids are symmetric), and all other weights. Where each one starts follows from the shape of the model.

    Raises:
        ValueError: the folder does not exist.
    """
    bits = quantized.scheme.bits
    parts = list(quantized.matrices.values())
    zeros = [part.zero.flatten() for part in parts if part.zero is not None]
    tensors = {
        "codes": pack(torch.cat([part.codes.flatten() for part in parts]), bits),
        "scales": torch.cat([part.scale.flatten() for part in parts]),
        "zeros": pack(torch.cat(zeros) if zeros else torch.empty(0, dtype=torch.uint8), bits),
        "rest": torch.cat([weight.flatten() for weight in quantized.rest.values()]),
    }
    about = {"config": asdict(quantized.config), "scheme": asdict(quantized.scheme), "sha256": checksum(tensors)}
    write_file(Path(path), save(tensors, metadata={key: json.dumps(value) for key, value in about.items()}))


def load_quantized(path: str | Path) -> Quantized:
    """Read a model that `save_quantized` wrote: the same codes, so bit for bit the same weights.

    Raises:
        ValueError: the file is missing, cut short, damaged, of another kind, or not of the shape that it names.
    """
    tensors, about = read_tensors(Path(path))
    try:
        config, scheme = GPTConfig(**about["config"]), Scheme(**about["scheme"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} names no shape of a quantized GPT ({error}); expected a file that save_quantized wrote"
        ) from error
    empty = GPT(config)
    shapes = {name: tuple(weight.shape) for name, weight in matrices(empty)}
    grids = {name: scheme.scale_shape(shape) for name, shape in shapes.items()}
    rest = {name: len(weight) for name, weight in empty.named_parameters() if weight.ndim == 1}
    weights, scales = sum(map(prod, shapes.values())), sum(map(prod, grids.values()))
    zeros = 0 if scheme.symmetric else scales
    _check_sizes(
        tensors,
        {
            "codes": (torch.uint8, packed_bytes(weights, scheme.bits)),
            "scales": (torch.float16, scales),
            "zeros": (torch.uint8, packed_bytes(zeros, scheme.bits)),
            "rest": (torch.float32, sum(rest.values())),
        },
        path,
    )
    codes = _cut(unpack(tensors["codes"], scheme.bits, weights), shapes)
    scale = _cut(tensors["scales"], grids)
    zero = dict.fromkeys(shapes) if scheme.symmetric else _cut(unpack(tensors["zeros"], scheme.bits, zeros), grids)
    rounded = {name: Rounded(codes[name], scale[name], zero[name], scheme) for name in shapes}
    return Quantized(config, scheme, rounded, _cut(tensors["rest"], {name: (size,) for name, size in rest.items()}))


def _check_sizes(
    tensors: Mapping[str, Tensor], expected: Mapping[str, tuple[torch.dtype, int]], path: str | Path
) -> None:
    for name in sorted({*tensors, *expected}):
        came = (tensors[name].dtype, tensors[name].numel()) if name in tensors else "none"
        if came != expected.get(name, "none"):
            raise ValueError(
                f"{str(path)!r} does not hold the model that it names: {name!r} is {_described(came)}; expected "
                f"{_described(expected.get(name, 'none'))}. Write it again with save_quantized"
            )


def _described(tensor: tuple[torch.dtype, int] | str) -> str:
    return "no tensor" if isinstance(tensor, str) else f"{tensor[1]:,} numbers of {tensor[0]}"


def _cut(stream: Tensor, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Pieces of a stream, one after the other, each in its shape."""
    pieces = stream.split([prod(shape) for shape in shapes.values()])
    return {name: piece.view(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)}
