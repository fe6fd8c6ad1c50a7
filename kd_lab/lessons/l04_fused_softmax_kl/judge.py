"""A pair of kernels as a loss that torch can differentiate, and fp64 as its judge."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Loss = Callable[[Tensor, Tensor], Tensor]  # (student's, teacher's logits [N, V]) → losses [N]


def own_loss(forward_kl: Any, backward: Any, temperature: float, block: int = 512) -> Loss:
    """τ²·KL(p‖q) of each row by the kernels of exercises 04.3 and 04.4.

    Args:
        forward_kl, backward: the kernels.
        temperature: τ.
        block: columns per block.
    """

    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, student: Tensor, teacher: Tensor) -> Tensor:
            rows, vocabulary = student.shape
            kl, student_lse, teacher_lse = torch.zeros(3, rows)
            forward_kl[(rows,)](student, teacher, kl, student_lse, teacher_lse, vocabulary, temperature, BLOCK=block)
            ctx.save_for_backward(student, teacher, student_lse, teacher_lse)
            return kl * temperature**2

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None]:
            student, teacher, *lses = ctx.saved_tensors
            rows, vocabulary = student.shape
            gradient = torch.zeros_like(student)
            upstream = (upstream * temperature**2).contiguous()  # the upstream of a sum has stride 0
            backward[(rows,)](student, teacher, *lses, upstream, gradient, vocabulary, temperature, BLOCK=block)
            return gradient, None

    return Own.apply


def value_and_gradient(loss: Loss, student: Tensor, teacher: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Losses [N], and the gradient [N, V] of their weighted sum, both in fp64."""
    student = student.clone().requires_grad_()
    losses = loss(student, teacher)
    (losses * weights.to(losses.dtype)).sum().backward()
    return losses.detach().double(), student.grad.double()


def worst(got: tuple[Tensor, Tensor], exact: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """The largest error of a value, relative, and of a gradient, relative to its row's largest entry.

    >>> worst((torch.tensor([2.0]), torch.tensor([[1.0, 4.0]])), (torch.tensor([1.0]), torch.tensor([[0.0, 4.0]])))
    (1.0, 0.25)
    """
    value, gradient = ((a - b).abs() for a, b in zip(got, exact, strict=True))
    return (value / exact[0]).max().item(), (gradient / exact[1].abs().amax(-1, keepdim=True)).max().item()


def against_fp64(loss: Loss, formula: Loss, student: Tensor, teacher: Tensor, weights: Tensor) -> tuple[float, float]:
    """The largest relative errors of a loss, of value and gradient, held against its formula in fp64."""
    exact = value_and_gradient(formula, student.double(), teacher.double(), weights)
    return worst(value_and_gradient(loss, student, teacher, weights), exact)


def rows_at(
    level: float, generator: torch.Generator, spread: float, rows: int = 20, vocabulary: int = 8192
) -> tuple[Float[Tensor, "N V"], Float[Tensor, "N V"]]:
    """Logits of a student and of a teacher at about this KL: half the variance of their difference.

    They stand around 20 and not around 0, as the logits of language models do; a softmax does not see it, fp32 does.

    Args:
        level: the KL in nats.
        generator: of the noise.
        spread: standard deviation of the teacher's logits; with 4, a few tokens hold most of the probability.
        rows, vocabulary: of the logits.
    """
    teacher = 20 + spread * torch.randn(rows, vocabulary, generator=generator)
    return teacher + np.sqrt(2 * level) * torch.randn(rows, vocabulary, generator=generator), teacher
