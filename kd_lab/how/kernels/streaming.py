"""Rows too wide for the chip: swept tile by tile, once for the statistics and once more for each result they unlock."""

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
def streaming_forward(
    student, teacher, labels, mask, weight, loss, statistics, gradient,
    student_outer, student_inner, teacher_outer, teacher_inner, gradient_outer, gradient_inner,
    inner_rows, vocabulary, inverse_temperature, beta, scale, label_weight,
    DIVERGENCE: tl.constexpr, SAVE: tl.constexpr, BLOCK: tl.constexpr, STAGES: tl.constexpr, HELD: tl.constexpr,
):  # fmt: skip
    """Loss of one row and, as SAVE asks, "nothing", "statistics" for `streaming_backward`, or the "gradient" itself,
    multiplied by the row's weight, where the caller knows the factor that backpropagation will bring.

    Whole tiles need no mask, so that their loads are vectors for any V whose rows are padded to 16 elements; the rest
    of the row goes first. The last HELD whole tiles stay in registers for the later sweeps, which go back from there,
    over what the cache still has.
    """
    LABELS: tl.constexpr = labels is not None
    KEPT: tl.constexpr = 4 if LABELS else 3  # numbers per row
    row = tl.program_id(0)
    student = row_start(student, row, inner_rows, student_outer, student_inner)
    teacher = row_start(teacher, row, inner_rows, teacher_outer, teacher_inner)
    if SAVE == "gradient":
        gradient = row_start(gradient, row, inner_rows, gradient_outer, gradient_inner)
    if mask is not None and tl.load(mask + row) == 0:
        tl.store(loss + row, 0.0)
        if SAVE == "gradient":
            zero_row(gradient, vocabulary, BLOCK)
        return
    lanes = tl.arange(0, BLOCK)
    whole = vocabulary // BLOCK * BLOCK
    kept = whole - HELD * BLOCK

    # First sweep: the statistics.
    state = nothing_yet()
    for start in range(whole, vocabulary, BLOCK):  # the rest: one tile, or none
        s, t = load_rest(student, teacher, start + lanes, vocabulary)
        state = absorb_pair(state, s, t, inverse_temperature, DIVERGENCE, LABELS)
    for start in tl.range(0, kept, BLOCK, num_stages=STAGES):
        s = tl.load(student + start + lanes)
        t = tl.load(teacher + start + lanes)
        state = absorb_pair(state, s, t, inverse_temperature, DIVERGENCE, LABELS)
    held = ()
    for i in tl.static_range(HELD):
        s = tl.load(student + kept + i * BLOCK + lanes)
        t = tl.load(teacher + kept + i * BLOCK + lanes)
        state = absorb_pair(state, s, t, inverse_temperature, DIVERGENCE, LABELS)
        held += (hold(s, t, vocabulary),)
    student_lse, teacher_lse, gap, kl = finish_pair(state, inverse_temperature, DIVERGENCE)

    # Second sweep, back to the row's beginning, for the divergences whose terms need both normalisers.
    if DIVERGENCE == "forward_kl":
        value, constant = kl, teacher_lse
    elif DIVERGENCE == "reverse_kl":
        value, constant = kl, kl  # KL(q‖p) is its own mean slope
    else:
        value = tl.full([], 0.0, tl.float32)
        constant = tl.full([], 0.0, tl.float32)
        for i in tl.static_range(HELD):
            s, t = release(held[i], student.dtype.element_ty, teacher.dtype.element_ty)
            more, more_slope = loss_sums(s, t, state, gap, inverse_temperature, beta, DIVERGENCE)
            value += more
            constant += more_slope
        for start in tl.range(0, kept, BLOCK, num_stages=STAGES):
            columns = kept - BLOCK - start + lanes
            s = tl.load(student + columns)
            t = tl.load(teacher + columns)
            more, more_slope = loss_sums(s, t, state, gap, inverse_temperature, beta, DIVERGENCE)
            value += more
            constant += more_slope
        for start in range(whole, vocabulary, BLOCK):
            s, t = load_rest(student, teacher, start + lanes, vocabulary)
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
    tl.store(loss + row, value * row_weight)
    if SAVE != "nothing":
        tl.store(statistics + row * KEPT, student_lse)
        tl.store(statistics + row * KEPT + 1, gap)
        tl.store(statistics + row * KEPT + 2, constant)
        if LABELS:
            tl.store(statistics + row * KEPT + 3, label_lse)

    # Last sweep: the gradient, from the tiles at hand back to the row's beginning.
    if SAVE == "gradient":
        factor = row_weight * gradient_factor(inverse_temperature, beta, scale, DIVERGENCE)
        numbers = (student_lse, gap, constant, factor, label_lse, label, row_weight * label_share)
        for i in tl.static_range(HELD):
            s, t = release(held[i], student.dtype.element_ty, teacher.dtype.element_ty)
            columns = kept + i * BLOCK + lanes
            g = gradient_tile(s, t, columns, numbers, inverse_temperature, beta, DIVERGENCE, LABELS)
            tl.store(
                gradient + kept + i * BLOCK + lanes, g.to(gradient.dtype.element_ty)
            )  # an address, no vector of them
        sweep_gradient(
            student, teacher, gradient, kept, numbers, vocabulary, inverse_temperature, beta,
            DIVERGENCE, LABELS, BLOCK, STAGES,
        )  # fmt: skip


