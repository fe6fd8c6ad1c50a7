"""The choice of a kernel and its tiles, and the rows over which it runs."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import torch
import triton
from torch import Tensor

from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.kernels.resident import resident
from kd_lab.how.kernels.rows import multiply_rows
from kd_lab.how.kernels.streaming import streaming_backward, streaming_forward

BLOCK = 4096  # columns per tile: with 16 warps 8 columns per thread, which is one 16-byte vector of bf16
WARPS = 16
ON_AMD = torch.version.hip is not None

# Tiles that fit in registers, at 128 per thread, by `loss_sweeps` and the bytes of a logit. 16-bit logits of student
# and teacher share a register; with one fp32 side they do not. One tile more makes some target spill.
RESIDENT = {(1, 2): 4, (2, 2): 2, (1, 4): 3, (2, 4): 2}  # of a row that is held as a whole
HELD = {(1, 2): 3, (2, 2): 2, (1, 4): 1, (2, 4): 1}  # of a row that streams past
WITH_LABELS = {"resident": 3, "held": 2}  # at most: labels bring a second softmax of the student


def loss_sweeps(divergence: str) -> int:
    """Sweeps over a row until its loss is known: a KL falls out of the statistics, all others need both normalisers
    before their first term.

    >>> loss_sweeps("reverse_kl"), loss_sweeps("jsd")
    (1, 2)
    """
    return 1 if DIVERGENCES[divergence].is_kl else 2


def widest_resident(divergence: str, itemsize: int, labels: bool) -> int:
    """The largest vocabulary of which a row of both models is held in registers as a whole.

    Args:
        itemsize: the larger of the two models', in bytes.
        labels: whether the cross-entropy with labels is mixed in.

    >>> widest_resident("forward_kl", 2, labels=False), widest_resident("jsd", 2, labels=True)
    (16384, 8192)
    """
    tiles = RESIDENT[loss_sweeps(divergence), itemsize]
    return BLOCK * (min(tiles, WITH_LABELS["resident"]) if labels else tiles)


def is_resident(divergence: str, student: Tensor, teacher: Tensor, labels: Tensor | None) -> bool:
    """Whether rows of these logits are held in registers as a whole.

    A size that torch.compile keeps as a symbol is decided here, and so a graph is for one side of the limit.
    """
    return bool(student.shape[-1] <= widest_resident(divergence, widest(student, teacher), labels is not None))


def resident_tiles(vocabulary: int) -> dict[str, int]:
    """Tiles and warps of `resident`.

    >>> resident_tiles(27), resident_tiles(5000)
    ({'BLOCK': 32, 'TILES': 1, 'num_warps': 1}, {'BLOCK': 4096, 'TILES': 2, 'num_warps': 16})
    """
    block = min(BLOCK, max(16, triton.next_power_of_2(vocabulary)))
    return {"BLOCK": block, "TILES": triton.cdiv(vocabulary, block), "num_warps": max(1, block * WARPS // BLOCK)}


def streaming_tiles(itemsize: int, on_amd: bool) -> dict[str, int]:
    """Tiles, warps and pipeline stages of the streaming kernels.

    While one tile is computed, the loads of the next fill shared memory: two tiles ahead for 16-bit logits, one for
    fp32, so that a student's and a teacher's tiles take at most 64 KB. On AMD the loads would wait in registers.

    >>> streaming_tiles(2, on_amd=False)
    {'BLOCK': 4096, 'STAGES': 3, 'num_warps': 16}
    """
    stages = 1 if on_amd else 3 if itemsize == 2 else 2
    return {"BLOCK": BLOCK, "STAGES": stages, "num_warps": WARPS}


def held_tiles(divergence: str, itemsize: int, save: str, labels: bool) -> int:
    """Tiles that the streaming forward kernel holds for a later sweep: none where there is none.

    >>> [held_tiles("forward_kl", 2, save, labels=False) for save in ("gradient", "statistics")]
    [3, 0]
    """
    sweeps = loss_sweeps(divergence)
    if sweeps == 1 and save != "gradient":
        return 0
    return min(HELD[sweeps, itemsize], WITH_LABELS["held"]) if labels else HELD[sweeps, itemsize]


def launch_forward(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor | None,
    mask: Tensor | None,
    weight: Tensor | None,
    loss: Tensor,
    statistics: Tensor | None,
    gradient: Tensor | None,
    divergence: str,
    numbers: tuple[float, float, float, float],
    save: str,
) -> None:
    """Fill `loss`, and the output that `save` names. `numbers` are 1/τ, β and the factors of divergence and labels."""
    vocabulary, itemsize = student.shape[-1], widest(student, teacher)

    def launch(rows, layout, student, teacher, gradient, labels, mask, weight, loss, statistics):
        if is_resident(divergence, student, teacher, labels):
            resident[(rows,)](
                student, teacher, labels, mask, weight, loss, gradient, *layout, vocabulary, *numbers,
                DIVERGENCE=divergence, WITH_GRADIENT=save == "gradient", **resident_tiles(vocabulary),
            )  # fmt: skip
        else:
            streaming_forward[(rows,)](
                student, teacher, labels, mask, weight, loss, statistics, gradient, *layout, vocabulary, *numbers,
                DIVERGENCE=divergence, SAVE=save, HELD=held_tiles(divergence, itemsize, save, labels is not None),
                **streaming_tiles(itemsize, ON_AMD),
            )  # fmt: skip

    _over_rows(launch, (student, teacher, gradient), (labels, mask, weight, loss, statistics))


def launch_backward(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor | None,
    mask: Tensor | None,
    upstream: Tensor,
    statistics: Tensor | None,
    gradient: Tensor,
    divergence: str,
    numbers: tuple[float, float, float, float],
) -> None:
    """Fill `gradient` with upstream times the gradient of the loss."""
    vocabulary, itemsize = student.shape[-1], widest(student, teacher)

    def launch(rows, layout, student, teacher, gradient, labels, mask, upstream, statistics):
        if is_resident(divergence, student, teacher, labels):
            resident[(rows,)](
                student, teacher, labels, mask, upstream, None, gradient, *layout, vocabulary, *numbers,
                DIVERGENCE=divergence, WITH_GRADIENT=True, **resident_tiles(vocabulary),
            )  # fmt: skip
        else:
            streaming_backward[(rows,)](
                student, teacher, labels, mask, upstream, statistics, gradient, *layout, vocabulary, *numbers,
                DIVERGENCE=divergence, **streaming_tiles(itemsize, ON_AMD),
            )  # fmt: skip

    _over_rows(launch, (student, teacher, gradient), (labels, mask, upstream, statistics))


def launch_multiply(gradient: Tensor, mask: Tensor | None, upstream: Tensor) -> None:
    """Multiply each row of `gradient` in place by its upstream factor."""

    def launch(rows, layout, gradient, mask, upstream):
        multiply_rows[(rows,)](gradient, mask, upstream, *layout, gradient.shape[-1], BLOCK=BLOCK, num_warps=WARPS)

    _over_rows(launch, (gradient,), (mask, upstream))


def widest(student: Tensor, teacher: Tensor) -> int:
    """Bytes of the larger element of the two, which decides how many tiles fit."""
    return max(student.itemsize, teacher.itemsize)


def _over_rows(launch: Callable[..., None], wide: Sequence[Tensor | None], narrow: Sequence[Tensor | None]) -> None:
    """Launch over all rows of the wide tensors [..., V] and the narrow ones [...] that go with them.

    A kernel takes rows in two leading axes, each with its own strides, so that slices such as `logits[:, :-1]` are read
    where they lie. Axes fold wherever the strides allow; tensors that still have more than two are launched in pieces.
    """
    present = [tensor for tensor in wide if tensor is not None]
    if present[0].numel() == 0:
        return
    axes = _folded(present[0].shape[:-1], [tensor.stride()[:-1] for tensor in present])
    if len(axes) > 2:
        for i in range(present[0].shape[0]):
            pieces = [[None if tensor is None else tensor[i] for tensor in group] for group in (wide, narrow)]
            _over_rows(launch, *pieces)
        return
    (outer_rows, outer), (inner_rows, inner) = [(1, (0,) * len(present))] * (2 - len(axes)) + axes
    strides = iter(zip(outer, inner, strict=True))
    layout = [stride for tensor in wide for stride in ((0, 0) if tensor is None else next(strides))]
    device = present[0].device
    with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
        launch(outer_rows * inner_rows, (*layout, inner_rows), *wide, *narrow)


def _folded(shape: Sequence[int], strides: Sequence[Sequence[int]]) -> list[tuple[int, tuple[int, ...]]]:
    """The fewest axes, as (size, a stride for each tensor), that visit the same rows in the same order.

    >>> _folded((4, 5), [(50, 10)]), _folded((4, 5), [(60, 10)])
    ([(20, (10,))], [(4, (60,)), (5, (10,))])
    """
    axes: list[tuple[int, tuple[int, ...]]] = []
    for size, *steps in reversed(list(zip(shape, *strides, strict=True))):
        if size == 1:
            continue
        if axes and all(step == axes[0][0] * inner for step, inner in zip(steps, axes[0][1], strict=True)):
            axes[0] = (size * axes[0][0], axes[0][1])
        else:
            axes.insert(0, (size, tuple(steps)))
    return axes
