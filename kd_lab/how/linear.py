"""softmax_kl from hidden states and head weights: the logits are made a few rows at a time and never all exist."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from kd_lab.how.backends import choose_backend
from kd_lab.how.checks import check_head, check_options, check_positions, check_vocabulary
from kd_lab.how.chunked import chunked_softmax_kl, row_chunks, sweep
from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.reduction import position_weights, reduce

LOGITS = 2**23
"""Logits of one side that are alive at once: 32 MiB, and rows enough to keep the products of matrices efficient."""


def linear_softmax_kl(
    student_hidden: Float[Tensor, "... student_width"],
    student_weight: Float[Tensor, "V student_in"],
    teacher_hidden: Float[Tensor, "... teacher_width"],
    teacher_weight: Float[Tensor, "V_teacher teacher_in"],
    *,
    student_bias: Float[Tensor, " _"] | None = None,
    teacher_bias: Float[Tensor, " _"] | None = None,
    divergence: str = "forward_kl",
    beta: float = 0.5,
    temperature: float = 1.0,
    mask: Bool[Tensor, "..."] | None = None,
    reduction: str = "mean",
    normalizer: float | Tensor | None = None,
    scale_by_t2: bool = True,
    backend: str = "auto",
) -> Float[Tensor, "..."]:
    """`softmax_kl` of two heads' logits, without the memory for them.

    softmax_kl(student_hidden @ student_weightᵀ + student_bias, teacher_hidden @ teacher_weightᵀ + teacher_bias)

    The gradient flows to the student's hidden states, weight and bias, whichever require it; the teacher's are
    detached. Logits are fp32 whatever the dtype of their factors (fp64 if one is), and rows that do not count are never
    multiplied.

    Args:
        student_hidden: [..., d], what the student's head reads.
        student_weight: [V, d], as in `torch.nn.Linear`; with a tied head, the embedding.
        teacher_hidden: [..., d′] at the same positions; the widths may differ.
        teacher_weight: [V, d′].
        student_bias, teacher_bias: [V], where a head has one.
        divergence, beta, temperature, mask, reduction, normalizer, scale_by_t2: as in `softmax_kl`.
        backend: as in `softmax_kl`, for the divergence of the logits that are alive.

    Returns:
        Nats: a scalar, or [...] with reduction "none".

    Raises:
        ValueError: as in `softmax_kl`, or a weight or bias does not fit its hidden states.

    >>> hidden, weight = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0], [2.0, 0.0], [1.0, 1.0]])
    >>> linear_softmax_kl(hidden, weight, hidden, weight.flip(0))
    tensor(0.1547)
    """
    check_options(divergence, beta, temperature, reduction, normalizer)
    check_head("student", student_hidden, student_weight, student_bias)
    check_head("teacher", teacher_hidden, teacher_weight, teacher_bias)
    check_vocabulary(len(student_weight), len(teacher_weight), "weight[:V]")
    if student_hidden.shape[:-1] != teacher_hidden.shape[:-1] or student_hidden.device != teacher_hidden.device:
        raise ValueError(
            f"student_hidden has shape {tuple(student_hidden.shape)} on {student_hidden.device} and teacher_hidden "
            f"{tuple(teacher_hidden.shape)} on {teacher_hidden.device}; expected the same positions on one device"
        )
    mask = check_positions(mask, student_hidden.shape[:-1], student_hidden.device)
    tensors = [student_hidden, student_weight, student_bias, teacher_hidden, teacher_weight, teacher_bias]
    dtype = torch.float32
    for tensor in tensors:
        dtype = dtype if tensor is None else torch.promote_types(dtype, tensor.dtype)
    upstream = position_weights(student_hidden.shape[:-1], mask, reduction, normalizer).to(student_hidden.device, dtype)
    gap = _Gap(choose_backend(backend, student_hidden.device, dtype), divergence, beta, temperature, scale_by_t2)
    if torch.is_grad_enabled():
        losses = _LinearSoftmaxKL.apply(gap, mask, upstream, *tensors)
    else:
        losses = _pass(gap, mask, upstream, (False, False, False), *tensors)[0]
    return reduce(losses, mask, reduction, normalizer)


@dataclass(frozen=True)
class _Gap:
    """A divergence with its options, as loss and gradient of a matrix of logits."""

    per_position: Callable[..., Tensor]
    divergence: str
    beta: float
    temperature: float
    scale_by_t2: bool

    def __call__(
        self, student: Float[Tensor, "N V"], teacher: Float[Tensor, "N V"], upstream: Float[Tensor, " N"] | None
    ) -> tuple[Float[Tensor, " N"], Float[Tensor, "N V"] | None]:
        """The loss of each row and the gradient of Σ upstream·loss, which takes the place of the student's logits."""
        if self.per_position is chunked_softmax_kl:
            scale = DIVERGENCES[self.divergence].scale(self.temperature, self.scale_by_t2)
            into = None if upstream is None else student
            return sweep(student, teacher, None, upstream, self.divergence, self.beta, self.temperature, scale, into)
        per_position = partial(
            self.per_position,
            divergence=self.divergence,
            beta=self.beta,
            temperature=self.temperature,
            scale_by_t2=self.scale_by_t2,
            mask=None,
        )
        if upstream is None:
            return per_position(student, teacher), None
        with torch.enable_grad():
            student = student.detach().requires_grad_()
            losses = per_position(student, teacher)
        return losses.detach(), torch.autograd.grad(losses, student, upstream)[0]


