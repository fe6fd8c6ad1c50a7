"""Rows in memory: their addresses, the part of a row that fills no tile, and operations on whole rows."""

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def row_start(pointer, row, inner_rows, outer_stride, inner_stride):
    """A row's address in a tensor seen as [outer, inner, V]; in 64 bits: 2³¹ elements are 16 K rows of 128 K."""
    outer = (row // inner_rows).to(tl.int64)
    inner = (row % inner_rows).to(tl.int64)
    return pointer + (outer * outer_stride + inner * inner_stride)


@triton.jit
@no_type_check
def load_rest(student, teacher, columns, vocabulary):
    """The tile that the row does not fill; beyond the row's end stands a token that neither side can say."""
    inside = columns < vocabulary
    s = tl.load(student + columns, mask=inside, other=float("-inf"))
    t = tl.load(teacher + columns, mask=inside, other=float("-inf"))
    return s, t


@triton.jit
@no_type_check
def load_label(labels, row, vocabulary, label_weight):
    """A row's label and the weight of its cross-entropy, which is NaN for a label outside the vocabulary."""
    label = tl.load(labels + row)
    weight = tl.where((label >= 0) & (label < vocabulary), label_weight, float("nan"))
    return label.to(tl.int32), weight  # 32 bits, as columns are: in 64 every comparison would take two registers


@triton.jit
@no_type_check
def zero_row(gradient, vocabulary, BLOCK: tl.constexpr):
    """A masked row's gradient."""
    zeros = tl.zeros([BLOCK], gradient.dtype.element_ty)
    for start in range(0, vocabulary, BLOCK):
        columns = start + tl.arange(0, BLOCK)
        tl.store(gradient + columns, zeros, mask=columns < vocabulary)


@triton.jit
@no_type_check
def multiply_rows(
    gradient, mask, upstream, outer_stride, inner_stride, inner_rows, vocabulary, BLOCK: tl.constexpr
):  # fmt: skip
    """Multiply one row of a gradient made in the forward pass, in place, by the factor that backpropagation brings.

    A masked row and a factor of 1, which `loss.backward()` brings, cost nothing.
    """
    row = tl.program_id(0)
    factor = tl.load(upstream + row)
    if mask is not None:
        factor = tl.where(tl.load(mask + row), factor, 1.0)
    if factor != 1.0:
        gradient = row_start(gradient, row, inner_rows, outer_stride, inner_stride)
        for start in range(0, vocabulary, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            g = tl.load(gradient + columns, mask=columns < vocabulary).to(tl.float32)
            tl.store(gradient + columns, (g * factor).to(gradient.dtype.element_ty), mask=columns < vocabulary)
