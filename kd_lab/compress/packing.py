"""Codes of a few bits side by side, without a gap: two of 4 bits a byte, eight of 3 bits in three bytes."""

import torch
from jaxtyping import UInt8
from torch import Tensor


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
