"""What the tests of losses on logits share: pairs of logits, the exact answer, and the backends there are."""

import math
from importlib.util import find_spec

import pytest
import torch

from kd_lab.how import softmax_kl
from kd_lab.how.divergences import DIVERGENCES

KLS = [name for name, entry in DIVERGENCES.items() if entry.carries_t2]  # all that are in nats
BACKENDS = ["reference", "chunked"]
every_divergence = pytest.mark.parametrize("divergence", DIVERGENCES)
reference_and_chunked = pytest.mark.parametrize("backend", BACKENDS)  # tests/how/kernels/ has the like for Triton
needs_triton = pytest.mark.skipif(find_spec("triton") is None, reason="Triton has wheels for Linux only")
fast_backends = ["chunked", pytest.param("triton", marks=needs_triton)]
every_fast_backend = pytest.mark.parametrize("backend", fast_backends)
every_backend = pytest.mark.parametrize("backend", ["reference", *fast_backends])
INFINITY = math.inf


def pair(*shape: int, seed: int = 0, spread: float = 3.0, dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple((spread * torch.randn(shape, generator=generator)).to(dtype) for _ in range(2))


def value_and_gradient(student, teacher, *, upstream=1.0, **options) -> tuple[torch.Tensor, torch.Tensor]:
    student = student.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    loss = softmax_kl(student, teacher, **options)
    (gradient,) = torch.autograd.grad((loss * upstream).sum(), student)
    return loss.detach(), gradient


def exact(student, teacher, **options) -> tuple[torch.Tensor, torch.Tensor]:
    """The same in fp64, from the logits as they are after rounding to their dtype."""
    return value_and_gradient(student.double(), teacher.double(), **options)


def agree(got, wanted, tolerance: float = 3e-6) -> None:
    for mine, theirs in zip(got, wanted, strict=True):
        largest = theirs.abs().max().item()
        torch.testing.assert_close(mine.double(), theirs, rtol=10 * tolerance, atol=tolerance * largest + 3e-7)
