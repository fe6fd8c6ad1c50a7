"""Rows that fit on the chip: read once, held in registers, and the gradient is made from what is there."""

from typing import no_type_check

import triton
import triton.language as tl

from kd_lab.how.kernels.memory import load_rest, row_start, zero_row
from kd_lab.how.kernels.tile import (
    absorb_pair,
    finish_pair,
    gradient_factor,
    gradient_tile,
    hold,
    loss_sums,
    nothing_yet,
)


@triton.jit
@no_type_check
def resident(
    student, teacher, mask, weight, loss, gradient,
    student_outer, student_inner, teacher_outer, teacher_inner, gradient_outer, gradient_inner,
    inner_rows, vocabulary, inverse_temperature, beta, scale,
    DIVERGENCE: tl.constexpr, WITH_GRADIENT: tl.constexpr, BLOCK: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    """Loss of one row of at most TILES·BLOCK columns and, WITH_GRADIENT, its gradient times the row's weight.

    Serves as the backward pass too, with what comes from upstream as the weight: the row is read again, and nothing
    need be kept of the forward pass.
    """
    row = tl.program_id(0)
    student = row_start(student, row, inner_rows, student_outer, student_inner)
    teacher = row_start(teacher, row, inner_rows, teacher_outer, teacher_inner)
    if WITH_GRADIENT:
        gradient = row_start(gradient, row, inner_rows, gradient_outer, gradient_inner)
    if mask is not None:
        if tl.load(mask + row) == 0:
            if loss is not None:
                tl.store(loss + row, 0.0)
            if WITH_GRADIENT:
                zero_row(gradient, vocabulary, BLOCK)
            return
    lanes = tl.arange(0, BLOCK)

    student_tiles = ()
    teacher_tiles = ()
    state = nothing_yet()
    for i in tl.static_range(TILES):
        columns = i * BLOCK + lanes
        if i + 1 < TILES:  # all tiles but the last are whole
            s = tl.load(student + columns)
            t = tl.load(teacher + columns)
        else:
            s, t = load_rest(student, teacher, columns, vocabulary)
        state = absorb_pair(state, s, t, inverse_temperature, DIVERGENCE)
        student_tiles += (hold(s, vocabulary),)
        teacher_tiles += (hold(t, vocabulary),)
    student_lse, teacher_lse, gap, kl = finish_pair(state, inverse_temperature, DIVERGENCE)

    if DIVERGENCE == "forward_kl":
        value, constant = kl, teacher_lse
    elif DIVERGENCE == "reverse_kl":
        value, constant = kl, kl
    else:
        value = tl.full([], 0.0, tl.float32)
        constant = tl.full([], 0.0, tl.float32)
        for i in tl.static_range(TILES):
            more, more_slope = loss_sums(
                student_tiles[i], teacher_tiles[i],
                student_lse, teacher_lse, gap, inverse_temperature, beta, DIVERGENCE,
            )  # fmt: skip
            value += more
            constant += more_slope

    row_weight = 1.0
    if weight is not None:
        row_weight = tl.load(weight + row)
    if loss is not None:
        tl.store(loss + row, value * scale * row_weight)
    if WITH_GRADIENT:
        factor = row_weight * gradient_factor(inverse_temperature, beta, scale, DIVERGENCE)
        for i in tl.static_range(TILES):
            columns = i * BLOCK + lanes
            g = gradient_tile(
                student_tiles[i], teacher_tiles[i],
                student_lse, gap, constant, inverse_temperature, beta, DIVERGENCE,
            )  # fmt: skip
            g = (g * factor).to(gradient.dtype.element_ty)
            if i + 1 < TILES:
                tl.store(gradient + columns, g)
            else:
                tl.store(gradient + columns, g, mask=columns < vocabulary)
