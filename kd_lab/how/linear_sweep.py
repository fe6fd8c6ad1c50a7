"""linear_softmax_kl a few rows at a time: logits, losses and gradients while the logits are alive, then the next."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kd_lab.contracts import Head
from kd_lab.how.chunked import as_loss, row_chunks, sweep_rows
from kd_lab.how.early_gradient import EarlyGradient

LOGITS = 2**23
"""Logits of one side that are alive at once: 32 MiB, and rows enough to keep the products of matrices efficient."""


@torch.library.custom_op("kd_lab::linear_softmax_kl", mutates_args=())
def linear_sweep(
    student_hidden: Tensor,
    student_weight: Tensor,
    student_bias: Tensor | None,
    teacher_hidden: Tensor,
    teacher_weight: Tensor,
    teacher_bias: Tensor | None,
    mask: Tensor | None,
    labels: Tensor | None,
    expected_upstream: Tensor,
    numbers: Tensor,
    divergence: str,
    scale_by_t2: bool,
    backend: str,
    wanted: Sequence[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The loss of each position, and in fp32 the gradients for the student's tensors, each empty unless it is wanted.

    `numbers` are β, τ, the weight of the labels, the heads' scales, and their softcaps, infinite for none; on the CPU.
    """
    losses = torch.zeros_like(expected_upstream)
    gradients = _room(student_hidden, student_weight, wanted)
    heads = student_hidden, student_weight, student_bias, teacher_hidden, teacher_weight, teacher_bias
    upstream = expected_upstream if any(wanted) else None
    loss, student, teacher = _unpacked(heads, numbers, divergence, scale_by_t2, backend)
    with torch.autocast(losses.device.type, enabled=False):  # it would multiply in half precision
        _sweep(loss, student, teacher, mask, labels, upstream, losses, gradients)
    return losses, *gradients


@linear_sweep.register_fake
def _(student_hidden, student_weight, _b, _h, _w, _c, _mask, _labels, expected_upstream, *options):
    return torch.empty_like(expected_upstream), *_room(student_hidden, student_weight, options[-1])


@torch.library.custom_op("kd_lab::linear_softmax_kl_again_", mutates_args=("to_hidden", "to_weight", "to_bias"))
def linear_sweep_again(
    to_hidden: Tensor,
    to_weight: Tensor,
    to_bias: Tensor,
    student_hidden: Tensor,
    student_weight: Tensor,
    student_bias: Tensor | None,
    teacher_hidden: Tensor,
    teacher_weight: Tensor,
    teacher_bias: Tensor | None,
    mask: Tensor | None,
    labels: Tensor | None,
    expected_upstream: Tensor | None,
    upstream: Tensor,
    numbers: Tensor,
    divergence: str,
    scale_by_t2: bool,
    backend: str,
) -> None:
    """Turn the gradients for the upstream that was expected into those for the one that came; for None make them."""
    gradients = to_hidden, to_weight, to_bias
    factor = None if expected_upstream is None else _common_factor(upstream, expected_upstream)
    if factor is not None:
        for gradient in gradients if factor != 1 else ():
            gradient.mul_(factor)
        return
    for gradient in gradients:
        gradient.zero_()
    heads = student_hidden, student_weight, student_bias, teacher_hidden, teacher_weight, teacher_bias
    loss, student, teacher = _unpacked(heads, numbers, divergence, scale_by_t2, backend)
    with torch.autocast(upstream.device.type, enabled=False):
        _sweep(loss, student, teacher, mask, labels, upstream, torch.empty_like(upstream), gradients)


def _meet(gradients, inputs, upstream):
    *rows, expected_upstream, numbers, divergence, scale_by_t2, backend, _ = inputs
    options = expected_upstream, upstream.contiguous(), numbers, divergence, scale_by_t2, backend
    linear_sweep_again(*gradients, *rows, *options)
    return _rounded(gradients, inputs)


def _anew(inputs, _, upstream):
    *rows, _, numbers, divergence, scale_by_t2, backend, wanted = inputs
    gradients = _room(*rows[:2], wanted)
    linear_sweep_again(*gradients, *rows, None, upstream.contiguous(), numbers, divergence, scale_by_t2, backend)
    return _rounded(gradients, inputs)


def _rounded(gradients, inputs):
    """To half precision only here, after the scaling: a loss scale would come too late for what had underflowed."""
    return [g.to(t.dtype) if want else None for g, t, want in zip(gradients, inputs, inputs[-1], strict=False)]


_RULE = EarlyGradient("linear_softmax_kl", early=lambda _, others: others, meet=_meet, anew=_anew)
linear_sweep.register_autograd(_RULE.backward, setup_context=_RULE.setup_context)


def _loss_of_rows(
    student: Float[Tensor, "N V"],
    teacher: Float[Tensor, "N V"],
    labels: Int[Tensor, " N"] | None,
    upstream: Float[Tensor, " N"] | None,
    numbers: Float[Tensor, "3"],
    divergence: str,
    scale_by_t2: bool,
    backend: str,
) -> tuple[Float[Tensor, " N"], Float[Tensor, "N V"] | None]:
    """(1 − w)·τ²·D + w·CE of each row, and the gradient of Σ upstream·loss, which may take the student's logits' place.

    `numbers` are β, τ and w. Without a share of D its kernel would say 0·∞ where D is infinite.
    """
    if backend == "chunked" or numbers[2] == 1:
        gradient = None if upstream is None else student
        loss = as_loss(numbers, divergence, scale_by_t2)
        return sweep_rows(student, teacher, None, labels, loss, upstream, gradient), gradient
    from kd_lab.how.kernels.ops import softmax_kl_backward, softmax_kl_rows  # only now: it imports Triton

    options = numbers, divergence, scale_by_t2
    save = "nothing" if upstream is None else "statistics"
    losses, statistics, _ = softmax_kl_rows(student, teacher, labels, None, None, *options, save)
    if upstream is None:
        return losses, None
    return losses, softmax_kl_backward(student, teacher, labels, None, upstream, statistics, *options)


