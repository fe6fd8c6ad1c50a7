"""A gradient that was made in the forward pass meets the factor that backpropagation brings."""

from typing import no_type_check

import triton
import triton.language as tl

from kd_lab.how.kernels.memory import row_start


@triton.jit
@no_type_check
def multiply_rows(
    gradient, mask, upstream, outer_stride, inner_stride, inner_rows, vocabulary, BLOCK: tl.constexpr
):  # fmt: skip
    """Multiply one row in place; a masked row and a factor of 1, which `loss.backward()` brings, cost nothing."""
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
