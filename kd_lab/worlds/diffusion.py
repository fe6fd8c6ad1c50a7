"""Diffusion on the plane with a teacher that is known exactly: a mixture of Gaussians under noise, its score, and the
ordinary differential equation that carries noise to data.

Time t runs from 0, data, to 1, noise: x_t = cos(πt/2)·x_0 + sin(πt/2)·ε with ε ~ N(0, I). The variance is preserved,
and the angle πt/2 says how far a point has been turned from its data towards its noise.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.arguments import Count, Positive, checked
from kd_lab.worlds.densities import Mixture2D

Velocity = Callable[[Float[Tensor, "N 2"], Float[Tensor, " N"]], Float[Tensor, "N 2"]]
"""v(x_t, t) = E[cos(πt/2)·ε − sin(πt/2)·x_0 | x_t], the teacher's exactly or a network's estimate of it."""


@checked
def signal_and_noise(time: Float[Tensor, "*N"]) -> tuple[Float[Tensor, "*N"], Float[Tensor, "*N"]]:
    """The weights of data and noise at a time in 0 … 1: cos(πt/2) and sin(πt/2), whose squares sum to 1.

    >>> signal_and_noise(torch.tensor([0.0, 0.5]))
    (tensor([1.0000, 0.7071]), tensor([0.0000, 0.7071]))
    """
    return torch.cos(time * (math.pi / 2)), torch.sin(time * (math.pi / 2))


@checked
def add_noise(
    clean: Float[Tensor, "N 2"], noise: Float[Tensor, "N 2"], time: Float[Tensor, " N"]
) -> Float[Tensor, "N 2"]:
    """x_t = cos(πt/2)·x_0 + sin(πt/2)·ε."""
    signal, spread = signal_and_noise(time)
    return signal[:, None] * clean + spread[:, None] * noise


@checked
@dataclass(frozen=True, eq=False)
class NoisyMixture:
    """p_t, a mixture of round Gaussians after noise of time t, and what a perfect diffusion model would say of it.

    p_t(x) = Σ_k w_k N(x; cos(πt/2)·μ_k, (cos²(πt/2)·σ_k² + sin²(πt/2))·I), again a mixture: nothing here is estimated.

    >>> teacher = NoisyMixture(ring(8))
    >>> x, time = torch.zeros(1, 2), torch.ones(1)
    >>> teacher.velocity(x, time).norm().item() < 1e-6  # all eight modes pull alike
    True
    """

    density: Mixture2D

    def sample(self, size: Count, generator: torch.Generator) -> Float[Tensor, "N 2"]:
        """`size` independent draws of the data, t = 0."""
        mode = torch.multinomial(self._of("weights"), size, replacement=True, generator=generator)
        noise = torch.randn(size, 2, generator=generator)
        return self._of("means")[mode] + self._of("widths")[mode, None] * noise

    def logpdf(self, x: Float[Tensor, "N 2"], time: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
        """log p_t(x) in nats."""
        return self._parts(x, time)[0].logsumexp(-1)

    def score(self, x: Float[Tensor, "N 2"], time: Float[Tensor, " N"]) -> Float[Tensor, "N 2"]:
        """∇ log p_t(x), which points to where data are likelier. At t = 0 it is the score of the data themselves."""
        log_parts, offset, variance = self._parts(x, time)
        share = log_parts.softmax(-1) / variance
        return -(share[..., None] * offset).sum(-2)

    def velocity(self, x: Float[Tensor, "N 2"], time: Float[Tensor, " N"]) -> Float[Tensor, "N 2"]:
        """v(x, t) = E[cos(πt/2)·ε − sin(πt/2)·x_0 | x_t = x], the direction of the ODE per unit of angle.

        Source: Salimans & Ho, arXiv:2202.00512, where v is the quantity that the network predicts.
        """
        log_parts, offset, variance = self._parts(x, time)
        signal, spread = (part[:, None] for part in signal_and_noise(time))
        widths = self._of("widths", x.dtype)
        pull = (signal * spread * (1 - widths**2) / variance)[..., None] * offset
        parts = pull - spread[..., None] * self._of("means", x.dtype)
        return (log_parts.softmax(-1)[..., None] * parts).sum(-2)

    def _of(self, name: str, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.as_tensor(getattr(self.density, name), dtype=dtype)

    def _parts(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of each mode k: log w_k N(x; …) [N, K], x − its noised mean [N, K, 2], its noised variance [N, K]."""
        signal, spread = (part[:, None] for part in signal_and_noise(time))
        offset = x[:, None] - signal[..., None] * self._of("means", x.dtype)
        variance = signal**2 * self._of("widths", x.dtype) ** 2 + spread**2
        log_weights = self._of("weights", x.dtype).log()
        log_parts = log_weights - (2 * math.pi * variance).log() - (offset**2).sum(-1) / (2 * variance)
        return log_parts, offset, variance


