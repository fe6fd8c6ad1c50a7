"""The losses as they stand in most training code, one tensor operation after another, and what they move and hold."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from kd_lab.lessons.l04b_bytes_and_instructions.ledger import Ledger

ROWS, VOCABULARY = 32, 2048  # of the logits whose bytes are counted; per logit the count depends on neither
ELEMENTS = ROWS * VOCABULARY


def eager_forward_kl(student, teacher, temperature):
    """τ²·KL(p‖q) of each row of logits."""
    log_q = F.log_softmax(student.float() / temperature, dim=-1)
    log_p = F.log_softmax(teacher.float() / temperature, dim=-1)
    return F.kl_div(log_q, log_p, log_target=True, reduction="none").sum(-1) * temperature**2


def eager_jsd(
    student: Float[Tensor, "N V"], teacher: Float[Tensor, "N V"], temperature: float, beta: float = 0.5
) -> Float[Tensor, " N"]:
    """τ²·JSD(β) of each row of logits, in log space."""
    log_q = F.log_softmax(student.float() / temperature, dim=-1)
    log_p = F.log_softmax(teacher.float() / temperature, dim=-1)
    log_m = torch.logaddexp(np.log(beta) + log_p, np.log1p(-beta) + log_q)
    teacher_part = (log_p.exp() * (log_p - log_m)).sum(-1)
    student_part = (log_q.exp() * (log_q - log_m)).sum(-1)
    return (beta * teacher_part + (1 - beta) * student_part) * temperature**2


def count(loss: Callable[..., Tensor], dtype: torch.dtype) -> Ledger:
    """The operations of one forward and backward pass over [ROWS, VOCABULARY] logits of this dtype."""
    student, teacher = torch.randn(2, ROWS, VOCABULARY, generator=torch.Generator().manual_seed(0)).to(dtype)
    student.requires_grad_()
    with Ledger() as ledger:
        loss(student, teacher, 2.0).mean().backward()
    return ledger


def held(loss: Callable[[Tensor, Tensor], Tensor], student: Tensor, teacher: Tensor) -> float:
    """The peak of what forward and backward hold, the gradient included, in tensors of the size of the logits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # so that the ledger sees all the work
    try:
        student.grad = None
        with Ledger(given=[student, teacher]) as ledger:
            loss(student, teacher).backward()
    finally:
        torch.set_num_threads(threads)
    return ledger.peak / (student.numel() * student.element_size())
