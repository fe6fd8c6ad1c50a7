"""The code that computes the loss of each position: the formula, the CPU's chunks, or the GPU's kernel.

"auto" takes on the CPU, up to `SMALL` logits, the formula with fewer operations of `few_logits.py`. Of a mixture with
more than `FEW_OF_MIXTURE` logits it makes one chunk there; with labels, statistics or reduction="none" such a mixture
is the chunked path's, and the column "chunked" holds.

| | reference | few logits (CPU) | chunked (CPU) | triton (GPU) |
|---|---|---|---|---|
| fp32 logits | yes | yes | yes | yes |
| bf16, fp16 logits | yes | the reference or chunked takes over | yes | yes |
| fp64 logits | yes | the reference takes over | the reference takes over | the reference takes over |
| second derivatives, Hessians | yes | the reference takes over | refused | refused |
| torch.func: grad, vmap, jvp, hessian; forward-mode AD | yes | as the reference | as the reference | as the reference |
| torch.compile(fullgraph=True) | yes | as the reference | one graph for all temperatures | yes |
| labels in the sweep of the divergence | no | as the reference | yes | yes; the formula where `label_weight` is 1 |
| statistics in the sweep of the divergence | no | as the reference | yes | no: the formula, five tensors |
| memory beside the logits, in gradients | five or more | three or more | 1.1 | 1 |

`softmax_kl` and its statistics are of this table. The other losses on logits:

| | linear_softmax_kl | sparse_softmax_kl | vocab_parallel_softmax_kl |
|---|---|---|---|
| second derivatives, Hessians | backend="reference" | yes | refused |
| torch.func: grad, vmap, jvp, hessian; forward-mode AD | by the formula | by the formula | refused |
| torch.compile(fullgraph=True) | yes | yes | refused; without fullgraph it breaks the graph |
"""

import importlib.util
import os
from collections.abc import Callable

import torch
from torch import Tensor

from kd_lab.how.chunked import chunked_softmax_kl
from kd_lab.how.few_logits import few_softmax_kl
from kd_lab.how.reference import in_transform, reference_softmax_kl

BACKENDS = ("auto", "reference", "chunked", "triton")
SMALL = 2**17
"""Logits of one side up to which the starts of operations count more than what they do to memory."""
_HAS_TRITON = importlib.util.find_spec("triton") is not None


def choose_backend(
    name: str, device: torch.device, dtype: torch.dtype, logits: int = SMALL + 1
) -> Callable[..., Tensor]:
    """The function for logits of this device, dtype and number: (student_logits, teacher_logits, *, …) -> losses.

    Raises:
        ValueError: the name is unknown, or the backend cannot run here.
    """
    if name not in BACKENDS:
        raise ValueError(f"backend is {name!r}; expected one of {', '.join(map(repr, BACKENDS))}")
    if dtype == torch.float64 or in_transform():
        return reference_softmax_kl
    if name == "auto":
        on_gpu = "triton" if _HAS_TRITON else "reference"
        if logits <= SMALL and device.type == "cpu":
            return few_softmax_kl
        name = {"cpu": "chunked", "cuda": on_gpu}.get(device.type, "reference")
    match name:
        case "triton":
            return _triton(device)
        case "chunked":
            return chunked_softmax_kl
    return reference_softmax_kl


def _triton(device: torch.device) -> Callable[..., Tensor]:
    if not _HAS_TRITON:
        raise ValueError(
            'backend="triton" needs the package triton, which is not installed (it has wheels for Linux only); '
            'write backend="auto", which does without it'
        )
    if device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise ValueError(
            f'backend="triton" came with tensors on {device.type}; expected a CUDA or ROCm device; to run the kernel '
            "in Triton's interpreter, set TRITON_INTERPRET=1 in the environment before Python starts, or write "
            'backend="auto"'
        )
    from kd_lab.how.kernels import triton_softmax_kl  # only now: importing it imports Triton

    return triton_softmax_kl
