"""Rows that fit on the chip: read once and held in registers, from which the gradient is made."""

from typing import no_type_check

import triton
import triton.language as tl

from kd_lab.how.kernels.rows import load_label, load_rest, row_start, zero_row
from kd_lab.how.kernels.tile import (
    absorb_pair,
    finish_pair,
    gradient_factor,
    gradient_tile,
    hold,
    label_terms,
    loss_sums,
    nothing_yet,
    release,
)


@triton.jit
@no_type_check
def resident(
    student, teacher, labels, mask, weight, loss, gradient,
    student_outer, student_inner, teacher_outer, teacher_inner, gradient_outer, gradient_inner,
    inner_rows, vocabulary, inverse_temperature, beta, scale, label_weight,
    DIVERGENCE: tl.constexpr, WITH_GRADIENT: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """Loss of one row of at most TILES·BLOCK columns and, WITH_GRADIENT, its gradient times the row's weight.

    Where there are labels, `label_weight` times the cross-entropy with the row's label is a part of both.

    Serves as the backward pass too, with the upstream gradient as the weight: the row is read again, and nothing
    need be kept of the forward pass.
    """
    LABELS: tl.constexpr = labels is not None
    row = tl.program_id(0)
    student = row_start(student, row, inner_rows, student_outer, student_inner)
    teacher = row_start(teacher, row, inner_rows, teacher_outer, teacher_inner)
    if WITH_GRADIENT:
        gradient = row_start(gradient, row, inner_rows, gradient_outer, gradient_inner)
    if mask is not None and tl.load(mask + row) == 0:
        if loss is not None:
            tl.store(loss + row, 0.0)
        if WITH_GRADIENT:
            zero_row(gradient, vocabulary, BLOCK)
        return
    lanes = tl.arange(0, BLOCK)
    whole = (TILES - 1) * BLOCK

    s, t = load_rest(student, teacher, whole + lanes, vocabulary)
    state = absorb_pair(nothing_yet(), s, t, inverse_temperature, DIVERGENCE, LABELS)
    held = (hold(s, t, vocabulary),)
    for i in tl.static_range(1, TILES):
        s = tl.load(student + (whole - i * BLOCK) + lanes)
        t = tl.load(teacher + (whole - i * BLOCK) + lanes)
        state = absorb_pair(state, s, t, inverse_temperature, DIVERGENCE, LABELS)
        held += (hold(s, t, vocabulary),)
    student_lse, teacher_lse, gap, kl = finish_pair(state, inverse_temperature, DIVERGENCE)

    if DIVERGENCE == "forward_kl":
        value, constant = kl, teacher_lse
    elif DIVERGENCE == "reverse_kl":
        value, constant = kl, kl
    else:
        value = tl.full([], 0.0, tl.float32)
        constant = tl.full([], 0.0, tl.float32)
        for i in tl.static_range(TILES):
            s, t = release(held[i], student.dtype.element_ty, teacher.dtype.element_ty)
            more, more_slope = loss_sums(s, t, state, gap, inverse_temperature, beta, DIVERGENCE)
            value += more
            constant += more_slope

    value *= scale
    label, label_lse, label_share = 0, 0.0, 0.0
    if LABELS:
        label, label_share = load_label(labels, row, vocabulary, label_weight)
        logit = tl.load(student + label, mask=label_share >= 0, other=0.0).to(tl.float32)
        label_lse, surprise = label_terms(state, logit, DIVERGENCE)
        value += label_share * surprise
    row_weight = 1.0
    if weight is not None:
        row_weight = tl.load(weight + row)
    if loss is not None:
        tl.store(loss + row, value * row_weight)
    if WITH_GRADIENT:
        factor = row_weight * gradient_factor(inverse_temperature, beta, scale, DIVERGENCE)
        numbers = (student_lse, gap, constant, factor, label_lse, label, row_weight * label_share)
        for i in tl.static_range(TILES):
            columns = whole - i * BLOCK + lanes
            s, t = release(held[i], student.dtype.element_ty, teacher.dtype.element_ty)
            g = gradient_tile(s, t, columns, numbers, inverse_temperature, beta, DIVERGENCE, LABELS)
            if i == 0:
                tl.store(gradient + columns, g.to(gradient.dtype.element_ty), mask=columns < vocabulary)
            else:
                tl.store(gradient + columns, g.to(gradient.dtype.element_ty))
