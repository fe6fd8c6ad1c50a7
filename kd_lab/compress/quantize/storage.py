"""Quantized models on disk: codes of a few bits side by side without a gap, scales, and a header of some 500 bytes.

Two codes of 4 bits take one byte, eight codes of 3 bits take three.
"""

from collections.abc import Mapping
from dataclasses import asdict
from math import prod
from pathlib import Path

import torch
from jaxtyping import UInt8
from safetensors.torch import save
from torch import Tensor

from kd_lab.arguments import checked
from kd_lab.compress.quantize.model import QuantizedModel, matrices
from kd_lab.compress.quantize.rounding import QuantizedMatrix, Scheme
from kd_lab.models import GPT, GPTConfig
from kd_lab.models.files import MODEL, write_file
from kd_lab.models.saved import read_tensors, sealed


def pack(codes: UInt8[Tensor, " N"], bits: int) -> UInt8[Tensor, " M"]:
    """A stream of bits, the lowest bit of the first code first; zeros fill up the last byte.

    Args:
        codes: each in 0 … 2^bits − 1.
        bits: of one code, 1 … 8.

    Returns:
        ⌈N · bits / 8⌉ bytes.

    Raises:
        ValueError: a code needs more bits.

    >>> pack(torch.tensor([1, 15, 2], dtype=torch.uint8), bits=4)  # 1 + 16 · 15, then 2
    tensor([241,   2], dtype=torch.uint8)
    """
    if codes.numel() and int(codes.max()) >= 2**bits:
        raise ValueError(f"a code is {int(codes.max())}; expected at most {2**bits - 1} in {bits} bits")
    if bits == 8:
        return codes.clone()
    stream = codes[:, None].bitwise_right_shift(_places(bits)).bitwise_and(1).flatten()
    whole_bytes = torch.nn.functional.pad(stream, (0, -len(stream) % 8)).unflatten(0, (-1, 8))
    return whole_bytes.bitwise_left_shift(_places(8)).sum(1).to(torch.uint8)


def unpack(stream: UInt8[Tensor, " M"], bits: int, count: int) -> UInt8[Tensor, " N"]:
    """The first `count` codes of a stream that `pack` made.

    Raises:
        ValueError: the stream is longer or shorter than `count` codes are.

    >>> unpack(torch.tensor([241, 2], dtype=torch.uint8), bits=4, count=3)
    tensor([ 1, 15,  2], dtype=torch.uint8)
    """
    expected = packed_bytes(count, bits)
    if len(stream) != expected:
        raise ValueError(f"{len(stream)} bytes came for {count} codes of {bits} bits; expected {expected}")
    if bits == 8:
        return stream.clone()
    single = stream[:, None].bitwise_right_shift(_places(8)).bitwise_and(1).flatten()[: count * bits]
    return single.unflatten(0, (-1, bits)).bitwise_left_shift(_places(bits)).sum(1).to(torch.uint8)


def packed_bytes(count: int, bits: int) -> int:
    """⌈count · bits / 8⌉."""
    return -(-count * bits // 8)


def _places(bits: int) -> UInt8[Tensor, " bits"]:
    return torch.arange(bits, dtype=torch.uint8)


@checked
def save_quantized(quantized: QuantizedModel, path: str | Path) -> None:
    """Write a quantized model to one safetensors file, whole or not at all.

    Four tensors: the codes of all matrices as one stream of bits, all scales, all zero points as a stream (empty where
    the grids are symmetric), and all other weights. The shape of the model says where each matrix starts.

    Raises:
        ValueError: the folder does not exist.
    """
    bits = quantized.scheme.bits
    parts = list(quantized.matrices.values())
    zeros = [part.zero_point.flatten() for part in parts if part.zero_point is not None]
    tensors = {
        "codes": pack(torch.cat([part.codes.flatten() for part in parts]), bits),
        "scales": torch.cat([part.scale.flatten() for part in parts]),
        "zeros": pack(torch.cat(zeros) if zeros else torch.empty(0, dtype=torch.uint8), bits),
        "rest": torch.cat([weight.flatten() for weight in quantized.rest.values()]),
    }
    about = {"config": asdict(quantized.config), "scheme": asdict(quantized.scheme)}
    write_file(Path(path), save(tensors, metadata=sealed(tensors, about)), MODEL)


@checked
def load_quantized(path: str | Path) -> QuantizedModel:
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
    sizes = {"codes": (torch.uint8, packed_bytes(config.matrix_numbers, scheme.bits))}
    sizes["rest"] = (torch.float32, config.vector_numbers)
    _check_sizes({name: tensors[name] for name in sizes if name in tensors}, sizes, path)
    empty = GPT(config)  # only now: it is as large as the file says
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
    rounded = {name: QuantizedMatrix(codes[name], scale[name], zero[name], scheme) for name in shapes}
    return QuantizedModel(
        config, scheme, rounded, _cut(tensors["rest"], {name: (size,) for name, size in rest.items()})
    )


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
