"""softmax_kl where the logits are so few that starting an operation costs more than its arithmetic.

The formula's own operations, and those of its gradient, in place and unseen by autograd: the same numbers to the last
bit, of half as many operations. Where something is infinite, and for a second derivative, the formula itself answers.

A mixture of more than `FEW_OF_MIXTURE` logits is one chunk of `chunk_loss` instead: its numbers are those of the
chunked path, and only its second derivative is the formula's.
"""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kd_lab.how.chunk_divergences import Loss
from kd_lab.how.chunk_loss import chunk_loss, matrices_of_scratch
from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.reduction import denominator_of, position_weights, reduce
from kd_lab.how.reference import reference_softmax_kl

FEW_OF_MIXTURE = 2**13
"""Logits up to which a mixture's formula is done sooner than its chunk."""


def few_softmax_kl(
    student_logits: Float[Tensor, "... V"],
    teacher_logits: Float[Tensor, "... V"],
    *,
    divergence: str,
    beta: float,
    temperature: float,
    scale_by_t2: bool,
    mask: Bool[Tensor, "..."] | None,
    reduction: str,
    normalizer: float | Tensor | None,
    weights: Float[Tensor, "..."] | None,
) -> Float[Tensor, "..."]:
    """The reduced loss: by `_Formula` or `_Chunk`, and by `reference_softmax_kl` for logits other than fp32 and in a
    traced graph.
    """
    options = divergence, beta, temperature, scale_by_t2, reduction, normalizer
    of_fp32 = student_logits.dtype == teacher_logits.dtype == torch.float32
    if not of_fp32 or torch.compiler.is_compiling():
        return _by_the_formula(student_logits, teacher_logits, mask, weights, options)
    few = student_logits.numel() <= FEW_OF_MIXTURE or not DIVERGENCES[divergence].is_mixture
    return (_Formula if few else _Chunk).apply(student_logits, teacher_logits, mask, weights, options)


def _by_the_formula(student: Tensor, teacher: Tensor, mask: Tensor | None, weights: Tensor | None, options) -> Tensor:
    divergence, beta, temperature, scale_by_t2, reduction, normalizer = options
    gap = {"divergence": divergence, "beta": beta, "temperature": temperature, "scale_by_t2": scale_by_t2}
    return reduce(reference_softmax_kl(student, teacher, **gap, mask=mask), mask, reduction, normalizer, weights)


class _Formula(torch.autograd.Function):
    """The operations are those that autograd would record, in its order, on all rows or, for mixtures, on those that
    count: logaddexp rounds by the place of a number in memory.
    """

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, mask: Tensor | None, weights: Tensor | None, options: Any):
        divergence, beta, temperature, scale_by_t2, reduction, normalizer = options
        entry = DIVERGENCES[divergence]
        ctx.save_for_backward(student, teacher, mask, weights)
        ctx.options, ctx.kept = options, None
        rows = _rows(mask) if entry.is_mixture else None
        x, y = (_take(side, rows) for side in (student, teacher))
        if temperature != 1:
            x, y = x / temperature, y / temperature
        logp = x.log_softmax(-1)
        losses, parts = _values(divergence, logp, y.log_softmax(-1), beta)
        if not math.isfinite(losses.sum().item()):
            return _by_the_formula(student, teacher, mask, weights, options)
        if rows is not None:
            losses = _spread(losses, rows, mask.shape)
        elif mask is not None:
            losses = torch.where(mask, losses, 0.0)
        scale = entry.scale(temperature, scale_by_t2)
        if scale != 1:
            losses.mul_(scale)
        denominator = 1 if reduction != "mean" else denominator_of(losses, mask, normalizer)
        ctx.kept = logp, parts, rows, scale, denominator
        if weights is not None:
            losses.mul_(weights)
        return losses if reduction == "none" else losses.sum().div_(denominator)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        student, teacher, mask, weights = ctx.saved_tensors
        if torch.is_grad_enabled() or ctx.kept is None:
            return _again(student, teacher, mask, weights, ctx.options, upstream)
        divergence, beta, temperature, *_ = ctx.options
        logp, parts, rows, scale, denominator = ctx.kept
        pull = upstream / denominator
        if weights is not None:
            pull = pull * weights
        if scale != 1:
            pull = pull * scale
        if rows is not None:
            pull = pull.expand(mask.shape).reshape(-1)[rows] if pull.dim() else pull
        elif mask is not None:
            pull = torch.where(mask, pull, 0.0)
        slope = _slope(divergence, parts, pull.unsqueeze(-1), beta)
        gradient = torch._log_softmax_backward_data(slope, logp, -1, logp.dtype)
        if temperature != 1:
            gradient.div_(temperature)
        return gradient if rows is None else _spread(gradient, rows, student.shape), None, None, None, None


