"""Count the bytes that a kernel moves, by running it in Triton's interpreter with the loads and stores instrumented."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from triton.runtime.interpreter import interpreter_builder


@dataclass
class Traffic:
    """The bytes that the kernels loaded and stored; a masked-out lane moves nothing."""

    loaded: int = 0
    stored: int = 0

    @property
    def moved(self) -> int:
        return self.loaded + self.stored


@contextmanager
def count_bytes() -> Iterator[Traffic]:
    """Count the bytes that kernels launched inside the block load and store.

    A GPU's cache can only lower the count; the sectors that a load fills beyond the bytes asked for can raise it. For
    rows read from end to end neither is much.

    >>> with count_bytes() as traffic:
    ...     pass
    >>> traffic.moved
    0
    """
    traffic = Traffic()
    load, store = interpreter_builder.create_masked_load, interpreter_builder.create_masked_store

    def counted_load(pointers, mask, *rest):
        values = load(pointers, mask, *rest)
        traffic.loaded += int(mask.data.sum()) * values.data.itemsize
        return values

    def counted_store(pointers, values, mask, *rest):
        traffic.stored += int(mask.data.sum()) * values.data.itemsize
        return store(pointers, values, mask, *rest)

    # Unmasked loads and stores arrive at these two as well, with a mask of ones.
    interpreter_builder.create_masked_load, interpreter_builder.create_masked_store = counted_load, counted_store
    try:
        yield traffic
    finally:
        del interpreter_builder.create_masked_load, interpreter_builder.create_masked_store