class _LinearSoftmaxKL(torch.autograd.Function):
    """The gradients are made in forward, where the logits are, for the upstream gradient that is expected.

    If another arrives, a multiple of it scales them; any other, or a second backward pass, makes them anew.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, gap: _Gap, mask, expected_upstream, *tensors):
        ctx.wanted = ctx.needs_input_grad[3:6]
        losses, ctx.gradients = _pass(gap, mask, expected_upstream, ctx.wanted, *tensors)
        ctx.save_for_backward(mask, *tensors)
        ctx.gap, ctx.expected_upstream = gap, expected_upstream
        return losses

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, upstream):
        gradients, ctx.gradients = ctx.gradients, None
        factor = None if gradients is None else _common_factor(upstream, ctx.expected_upstream)
        mask, *tensors = ctx.saved_tensors
        if factor is None:
            gradients = _pass(ctx.gap, mask, upstream, ctx.wanted, *tensors)[1]
        elif factor != 1:
            gradients = [g if g is None else g.mul_(factor) for g in gradients]
        # Rounded to half precision only here, after the scaling: a loss scale would come too late for what underflowed.
        gradients = [g if g is None else g.view_as(t).to(t.dtype) for g, t in zip(gradients, tensors[:3], strict=True)]
        return None, None, None, *gradients, None, None, None


def _pass(
    gap: _Gap,
    mask: Bool[Tensor, "..."] | None,
    upstream: Float[Tensor, "..."],
    wanted: tuple[bool, bool, bool],
    student_hidden: Tensor,
    student_weight: Tensor,
    student_bias: Tensor | None,
    teacher_hidden: Tensor,
    teacher_weight: Tensor,
    teacher_bias: Tensor | None,
) -> tuple[Float[Tensor, "..."], list[Tensor | None]]:
    """The loss of each position, and the gradients of Σ upstream·loss for the student's hidden, weight and bias."""
    dtype, vocabulary = upstream.dtype, len(student_weight)
    losses = torch.zeros_like(upstream)
    h, h_teacher = (hidden.reshape(losses.numel(), hidden.shape[-1]) for hidden in (student_hidden, teacher_hidden))
    to_hidden, to_weight, to_bias = (
        torch.zeros(shape, dtype=dtype, device=h.device) if want else None
        for shape, want in zip((h.shape, student_weight.shape, (vocabulary,)), wanted, strict=True)
    )
    chunk = max(1, LOGITS // vocabulary)
    # made once: a chunk of its own would meet the one before it, still alive, and pay for fresh pages
    room = [torch.empty(min(chunk, len(h)), vocabulary, dtype=dtype, device=h.device) for _ in ("student", "teacher")]
    for rows in row_chunks(mask, len(h), chunk):
        inputs = h[rows].to(dtype)
        student = _logits(inputs, student_weight, student_bias, room[0])
        teacher = _logits(h_teacher[rows].to(dtype), teacher_weight, teacher_bias, room[1])
        weights = upstream.reshape(-1)[rows] if any(wanted) else None
        losses.view(-1)[rows], to_logits = gap(student, teacher, weights)
        if to_hidden is not None:
            to_hidden[rows] = sum(to_logits[:, block] @ part for block, part in _parts(student_weight, dtype))
        if to_weight is not None:
            to_weight.addmm_(to_logits.T, inputs)
        if to_bias is not None:
            to_bias += to_logits.sum(0)
    return losses, [to_hidden, to_weight, to_bias]


def _logits(
    hidden: Float[Tensor, "N d"], weight: Float[Tensor, "V d"], bias: Tensor | None, room: Float[Tensor, "R V"]
) -> Float[Tensor, "N V"]:
    """hidden @ weightᵀ + bias, in the dtype of `hidden` from the first product on, in the first rows of `room`."""
    logits = room[: len(hidden)]
    for block, part in _parts(weight, hidden.dtype):
        torch.mm(hidden, part.T, out=logits[:, block])
    return logits if bias is None else logits.add_(bias)


def _parts(weight: Float[Tensor, "V d"], dtype: torch.dtype) -> Iterator[tuple[slice, Float[Tensor, "block d"]]]:
    """The weight in `dtype`, in parts of a few MiB if it has to be converted and as a whole if not."""
    size = len(weight) if weight.dtype == dtype else max(1, 2**21 // weight.shape[1])
    for start in range(0, len(weight), size):
        block = slice(start, min(start + size, len(weight)))
        yield block, weight[block].to(dtype)


def _common_factor(upstream: Float[Tensor, "..."], expected: Float[Tensor, "..."]) -> float | None:
    """The number that turns `expected` into `upstream`, if there is one."""
    ratios = (upstream / expected)[expected != 0]
    if not len(ratios):
        return 1.0  # nothing counts, so every gradient is 0
    lowest, highest = ratios.aminmax()
    return lowest.item() if lowest == highest else None