def _sweep(
    loss: Callable[..., tuple[Tensor, Tensor | None]],
    student: Head,
    teacher: Head,
    mask: Bool[Tensor, "..."] | None,
    labels: Int[Tensor, "..."] | None,
    upstream: Float[Tensor, "..."] | None,
    losses: Float[Tensor, "..."],
    gradients: Sequence[Tensor],
) -> None:
    """Fill `losses`, and add to the gradients that have room those of Σ upstream·loss; rows that do not count are 0."""
    vocabulary, positions = len(student.weight), losses.numel()
    to_hidden, to_weight, to_bias = (gradient if gradient.numel() else None for gradient in gradients)
    chunk = max(1, LOGITS // vocabulary)
    # Made once: a chunk of its own would meet the one before it, still alive, and pay for fresh pages.
    used = True, True, upstream is not None and student.softcap is not None
    student_room, teacher_room, slope_room = (
        torch.empty(min(chunk, positions) if use else 0, vocabulary, dtype=torch.float32, device=losses.device)
        for use in used
    )
    for rows in row_chunks(mask, positions, chunk):
        logits = _logits_of_rows(student, rows, student_room)
        slope = 1.0 if upstream is None else _slope(student, logits, slope_room)
        chosen = None if labels is None else labels.reshape(-1)[rows]
        weights = None if upstream is None else upstream.reshape(-1)[rows]
        teacher_logits = _logits_of_rows(teacher, rows, teacher_room)
        losses.view(-1)[rows], to_logits = loss(logits, teacher_logits, chosen, weights)
        if upstream is None:
            continue
        if isinstance(slope, Tensor) or slope != 1:
            to_logits.mul_(slope)
        if to_hidden is not None:
            products = (to_logits[:, block] @ part for block, part in _parts(student.weight))
            to_hidden.view(student.hidden.shape)[rows] = sum(products)
        if to_weight is not None:
            to_weight.addmm_(to_logits.T, student.hidden[rows].float())
        if to_bias is not None:
            to_bias += to_logits.sum(0)


def _unpacked(heads, numbers, divergence, scale_by_t2, backend) -> tuple[Callable, Head, Head]:
    """The loss of rows of logits, and the heads with their hidden states as matrices."""
    *scales, cap, teacher_cap = numbers[3:].tolist()
    options = {"divergence": divergence, "scale_by_t2": scale_by_t2, "backend": backend}
    loss = partial(_loss_of_rows, numbers=numbers[:3], **options)
    sides = []
    for (hidden, weight, bias), scale, softcap in zip((heads[:3], heads[3:]), scales, (cap, teacher_cap), strict=True):
        matrix = hidden.reshape(hidden.shape[:-1].numel(), hidden.shape[-1])
        sides.append(Head(matrix, weight, bias, scale, softcap if softcap < torch.inf else None))
    return loss, *sides


def _room(hidden: Tensor, weight: Tensor, wanted: Sequence[bool]) -> list[Float[Tensor, "..."]]:
    shapes = hidden.shape, weight.shape, weight.shape[:1]
    return [
        torch.zeros(shape if want else (0,), dtype=torch.float32, device=hidden.device)
        for shape, want in zip(shapes, wanted, strict=True)
    ]


def _common_factor(upstream: Float[Tensor, "..."], expected: Float[Tensor, "..."]) -> float | None:
    """The number that turns `expected` into `upstream`, if there is one."""
    ratios = (upstream / expected)[expected != 0]
    if not len(ratios):
        return 1.0  # nothing counts, so every gradient is 0
    lowest, highest = ratios.aminmax()
    return lowest.item() if lowest == highest else None


def _logits_of_rows(head: Head, rows: slice | Int[Tensor, " N"], room: Float[Tensor, "R V"]) -> Float[Tensor, "N V"]:
    """The logits of some rows of a matrix of hidden states, in fp32 from the first product on, made in `room`."""
    inputs = head.hidden[rows].float()
    logits = room[: len(inputs)]
    for block, part in _parts(head.weight):
        torch.mm(inputs, part.T, out=logits[:, block])
    if head.bias is not None:
        logits.add_(head.bias)
    if head.logit_scale != 1:
        logits.mul_(head.logit_scale)
    if head.softcap is not None:
        logits.div_(head.softcap).tanh_().mul_(head.softcap)
    return logits


def _slope(head: Head, logits: Float[Tensor, "N V"], room: Float[Tensor, "R V"]) -> Float[Tensor, "N V"] | float:
    """The derivative of a logit with respect to its hidden @ weightᵀ + bias: scale·(1 − tanh²), made in `room`."""
    if head.softcap is None:
        return head.logit_scale
    squared = torch.square(logits, out=room[: len(logits)])
    return squared.mul_(-head.logit_scale / head.softcap**2).add_(head.logit_scale)


def _parts(weight: Float[Tensor, "V d"]) -> Iterator[tuple[slice, Float[Tensor, "block d"]]]:
    """The weight in fp32, in parts of a few MiB if it has to be converted and as a whole if not."""
    size = len(weight) if weight.dtype == torch.float32 else max(1, 2**21 // weight.shape[1])
    for start in range(0, len(weight), size):
        block = slice(start, min(start + size, len(weight)))
        yield block, weight[block].float()
