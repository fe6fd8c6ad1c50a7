"""The bytes that a computation reads, writes and holds, operation by operation: the same on every machine."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Step:
    """One operation."""

    name: str
    read: int  # bytes
    written: int  # bytes
    held: int  # bytes alive after it, of what was made inside the ledger


class Ledger(TorchDispatchMode):
    """Writes down every operation of torch inside the `with` block, of the backward pass too.

    Each operation is charged for reading all its inputs and writing all its outputs, as if no cache helped: so it is
    when tensors are larger than the cache. A view is free, and an axis that is only broadcast is read once. Work that
    other threads do is not seen.

    Args:
        given: the tensors that are there before. With them, memory that is not torch's own, such as an array of
            NumPy's, is held from its first use on; without them it is taken to have been there.

    >>> import torch
    >>> x = torch.zeros(1000)
    >>> with Ledger() as ledger:
    ...     y = (x + 1).exp()
    >>> [(step.name, step.read, step.written) for step in ledger.steps], ledger.moved, ledger.peak
    ([('add', 4000, 4000), ('exp', 4000, 4000)], 16000, 8000)
    """

    def __init__(self, given: Iterable[Tensor] | None = None) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._given = None if given is None else {tensor.untyped_storage()._cdata for tensor in given}
        self._made: dict[int, tuple[StorageWeakRef, int]] = {}

    @property
    def moved(self) -> int:
        """Bytes read and written."""
        return sum(step.read + step.written for step in self.steps)

    @property
    def peak(self) -> int:
        """The most bytes that were alive at once, of what was made inside the ledger."""
        return max((step.held for step in self.steps), default=0)

    def __torch_dispatch__(self, operation: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        inputs = [leaf for leaf in tree_leaves((arguments, options)) if isinstance(leaf, Tensor)]
        addresses = {tensor.untyped_storage()._cdata for tensor in inputs}
        result = operation(*arguments, **(options or {}))
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        self._made = {key: entry for key, entry in self._made.items() if not entry[0].expired()}
        there_before = addresses if self._given is None else self._given
        for tensor in outputs if self._given is None else inputs + outputs:
            storage = tensor.untyped_storage()
            if storage._cdata not in there_before:
                self._made.setdefault(storage._cdata, (StorageWeakRef(storage), storage.nbytes()))
        is_view = bool(outputs) and not operation._schema.is_mutable
        is_view = is_view and all(tensor.untyped_storage()._cdata in addresses for tensor in outputs)
        self.steps.append(
            Step(
                name=operation.overloadpacket.__name__,
                read=0 if is_view else sum(map(bytes_of, inputs)),
                written=0 if is_view else sum(map(bytes_of, outputs)),
                held=sum(size for _, size in self._made.values()),
            )
        )
        return result


def bytes_of(tensor: Tensor) -> int:
    """The bytes of memory behind a tensor's elements; axes of stride 0 repeat what is there.

    >>> import torch
    >>> bytes_of(torch.zeros(10, 20)), bytes_of(torch.zeros(10, 1).expand(10, 20))
    (800, 40)
    """
    sizes = (size for size, stride in zip(tensor.shape, tensor.stride(), strict=True) if stride != 0)
    return math.prod(sizes) * tensor.element_size()
