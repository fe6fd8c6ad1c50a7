"""A student on the plane whose reverse KL after noise is an integral that can be computed: one round Gaussian."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.worlds.densities import plane
from kd_lab.worlds.diffusion import NoisyMixture, signal_and_noise

STUDENT_WIDTH = 0.4
SIDE, POINTS = 7.0, 350  # of the grid on which the integral is taken


def student_samples(
    mean: Float[Tensor, " 2"], size: int, seed: int
) -> tuple[Float[Tensor, "N 2"], Float[Tensor, "N 2"]]:
    """Samples of the student, and noise for them; in pairs of opposite signs, which halves their chance."""
    generator = torch.Generator().manual_seed(seed)
    half, noise = torch.randn(2, size // 2, 2, generator=generator)
    return mean + STUDENT_WIDTH * torch.cat([half, -half]), torch.cat([noise, -noise])


def student_score(mean: Float[Tensor, " 2"]) -> Callable[[Tensor, Tensor], Tensor]:
    """∇ log q_t of the student with this mean, as a function of points and times."""

    def score(x: Float[Tensor, "N 2"], time: Float[Tensor, " N"]) -> Float[Tensor, "N 2"]:
        signal, spread = (part[:, None] for part in signal_and_noise(time))
        return (signal * mean - x) / ((signal * STUDENT_WIDTH) ** 2 + spread**2)

    return score


def reverse_kl(teacher: NoisyMixture, mean: Float[Tensor, " 2"], time: float) -> float:
    """KL(q_t‖p_t) in nats, summed over a grid."""
    grid, cell = plane(-SIDE, SIDE, POINTS)
    x = torch.tensor(grid.reshape(-1, 2))
    times = torch.full((len(x),), time, dtype=x.dtype)
    signal, spread = (part[0] for part in signal_and_noise(times))
    variance = (signal * STUDENT_WIDTH) ** 2 + spread**2
    student_logp = -((x - signal * mean) ** 2).sum(1) / (2 * variance) - (2 * math.pi * variance).log()
    return (student_logp.exp() * (student_logp - teacher.logpdf(x, times))).sum().item() * cell


def kl_slope(teacher: NoisyMixture, mean: Float[Tensor, " 2"], time: float, step: float = 1e-4) -> Float[Tensor, " 2"]:
    """The derivative of KL(q_t‖p_t) by the student's mean, by central differences."""
    moves = step * torch.eye(2, dtype=torch.float64)
    return torch.tensor(
        [(reverse_kl(teacher, mean + d, time) - reverse_kl(teacher, mean - d, time)) / (2 * step) for d in moves]
    )
