"""The lanes of a kernel: which places in memory each load and store asks for, and which of them it touches."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from kd_lab.lessons.l04_fused_softmax_kl.triton_or_numpy import HAS_TRITON, tl


@dataclass(frozen=True)
class Access:
    """One load or store of one block by one program."""

    program: int
    tensor: str
    stores: bool
    cells: tuple[int, ...]  # the element that each lane points at, counted from the tensor's first
    touches: tuple[bool, ...]  # False for a lane that is masked out


def accesses(run: Callable[[], None], tensors: Mapping[str, Tensor]) -> list[Access]:
    """Every access to one of the tensors while kernels run, in order.

    Args:
        run: launches the kernels.
        tensors: name → contiguous tensor; accesses to others are left out.

    >>> import torch
    >>> from kd_lab.lessons.l04_fused_softmax_kl.triton_or_numpy import load_block, tl, triton
    >>> @triton.jit
    ... def total(source, out, vocabulary, BLOCK: tl.constexpr):
    ...     tl.store(out, tl.sum(load_block(source, 0, vocabulary, BLOCK), 0))
    >>> source, out = torch.ones(3), torch.zeros(1)
    >>> accesses(lambda: total[(1,)](source, out, 3, BLOCK=4), {"source": source})
    [Access(program=0, tensor='source', stores=False, cells=(0, 1, 2, 3), touches=(True, True, True, False))]
    """
    seen: list[Access] = []

    def note(program: int, addresses: Any, mask: Any, stores: bool) -> None:
        addresses, mask = np.ravel(addresses), np.ravel(mask)
        if not mask.any():
            return
        for name, tensor in tensors.items():
            cells = (addresses.astype(np.int64) - tensor.data_ptr()) // tensor.element_size()
            if ((cells >= 0) & (cells < tensor.numel()))[mask].all():
                seen.append(Access(program, name, stores, tuple(cells.tolist()), tuple(mask.tolist())))

    with (_watch_triton if HAS_TRITON else _watch_numpy)(note):
        run()
    return seen


@contextmanager
def _watch_triton(note: Callable[..., None]) -> Iterator[None]:
    from triton.runtime.interpreter import interpreter_builder as builder

    load, store = builder.create_masked_load, builder.create_masked_store

    def seen_load(pointers: Any, mask: Any, *rest: Any) -> Any:
        note(builder.grid_idx[0], pointers.data, mask.data, False)
        return load(pointers, mask, *rest)

    def seen_store(pointers: Any, values: Any, mask: Any, *rest: Any) -> Any:
        note(builder.grid_idx[0], pointers.data, mask.data, True)
        return store(pointers, values, mask, *rest)

    # Unmasked accesses arrive at these two as well, with a mask of ones.
    builder.create_masked_load, builder.create_masked_store = seen_load, seen_store
    try:
        yield
    finally:
        del builder.create_masked_load, builder.create_masked_store


@contextmanager
def _watch_numpy(note: Callable[..., None]) -> Iterator[None]:
    load, store = tl.load, tl.store

    def noted(pointer: Any, mask: Any, stores: bool) -> None:
        places, inside = np.broadcast_arrays(pointer.places, True if mask is None else mask)
        first = pointer.storage.__array_interface__["data"][0]
        note(int(tl.program_id(0)), first + places * pointer.storage.itemsize, inside, stores)

    def seen_load(pointer: Any, mask: Any = None, other: float = 0.0) -> Any:
        noted(pointer, mask, False)
        return load(pointer, mask, other)

    def seen_store(pointer: Any, value: Any, mask: Any = None) -> None:
        noted(pointer, mask, True)
        store(pointer, value, mask)

    tl.load, tl.store = seen_load, seen_store
    try:
        yield
    finally:
        tl.load, tl.store = load, store
