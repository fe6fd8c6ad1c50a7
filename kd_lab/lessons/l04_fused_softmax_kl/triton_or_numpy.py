"""Triton where it is installed and otherwise its stand-in, under the same names: lesson 04 runs anywhere.

Triton decides when it is imported whether kernels are compiled for a GPU or interpreted, so TRITON_INTERPRET=1 has to
be in the environment before this file, and all of `kd_lab.how`, is imported.
"""

import warnings
from typing import no_type_check

# −∞ − (−∞) occurs in right kernels and in wrong ones; a GPU does not remark on it either.
warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"triton\.runtime\.interpreter")

try:
    import triton
    import triton.language as tl

    from kd_lab.how.kernels.audit.evidence import count_bytes

    HAS_TRITON = True
except ModuleNotFoundError as error:
    if error.name is None or error.name.partition(".")[0] != "triton":
        raise
    from kd_lab.lessons.l04_fused_softmax_kl.numpy_triton import count_bytes, tl, triton

    HAS_TRITON = False

__all__ = ["HAS_TRITON", "count_bytes", "load_block", "tl", "triton"]


@triton.jit
@no_type_check
def load_block(row, start, vocabulary, BLOCK: tl.constexpr):
    """Logits start … start + BLOCK − 1 of the row that begins at `row`, as fp32; −inf where the row has ended."""
    columns = start + tl.arange(0, BLOCK)
    return tl.load(row + columns, mask=columns < vocabulary, other=float("-inf")).to(tl.float32)
