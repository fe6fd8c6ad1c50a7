"""Two measurements without a GPU: bytes moved and distance from fp64, in Triton's interpreter."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor
from triton.runtime.interpreter import interpreter_builder

from kd_lab.how.kernels.ops import triton_softmax_kl
from kd_lab.how.reference import reference_softmax_kl

BETA = 0.3  # of the mixtures; not ½, where the two sides could be swapped unnoticed


@dataclass
class Traffic:
    """The bytes that the kernels loaded and stored; a masked-out lane moves nothing."""

    loaded: int = 0
    stored: int = 0

    @property
    def moved(self) -> int:
        return self.loaded + self.stored


@contextmanager
def count_bytes() -> Iterator[Traffic]:
    """Count the bytes that kernels launched inside the block load and store.

    A GPU's cache can only lower the count; the sectors that a load fills beyond the bytes asked for can raise it. For
    rows read from end to end neither is much.

    >>> with count_bytes() as traffic:
    ...     pass
    >>> traffic.moved
    0
    """
    traffic = Traffic()
    load, store = interpreter_builder.create_masked_load, interpreter_builder.create_masked_store

    def counted_load(pointers, mask, *rest):
        values = load(pointers, mask, *rest)
        traffic.loaded += int(mask.data.sum()) * values.data.itemsize
        return values

    def counted_store(pointers, values, mask, *rest):
        traffic.stored += int(mask.data.sum()) * values.data.itemsize
        return store(pointers, values, mask, *rest)

    # Unmasked loads and stores arrive at these two as well, with a mask of ones.
    interpreter_builder.create_masked_load, interpreter_builder.create_masked_store = counted_load, counted_store
    try:
        yield traffic
    finally:
        del interpreter_builder.create_masked_load, interpreter_builder.create_masked_store


def bytes_per_element(divergence: str, vocabulary: int, path: str) -> float:
    """The bytes that one row of bf16 logits costs, per element.

    Args:
        path: "early", forward and backward with the gradient made in the forward pass; "labels", the same with a label
            mixed in; "late", with the gradient made in the backward pass; "forward", the loss alone; "masked", forward
            and backward of a row that does not count.
    """
    student, teacher = logits_at(0.5, vocabulary, torch.bfloat16)
    student.requires_grad_(path != "forward")
    with count_bytes() as traffic:
        loss = triton_softmax_kl(
            student,
            teacher,
            divergence=divergence,
            beta=BETA,
            mask=torch.tensor([path != "masked"]),
            labels=torch.tensor([vocabulary // 2]) if path == "labels" else None,
            label_weight=0.5,
            weight=torch.tensor(1.0) if path in ("early", "labels", "masked") else None,
        )
        if path != "forward":
            loss.sum().backward()
    return traffic.moved / vocabulary


def relative_errors(
    divergence: str, vocabulary: int, kl: float, beta: float = BETA, draws: int = 5
) -> tuple[float, float]:
    """The distance of fp32 from fp64 where student and teacher are about `kl` nats apart: value, and gradient.

    Each is the median over draws of the logits: where one token carries most of the value, the rounding of that token
    alone is ten times the usual error, and which draw has such a token depends on the processor's instructions.
    The gradient is made in the forward pass, as for a mean. The value's error is relative to the value; the gradient's
    is its largest relative to the largest gradient.
    """
    errors = (_errors_of(divergence, *logits_at(kl, vocabulary, torch.float32, seed), beta) for seed in range(draws))
    values, gradients = zip(*errors, strict=True)
    return median(values), median(gradients)


def _errors_of(divergence: str, student: Tensor, teacher: Tensor, beta: float) -> tuple[float, float]:
    options = {"divergence": divergence, "beta": beta, "temperature": 1.0, "scale_by_t2": True, "mask": None}
    exact_student, fused_student = student.double().requires_grad_(), student.requires_grad_()
    exact = reference_softmax_kl(exact_student, teacher.double(), **options).sum()
    fused = triton_softmax_kl(fused_student, teacher, weight=torch.tensor(1.0), **options).sum()
    exact.backward()
    fused.backward()
    off = (fused_student.grad.double() - exact_student.grad).abs().max() / exact_student.grad.abs().max()
    return abs(fused.item() / exact.item() - 1), off.item()


def logits_at(kl: float, vocabulary: int, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, Tensor]:
    """One row of logits each: the student's are the teacher's with noise of variance 2·KL, which is KL apart."""
    generator = torch.Generator().manual_seed(seed)
    teacher = 3 * torch.randn(1, vocabulary, generator=generator)
    student = teacher + math.sqrt(2 * kl) * torch.randn(1, vocabulary, generator=generator)
    return student.to(dtype), teacher.to(dtype)
