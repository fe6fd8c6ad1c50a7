"""A stand-in for Triton in NumPy: small kernels run unchanged where Triton has no wheel, one program after another.

It knows the part of the language that lesson 04 uses, in fp32. It compiles nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from inspect import signature
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Block(np.ndarray):
    """The numbers that a program holds: an array, or a scalar as an array without axes."""

    def to(self, dtype: type) -> "Block":
        return block(self.astype(dtype))


def block(values: Any) -> Block:
    """Values as a block; a Python number becomes fp32 or int32, as in a kernel.

    >>> block(0.1).dtype, block(7).dtype, block(1.5).to(np.int32).item()
    (dtype('float32'), dtype('int32'), 1)
    """
    if isinstance(values, float):
        values = np.float32(values)
    elif isinstance(values, int) and not isinstance(values, bool):
        values = np.int32(values)
    return np.asarray(values).view(Block)


@dataclass(frozen=True)
class Pointer:
    """Places in memory: the storage that a tensor lives in, and which of its elements."""

    storage: np.ndarray
    places: np.ndarray | np.integer | int

    def __add__(self, offset: Any) -> "Pointer":
        return Pointer(self.storage, self.places + np.asarray(offset, np.int64))

    __radd__ = __add__

    @property
    def dtype(self) -> SimpleNamespace:
        return SimpleNamespace(element_ty=self.storage.dtype.type)

    def inside(self, mask: Any) -> tuple[np.ndarray, np.ndarray]:
        """Places and mask, broadcast to one shape.

        Raises:
            IndexError: a place that counts lies outside the storage, where a GPU would read or write foreign memory.
        """
        places, mask = np.broadcast_arrays(self.places, True if mask is None else mask)
        if (outside := places[mask & ((places < 0) | (places >= len(self.storage)))]).size:
            raise IndexError(
                f"element {outside.flat[0]} of a tensor whose memory holds {len(self.storage)} elements was asked for; "
                "expected a mask that leaves it out"
            )
        return places, mask


@dataclass
class Traffic:
    """The bytes that kernels loaded and stored; a masked-out lane moves nothing."""

    loaded: int = 0
    stored: int = 0

    @property
    def moved(self) -> int:
        return self.loaded + self.stored


_program = [0, 0, 0]
_counters: list[Traffic] = []


@contextmanager
def count_bytes() -> Iterator[Traffic]:
    """Count the bytes that kernels launched inside the block load and store."""
    _counters.append(Traffic())
    try:
        yield _counters[-1]
    finally:
        _counters.pop()


def load(pointer: Pointer, mask: Any = None, other: float = 0.0) -> Block:
    places, mask = pointer.inside(mask)
    values = np.full(places.shape, other, pointer.storage.dtype)
    values[mask] = pointer.storage[places[mask]]
    for traffic in _counters:
        traffic.loaded += int(mask.sum()) * values.itemsize
    return block(values)


def store(pointer: Pointer, value: Any, mask: Any = None) -> None:
    places, mask = pointer.inside(mask)
    pointer.storage[places[mask]] = np.broadcast_to(value, places.shape)[mask]
    for traffic in _counters:
        traffic.stored += int(mask.sum()) * pointer.storage.itemsize


def blockwise(function: Callable[..., Any]) -> Callable[..., Block]:
    """A NumPy function on blocks, without NumPy's warnings: a GPU has none either."""

    def called(*values: Any) -> Block:
        with np.errstate(all="ignore"):
            return block(function(*map(block, values)))

    return called


def over_axis(function: Callable[..., Any]) -> Callable[..., Block]:
    return lambda values, axis=None: block(function(block(values), axis=axis))


class Kernel:
    """A function under `triton.jit`: `kernel[grid](…)` runs it for every program, `kernel(…)` inside one."""

    def __init__(self, fn: Callable[..., Any]):
        self.fn, self.__name__, self.__doc__ = fn, fn.__name__, fn.__doc__

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        def launch(*arguments: Any, **options: Any) -> None:
            taken = {name: value for name, value in options.items() if name in signature(self.fn).parameters}
            with np.errstate(all="ignore"):
                for program in np.ndindex(*grid, *[1] * (3 - len(grid))):
                    _program[:] = program
                    self.fn(*map(argument, arguments), **{name: argument(value) for name, value in taken.items()})

        return launch

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.fn(*arguments, **options)


def argument(value: Any) -> Any:
    """An argument as a kernel sees it: a tensor is a pointer to its first element, in the memory it shares."""
    if not isinstance(value, Tensor):
        return value
    whole = torch.empty(0, dtype=value.dtype)
    storage = value.untyped_storage()
    whole.set_(storage, 0, (storage.nbytes() // value.element_size(),))
    return Pointer(whole.numpy(), value.storage_offset())


tl = SimpleNamespace(
    constexpr=int,
    float32=np.float32,
    int32=np.int32,
    int64=np.int64,
    program_id=lambda axis: block(_program[axis]),
    arange=lambda start, end: block(np.arange(start, end, dtype=np.int32)),
    zeros=lambda shape, dtype: block(np.zeros(shape, dtype)),
    full=lambda shape, value, dtype: block(np.full(shape, value, dtype)),
    load=load,
    store=store,
    range=range,
    static_range=range,
    exp=blockwise(np.exp),
    log=blockwise(np.log),
    abs=blockwise(np.abs),
    where=blockwise(np.where),
    maximum=blockwise(np.maximum),
    minimum=blockwise(np.minimum),
    max=over_axis(np.max),
    sum=over_axis(np.sum),
)
"""Stands in for `triton.language`."""

triton = SimpleNamespace(
    jit=Kernel,
    cdiv=lambda length, size: -(-length // size),
    next_power_of_2=lambda number: 1 << (number - 1).bit_length(),
)
"""Stands in for `triton`."""