class _Chunk(torch.autograd.Function):
    """All rows that count as one chunk, for a mixture, whose formula has three times as many operations."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, mask: Tensor | None, weights: Tensor | None, options: Any):
        divergence, beta, temperature, scale_by_t2, reduction, normalizer = options
        ctx.save_for_backward(student, teacher, mask, weights)
        positions, rows = student.shape[:-1], _rows(mask)
        x, y = (_take(side, rows).reshape(-1, student.shape[-1]) for side in (student, teacher))
        factor = position_weights(positions, mask, reduction, normalizer, weights, student.device).reshape(-1, 1)
        loss = Loss(divergence, beta, temperature, DIVERGENCES[divergence].scale(temperature, scale_by_t2))
        gradient, *scratch = x.new_empty(1 + matrices_of_scratch(loss, False, False), *x.shape)
        weight = None
        if ctx.needs_input_grad[0]:
            weight = factor if rows is None else factor[rows]
        losses = chunk_loss(x, y, loss, weight, gradient, scratch)
        losses = losses.view(positions) if rows is None else _spread(losses, rows, positions)
        denominator = 1 if reduction != "mean" else denominator_of(losses, mask, normalizer)
        if isinstance(normalizer, Tensor):  # an infinite one, of a step in which nothing counts, is in the factors
            denominator = denominator.nan_to_num(posinf=1)
        ctx.options, ctx.kept = options, (gradient, rows, denominator)
        return reduce(losses, mask, reduction, normalizer, weights)

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        student, teacher, mask, weights = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _again(student, teacher, mask, weights, ctx.options, upstream)
        gradient, rows, denominator = ctx.kept
        gradient = gradient * ((upstream / denominator) / (upstream.new_ones(()) / denominator))
        return gradient.view_as(student) if rows is None else _spread(gradient, rows, student.shape), *[None] * 4


def _again(student: Tensor, teacher: Tensor, mask: Tensor | None, weights: Tensor | None, options: Any, upstream):
    """The gradient by the formula, which is differentiated again if someone wants to."""
    again = torch.is_grad_enabled()
    leaf = student if again else student.detach().requires_grad_()
    with torch.enable_grad():
        loss = _by_the_formula(leaf, teacher, mask, weights, options)
    return *torch.autograd.grad(loss, leaf, upstream, create_graph=again), None, None, None, None


def _rows(mask: Tensor | None) -> Tensor | None:
    """The numbers of the rows that count."""
    return None if mask is None else mask.reshape(-1).nonzero().squeeze(-1)


def _take(logits: Tensor, rows: Tensor | None) -> Tensor:
    return logits if rows is None else logits.reshape(-1, logits.shape[-1]).index_select(0, rows)


def _spread(values: Tensor, rows: Tensor, shape: torch.Size) -> Tensor:
    """The values of rows at their places, and zeros."""
    return values.new_zeros(shape).view(-1, *values.shape[1:]).index_copy_(0, rows, values).view(shape)


# Of each divergence: its value from log q and log p, with what its derivative by log q reads, and that derivative. The
# order of the operations is that in which autograd meets those of kd_lab/how/divergences.py.


def _values(divergence: str, s: Tensor, t: Tensor, beta: float) -> tuple[Tensor, tuple[Tensor, ...]]:
    match divergence:
        case "forward_kl":
            q, p = s.exp(), t.exp()
            return _kl(t, s, p, q)[0], (q, p)
        case "reverse_kl":
            q = s.exp()
            value, log_ratio = _kl(s, t, q, t.exp())
            return value, (q, log_ratio)
        case "total_variation":
            q = s.exp()
            gap = q - t.exp()
            sign = gap.sign()
            return gap.mul_(sign).sum(-1).div_(2), (q, sign)
    logm, m, share = _mixture(s, t, beta)
    match divergence:
        case "jsd":
            q, p = s.exp(), t.exp()
            teacher_part, _ = _kl(t, logm, p, m)
            student_part, log_ratio = _kl(s, logm, q, m)
            return teacher_part.mul_(beta).add_(student_part.mul_(1 - beta)), (q, p, m, share, log_ratio)
        case "skew_kl":
            p = t.exp()
            return _kl(t, logm, p, m)[0], (p, m, share)
        case "skew_reverse_kl":
            q = s.exp()
            value, log_ratio = _kl(s, logm, q, m)
            return value, (q, m, share, log_ratio)
    raise AssertionError(divergence)  # the checks know the names


def _slope(divergence: str, parts: tuple[Tensor, ...], pull: Tensor, beta: float) -> Tensor:
    match divergence:
        case "forward_kl":
            q, p = parts
            return (q * pull).sub_(p * pull)
        case "reverse_kl":
            return _by_first(*parts, pull)
        case "total_variation":
            q, sign = parts
            return (sign * (pull / 2)).mul_(q)
        case "jsd":
            q, p, m, share, log_ratio = parts
            of_teacher, of_student = pull * beta, pull * (1 - beta)
            by_mixture = (m * of_student).sub_(q * of_student).add_(m * of_teacher).sub_(p * of_teacher)
            return _by_first(q, log_ratio, of_student).add_(by_mixture.div_(share))
        case "skew_kl":
            p, m, share = parts
            return (m * pull).sub_(p * pull).div_(share)
        case "skew_reverse_kl":
            q, m, share, log_ratio = parts
            return _by_first(q, log_ratio, pull).add_((m * pull).sub_(q * pull).div_(share))
    raise AssertionError(divergence)


def _kl(logp: Tensor, logq: Tensor, p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    """Σ p·log(p/q) − p + q, and log(p/q)."""
    log_ratio = logp - logq
    return (p * log_ratio).sub_(p).add_(q).sum(-1).clamp_min_(0), log_ratio


def _by_first(p: Tensor, log_ratio: Tensor, pull: Tensor) -> Tensor:
    """The derivative of `_kl` by log p."""
    return (log_ratio * pull).sub_(pull).mul_(p).add_(p * pull)


def _mixture(s: Tensor, t: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    """log m, m, and that by which a slope by log m is divided to be one by log q."""
    teacher_part, student_part = t + math.log(beta), s + math.log1p(-beta)
    logm = torch.logaddexp(teacher_part, student_part)
    return logm, logm.exp(), teacher_part.sub_(student_part).exp_().add_(1)
