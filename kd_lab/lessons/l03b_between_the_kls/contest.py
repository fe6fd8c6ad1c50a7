"""Seven losses from forward to reverse KL on the same students of low rank, at one rate or at equal gradient norm."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from jaxtyping import Float

from kd_lab.how import softmax_kl
from kd_lab.measure.low_rank_student import Gradient, implausible_mass, peaked_teacher, train_low_rank

RANK, RATE, TEACHERS = 2, 4.0, 8
BETAS = (0.02, 0.1, 0.5, 0.9, 0.98)


def teachers_of(seed: int) -> Float[np.ndarray, "S 20 20"]:
    """log p of eight teachers: after each of 20 letters three are plausible, and the other 17 share 4 %."""
    return np.stack([peaked_teacher(np.random.default_rng([seed, s])) for s in range(TEACHERS)])


def forward_kl_gradient(student_logp: np.ndarray, teacher_logp: np.ndarray) -> np.ndarray:
    """∂KL(p‖q)/∂logits = q − p."""
    return np.exp(student_logp) - np.exp(teacher_logp)


def reverse_kl_gradient(student_logp: np.ndarray, teacher_logp: np.ndarray) -> np.ndarray:
    """∂KL(q‖p)/∂logits = q·(log(q/p) − KL(q‖p))."""
    q, log_ratio = np.exp(student_logp), student_logp - teacher_logp
    return q * (log_ratio - (q * log_ratio).sum(-1, keepdims=True))


def library_gradient(student_logp: np.ndarray, teacher_logp: np.ndarray, beta: float) -> np.ndarray:
    """∂JSD(β)/∂logits as the library has it, for a picture that stands before the exercise."""
    logits, teacher_logits = (torch.from_numpy(side).float() for side in (student_logp, teacher_logp))
    softmax_kl(logits.requires_grad_(), teacher_logits, divergence="jsd", beta=beta, reduction="sum").backward()
    return logits.grad.double().numpy()


def contestants(jsd_gradient: Callable[[np.ndarray, np.ndarray, float], np.ndarray]) -> dict[str, Gradient]:
    """Label → gradient, in the order from forward to reverse KL."""
    between = {
        f"JSD({beta})": lambda student_logp, teacher_logp, beta=beta: jsd_gradient(student_logp, teacher_logp, beta)
        for beta in BETAS
    }
    return {"forward KL": forward_kl_gradient, **between, "reverse KL": reverse_kl_gradient}


def first_norms(
    teachers: Float[np.ndarray, "S 20 20"], gradients: Mapping[str, Gradient], seed: int
) -> dict[str, Float[np.ndarray, " S"]]:
    """The norm of each loss's first gradient, per teacher: all losses start at the same student."""
    return {label: train_low_rank(teachers, one, RANK, steps=1, seed=seed)[1] for label, one in gradients.items()}


def masses(
    teachers: Float[np.ndarray, "S 20 20"],
    gradients: Mapping[str, Gradient],
    rates: Mapping[str, float | Float[np.ndarray, " S"]],
    seed: int,
) -> dict[str, Float[np.ndarray, " S"]]:
    """The mass on implausible tokens that each loss's student ends with, per teacher, at its own rate."""
    found = {}
    for label, one in gradients.items():
        with np.errstate(over="ignore", invalid="ignore"):  # where steps are long, logits overshoot
            student, _ = train_low_rank(teachers, one, RANK, rate=rates[label], seed=seed)
        found[label] = implausible_mass(student, teachers)
    return found
