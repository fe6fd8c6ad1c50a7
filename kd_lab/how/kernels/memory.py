"""Where rows lie, and how the part of a row that fills no tile is read."""

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def row_start(pointer, row, inner_rows, outer_stride, inner_stride):
    """Where a row begins, in a tensor seen as [outer, inner, V]; in 64 bits: 2³¹ elements are 16 K rows of 128 K."""
    outer = (row // inner_rows).to(tl.int64)
    inner = (row % inner_rows).to(tl.int64)
    return pointer + (outer * outer_stride + inner * inner_stride)


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
def load_rest(student, teacher, columns, vocabulary):
    """The tile that the row does not fill; what lies beyond the row is a token that neither side can say."""
    inside = columns < vocabulary
    s = tl.load(student + columns, mask=inside, other=float("-inf"))
    t = tl.load(teacher + columns, mask=inside, other=float("-inf"))
    return s, t
