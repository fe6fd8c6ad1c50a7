"""Which code computes the loss of each position: the formula, the CPU's chunks, or the GPU's kernel."""

import importlib.util
import os
from collections.abc import Callable

import torch
from torch import Tensor

from kd_lab.how.chunked import chunked_softmax_kl
from kd_lab.how.reference import reference_softmax_kl

BACKENDS = ("auto", "reference", "chunked", "triton")
_HAS_TRITON = importlib.util.find_spec("triton") is not None


def choose_backend(name: str, device: torch.device, dtype: torch.dtype) -> Callable[..., Tensor]:
    """The function for logits of this device and dtype: (student_logits, teacher_logits, *, …) -> one loss a position.

    Raises:
        ValueError: the name is unknown, or the backend cannot run here.
    """
    if name not in BACKENDS:
        raise ValueError(f"backend is {name!r}; expected one of {', '.join(map(repr, BACKENDS))}")
    if dtype == torch.float64:
        return reference_softmax_kl
    if name == "auto":
        name = {"cpu": "chunked", "cuda": "triton" if _HAS_TRITON else "reference"}.get(device.type, "reference")
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
