"""softmax_kl on the CPU: a few rows at a time, loss and gradient in one visit while they are in the cache.

The plain formula writes five or more tensors as large as the logits to memory and reads them back. Here a chunk of rows
is brought into a small scratch once, and turned into a loss for each row and into the gradient, which is the only large
tensor there is. This module hands rows to threads; `chunk_loss` has the mathematics.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kd_lab.how.chunk_loss import Loss, chunk_loss, matrices_of_scratch
from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.early_gradient import EarlyGradient

CHUNK = 2**19
"""Elements of a chunk. The four fp32 tensors of a thread are then 8 MiB, a slice of the L3.

In smaller chunks it counts what it costs to start sixty operations, half of them on one number per row.
"""

_HUGE = 2**22  # bytes from which numpy asks the system for huge pages


def chunked_softmax_kl(
    student_logits: Float[Tensor, "... V"],
    teacher_logits: Float[Tensor, "... V"],
    *,
    divergence: str,
    beta: float,
    temperature: float,
    scale_by_t2: bool,
    mask: Bool[Tensor, "..."] | None,
    expected_upstream: Float[Tensor, "..."],
    labels: Int[Tensor, "..."] | None = None,
    label_weight: float = 0.0,
    statistics: bool = False,
) -> tuple[Float[Tensor, "..."], Float[Tensor, "... 4"] | None]:
    """The loss at each position, with its gradient made in the same sweep; in fp32.

    Args:
        student_logits, teacher_logits: raw logits; the teacher's get no gradient.
        divergence, beta, temperature, scale_by_t2, labels, label_weight: as in `softmax_kl`, and valid.
        mask: True where a position counts; None counts them all.
        expected_upstream: the factor on the loss of each position on its way to the scalar that is minimised. A wrong
            guess costs time and never correctness.
        statistics: collect them too.

    Returns:
        (1 − w)·τ²·D(softmax(student/τ), softmax(teacher/τ)) + w·CE(label) at each position, in nats; without τ² for
        total variation. And the statistics of `chunk_loss` at each position, if they were asked for.
    """
    training = torch.is_grad_enabled() and student_logits.requires_grad
    # As factors of a tensor and not as numbers, for which torch.compile would make a graph for each temperature.
    one = torch.ones((), dtype=torch.float64, device="cpu")
    losses, _, collected = sweep_operator(
        student_logits,
        teacher_logits.detach(),
        mask,
        labels,
        expected_upstream.detach(),
        torch.stack([beta * one, temperature * one, label_weight * one]),
        divergence,
        scale_by_t2,
        training,
        statistics,
    )
    return losses, collected if statistics else None


@torch.library.custom_op("kd_lab::softmax_kl_sweep", mutates_args=())
def sweep_operator(
    student: Tensor,
    teacher: Tensor,
    mask: Tensor | None,
    labels: Tensor | None,
    expected_upstream: Tensor,
    numbers: Tensor,
    divergence: str,
    scale_by_t2: bool,
    training: bool,
    statistics: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """`sweep_rows` as one operator: losses, and gradient and statistics, each of which is empty unless asked for."""
    loss = as_loss(numbers, divergence, scale_by_t2)
    gradient = _empty(student.shape, student.dtype, student.device) if training else student.new_empty(0)
    collected = student.new_zeros((*student.shape[:-1], 4) if statistics else 0, dtype=torch.float32)
    losses = sweep_rows(
        student,
        teacher,
        mask,
        labels,
        loss,
        expected_upstream if training else None,
        gradient if training else None,
        collected if statistics else None,
    )
    return losses, gradient, collected


@sweep_operator.register_fake
def _(student, teacher, mask, labels, expected_upstream, numbers, divergence, scale_by_t2, training, statistics):
    rows = student.shape[:-1]
    losses = student.new_empty(rows, dtype=torch.float32)
    gradient = torch.empty(student.shape if training else 0, dtype=student.dtype, device=student.device)
    return losses, gradient, student.new_empty((*rows, 4) if statistics else 0, dtype=torch.float32)


@torch.library.custom_op("kd_lab::softmax_kl_sweep_again_", mutates_args=("gradient",))
def sweep_again_operator(
    gradient: Tensor,
    student: Tensor,
    teacher: Tensor,
    mask: Tensor | None,
    labels: Tensor | None,
    expected_upstream: Tensor | None,
    upstream: Tensor,
    numbers: Tensor,
    divergence: str,
    scale_by_t2: bool,
) -> None:
    """The gradient for the upstream that was expected becomes that for the one that came; if none was, it is made."""
    if expected_upstream is not None:
        if torch.equal(upstream, expected_upstream):
            return
        nothing = expected_upstream == 0
        unforeseen = nothing & (upstream != 0) if mask is None else nothing & (upstream != 0) & mask
        # A half-precision gradient may have underflowed at the expected scale, so it is never scaled up afterwards.
        if gradient.dtype == torch.float32 and not unforeseen.any():
            gradient.mul_((upstream / expected_upstream).masked_fill_(nothing, 0.0).unsqueeze(-1))
            return
    loss = as_loss(numbers, divergence, scale_by_t2)
    sweep_rows(student, teacher, mask, labels, loss, upstream, gradient)


def as_loss(numbers: Tensor, divergence: str, scale_by_t2: bool) -> Loss:
    """The loss whose β, τ and weight of the labels are `numbers`."""
    beta, temperature, label_weight = numbers.tolist()
    scale = DIVERGENCES[divergence].scale(temperature, scale_by_t2)
    return Loss(divergence, beta, temperature, scale, label_weight)


def _meet(gradients, inputs, upstream):
    *rows, expected_upstream, numbers, divergence, scale_by_t2, _, _ = inputs
    sweep_again_operator(gradients[0], *rows, expected_upstream, upstream, numbers, divergence, scale_by_t2)
    return gradients


def _anew(inputs, _, upstream):
    *rows, _, numbers, divergence, scale_by_t2, _, _ = inputs
    gradient = _empty(rows[0].shape, rows[0].dtype, rows[0].device)
    sweep_again_operator(gradient, *rows, None, upstream, numbers, divergence, scale_by_t2)
    return (gradient,)


_RULE = EarlyGradient("softmax_kl", early=lambda _, others: others[:1], meet=_meet, anew=_anew)
sweep_operator.register_autograd(_RULE.backward, setup_context=_RULE.setup_context)


def sweep_rows(
    student: Float[Tensor, "... V"],
    teacher: Float[Tensor, "... V"],
    mask: Bool[Tensor, "..."] | None,
    labels: Int[Tensor, "..."] | None,
    loss: Loss,
    upstream: Float[Tensor, "..."] | None,
    gradient: Float[Tensor, "... V"] | None,
    statistics: Float[Tensor, "... 4"] | None = None,
) -> Float[Tensor, "..."]:
    """The loss of each position; `gradient`, where it is given, becomes that of Σ upstream·loss.

    Positions that do not count are never read: their loss is 0 and so is their gradient.
    """
    vocabulary, device = student.shape[-1], student.device
    losses = torch.zeros(student.shape[:-1], dtype=torch.float32, device=device)
    if gradient is not None and mask is not None:
        as_matrix(gradient).index_fill_(0, (~mask).flatten().nonzero().squeeze(-1), 0)  # a mask would visit all rows
    weights = None if upstream is None else upstream.to(torch.float32).reshape(-1, 1)
    sides = as_matrix(student), as_matrix(teacher)
    threads = 1 if device.type != "cpu" or student.numel() <= CHUNK else torch.get_num_threads()
    pending = iter(row_chunks(mask, losses.numel(), rows_of_a_chunk(vocabulary, losses.numel(), threads)))
    matrices = 1 + matrices_of_scratch(loss, labels is not None, statistics is not None)

    def work() -> None:
        scratch = None
        for rows in pending:
            x, y = (take(side, rows) for side in sides)
            if scratch is None or len(x) > scratch.shape[1]:
                scratch = torch.empty(matrices, *x.shape, dtype=torch.float32, device=device)
            out, *free = scratch[:, : len(x)]
            direct = gradient is not None and gradient.dtype == torch.float32 and isinstance(rows, slice)
            if direct:
                out = as_matrix(gradient)[rows]
            weight = None if weights is None else weights[rows]
            chosen = None if labels is None else labels.reshape(-1, 1)[rows]
            collected = None if statistics is None else statistics.new_empty(len(x), 4)
            losses.view(-1)[rows] = chunk_loss(x, y, loss, weight, out, free, chosen, collected)
            if gradient is not None and not direct:  # a slice is narrowed on its way, a choice of rows before it
                as_matrix(gradient)[rows] = out if isinstance(rows, slice) else out.to(gradient.dtype)
            if statistics is not None:
                statistics.view(-1, 4)[rows] = collected

    in_threads(work, threads)
    return losses


def in_threads(work: Callable[[], None], threads: int) -> None:
    """Run `work` in so many threads at once, each of which computes alone.

    Torch's own threads meet at a barrier after every operation. Twenty operations a chunk make thousands of barriers,
    and where another process wants the cores too each of them waits for the scheduler. Threads that take whole chunks
    from one list meet once, at the end.
    """
    if threads == 1:
        with torch.no_grad():
            work()
        return
    guard = torch.inference_mode if torch.is_inference_mode_enabled() else torch.no_grad  # both are thread-local
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for done in [pool.submit(guard()(work)) for _ in range(threads)]:
                done.result()
    finally:
        # A thread's count is its own, but torch also keeps the last one set as the default of threads to come.
        torch.set_num_threads(threads)


def row_chunks(mask: Tensor | None, positions: int, step: int) -> list[slice | Int[Tensor, " R"]]:
    """The numbers of the rows that count, in row-major order, a chunk at a time: a slice where they are neighbours."""
    if mask is None:
        return [slice(start, min(start + step, positions)) for start in range(0, positions, step)]
    chunks = mask.flatten().nonzero().squeeze(-1).split(step)
    return [
        slice(rows[0].item(), rows[-1].item() + 1) if rows[-1] - rows[0] == len(rows) - 1 else rows
        for rows in chunks
        if len(rows)
    ]


def rows_of_a_chunk(vocabulary: int, positions: int, threads: int) -> int:
    """As many rows as fit `CHUNK`, but with many threads fewer: all of their scratch is ⅛ of the gradient at most.

    >>> rows_of_a_chunk(50_257, positions=1024, threads=2), rows_of_a_chunk(50_257, positions=1024, threads=16)
    (10, 2)
    """
    rows = max(1, CHUNK // vocabulary)
    return rows if threads == 1 else max(1, min(rows, positions // (32 * threads)))


def as_matrix(logits: Tensor) -> Tensor:
    """[N, V] where strides allow it without a copy, else the logits as they are."""
    try:
        return logits.view(logits.shape[:-1].numel(), logits.shape[-1])
    except RuntimeError:
        return logits


def take(logits: Tensor, rows: slice | Tensor) -> Float[Tensor, "R V"]:
    """Rows by number, in row-major order over the positions, whatever the strides."""
    if logits.dim() == 2:
        return logits[rows]
    if isinstance(rows, slice):
        rows = torch.arange(rows.start, rows.stop, device=logits.device)
    return logits[torch.unravel_index(rows, logits.shape[:-1])]


def _empty(shape: torch.Size, dtype: torch.dtype, device: torch.device) -> Tensor:
    """An uninitialised tensor. A large one on the CPU comes through numpy, which asks the system for huge pages.

    First touching 200 MB in pages of 4 KiB takes half as long as the whole sweep.
    """
    size = shape.numel() * dtype.itemsize
    if device.type != "cpu" or size < _HUGE:
        return torch.empty(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.empty(size, np.uint8)).view(dtype).view(shape)