@triton.jit
@no_type_check
def streaming_backward(
    student, teacher, labels, mask, upstream, statistics, gradient,
    student_outer, student_inner, teacher_outer, teacher_inner, gradient_outer, gradient_inner,
    inner_rows, vocabulary, inverse_temperature, beta, scale, label_weight,
    DIVERGENCE: tl.constexpr, BLOCK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """Gradient of one row from the numbers that the forward pass kept of it, times the upstream gradient."""
    LABELS: tl.constexpr = labels is not None
    KEPT: tl.constexpr = 4 if LABELS else 3  # numbers per row
    row = tl.program_id(0)
    student = row_start(student, row, inner_rows, student_outer, student_inner)
    teacher = row_start(teacher, row, inner_rows, teacher_outer, teacher_inner)
    gradient = row_start(gradient, row, inner_rows, gradient_outer, gradient_inner)
    if mask is not None and tl.load(mask + row) == 0:
        zero_row(gradient, vocabulary, BLOCK)
        return
    student_lse = tl.load(statistics + row * KEPT)
    gap = tl.load(statistics + row * KEPT + 1)
    constant = tl.load(statistics + row * KEPT + 2)
    row_weight = tl.load(upstream + row)
    factor = row_weight * gradient_factor(inverse_temperature, beta, scale, DIVERGENCE)
    label, label_lse, label_share = 0, 0.0, 0.0
    if LABELS:
        label, label_share = load_label(labels, row, vocabulary, label_weight)
        label_lse = tl.load(statistics + row * KEPT + 3)
    numbers = (student_lse, gap, constant, factor, label_lse, label, row_weight * label_share)
    whole = vocabulary // BLOCK * BLOCK
    sweep_gradient(
        student, teacher, gradient, whole, numbers, vocabulary, inverse_temperature, beta,
        DIVERGENCE, LABELS, BLOCK, STAGES,
    )  # fmt: skip


@triton.jit
@no_type_check
def sweep_gradient(
    student, teacher, gradient, end, numbers, vocabulary, inverse_temperature, beta,
    DIVERGENCE: tl.constexpr, LABELS: tl.constexpr, BLOCK: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """The gradient of a row's first `end` columns, last tile first, and of the rest that fills no tile."""
    lanes = tl.arange(0, BLOCK)
    for start in tl.range(0, end, BLOCK, num_stages=STAGES):
        columns = end - BLOCK - start + lanes
        s = tl.load(student + columns)
        t = tl.load(teacher + columns)
        g = gradient_tile(s, t, columns, numbers, inverse_temperature, beta, DIVERGENCE, LABELS)
        tl.store(gradient + columns, g.to(gradient.dtype.element_ty))
    for start in range(vocabulary // BLOCK * BLOCK, vocabulary, BLOCK):
        columns = start + lanes
        s, t = load_rest(student, teacher, columns, vocabulary)
        g = gradient_tile(s, t, columns, numbers, inverse_temperature, beta, DIVERGENCE, LABELS)
        tl.store(gradient + columns, g.to(gradient.dtype.element_ty), mask=columns < vocabulary)