# ---- from noise to data ----------------------------------------------------------------------------------------------


@checked
def ode_step(
    x: Float[Tensor, "N 2"],
    velocity: Float[Tensor, "N 2"],
    time: Float[Tensor, " N"],
    next_time: Float[Tensor, " N"],
) -> Float[Tensor, "N 2"]:
    """One step of DDIM: the point that its predicted data and noise give at `next_time`.

    In these coordinates it is a turn by the angle δ = π/2·(t − u): x_u = cos δ·x_t − sin δ·v.

    Args:
        x: points at `time`.
        velocity: v there.
        time, next_time: t and u, of each point; u < t leads towards the data.

    >>> x, v = torch.tensor([[0.0, 1.0]]), torch.tensor([[-2.0, 0.0]])
    >>> ode_step(x, v, torch.ones(1), torch.zeros(1))  # the whole way in one step: the predicted data, −v
    tensor([[ 2.0000e+00, -4.3711e-08]])

    Source: equation (12) of Song, Meng & Ermon, arXiv:2010.02502, with σ = 0; the predicted x_0 is its (9). v is
    arXiv:2202.00512's.
    """
    signal, spread = signal_and_noise(time - next_time)
    return signal[:, None] * x - spread[:, None] * velocity


@checked
def clean_of(
    x: Float[Tensor, "N 2"], velocity: Float[Tensor, "N 2"], time: Float[Tensor, " N"]
) -> Float[Tensor, "N 2"]:
    """The data that a velocity predicts: `ode_step` to time 0. At t = 0 it is x itself, whatever the velocity."""
    return ode_step(x, velocity, time, torch.zeros_like(time))


@torch.no_grad()
@checked
def sample_path(velocity: Velocity, noise: Float[Tensor, "N 2"], steps: Count) -> list[Float[Tensor, "N 2"]]:
    """The points from noise to data in `steps` equal steps of DDIM: steps + 1 tensors, noise first and data last."""
    times = torch.linspace(1, 0, steps + 1, dtype=noise.dtype)
    path = [noise]
    for time, next_time in pairwise(times):
        now = time.expand(len(noise))
        path.append(ode_step(path[-1], velocity(path[-1], now), now, next_time.expand(len(noise))))
    return path


@checked
def ring(
    modes: Count = 8,
    *,
    radius: Positive = 2.0,
    width: Positive = 0.15,
    weights: Sequence[float | int] | np.ndarray | None = None,
) -> Mixture2D:
    """Equal round modes on a circle, the first at the right; of equal weight unless `weights` says otherwise.

    >>> ring(4).means.round(3).tolist()
    [[2.0, 0.0], [0.0, 2.0], [-2.0, 0.0], [-0.0, -2.0]]
    """
    angle = 2 * math.pi * np.arange(modes) / modes
    means = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    shares = np.full(modes, 1 / modes) if weights is None else weights
    return Mixture2D(weights=shares, means=means, widths=np.full(modes, width))
