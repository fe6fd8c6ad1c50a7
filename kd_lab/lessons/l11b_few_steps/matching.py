"""Distribution matching without an estimated score: a student whose noised density is known at every time.

The student is a cloud of M particles, each a round Gaussian of the teacher's own width: q = 1/M Σ_j N(m_j, σ²I). To
draw from it, choose a particle and add noise: a generator of one step whose parameters are the particles' places.
After noise of time t it is again a mixture, so the score of the fake samples, which in practice a second network has to
estimate, is exact here, and whatever happens is due to the objective.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.lessons.l11b_few_steps.energy import modes_kept
from kd_lab.worlds.densities import Mixture2D
from kd_lab.worlds.diffusion import NoisyMixture, ring, signal_and_noise

WIDTH = 0.15  # of a particle: the width of a teacher's mode
FULL, LOW = (0.02, 0.98), (0.02, 0.3)
"""Ranges of noise times: nearly all of them, and only those at which the modes do not yet run together."""


@dataclass(frozen=True)
class Training:
    """The settings of a run of particles."""

    objective: str = "reverse"  # KL(q_t‖p_t) on the student's samples; "forward": KL(p_t‖q_t) on the teacher's
    times: tuple[float, float] = FULL
    steps: int = 800
    rate: float = 0.1
    draws: int = 3  # noise levels per step
    high: bool = False  # divide the pull by a, so that high noise weighs more


def noised_parts(
    x: Float[Tensor, "*B N 2"], particles: Float[Tensor, "*B M 2"], time: Float[Tensor, "*B"]
) -> tuple[Float[Tensor, "*B N M"], Float[Tensor, "*B N M 2"], Float[Tensor, "*B 1 1"]]:
    """Share of each particle in q_t(x), x − its noised place, and its noised variance."""
    signal, spread = signal_and_noise(time)
    variance = ((signal * WIDTH) ** 2 + spread**2)[..., None, None]
    offset = x[..., :, None, :] - signal[..., None, None, None] * particles[..., None, :, :]
    share = (-(offset**2).sum(-1) / (2 * variance)).softmax(-1)
    return share, offset, variance


def fake_score(
    x: Float[Tensor, "*B N 2"], particles: Float[Tensor, "*B M 2"], time: Float[Tensor, "*B"]
) -> Float[Tensor, "*B N 2"]:
    """∇ log q_t(x): the score of the student's noised samples."""
    share, offset, variance = noised_parts(x, particles, time)
    return -((share / variance)[..., None] * offset).sum(-2)


def reverse_pull(
    teacher: NoisyMixture, particles: Float[Tensor, "*B M 2"], time: Float[Tensor, "*B"], generator: torch.Generator
) -> Float[Tensor, "*B M 2"]:
    """Where each particle is pulled by −∇KL(q_t‖p_t), at one noised draw of each, in units of length.

    s²·(∇ log p_t − ∇ log q_t) at x_t, with s = sin(πt/2): the KLs of all noise levels, weighted by s²/a.
    """
    signal, spread = (part[..., None, None] for part in signal_and_noise(time))
    variance = (signal * WIDTH) ** 2 + spread**2
    x = signal * particles + variance.sqrt() * torch.randn(particles.shape, generator=generator)
    flat = time[..., None].expand(x.shape[:-1]).reshape(-1)
    real = teacher.score(x.reshape(-1, 2), flat).reshape(x.shape)
    return spread**2 * (real - fake_score(x, particles, time))


def forward_pull(
    teacher: NoisyMixture, particles: Float[Tensor, "*B M 2"], time: Float[Tensor, "*B"], generator: torch.Generator
) -> Float[Tensor, "*B M 2"]:
    """Where each particle is pulled by −∇KL(p_t‖q_t), at as many noised draws of the teacher, in units of length."""
    count = math.prod(particles.shape[:-1])
    signal, spread = (part[..., None, None] for part in signal_and_noise(time))
    clean = teacher.sample(count, generator).reshape(particles.shape)
    x = signal * clean + spread * torch.randn(particles.shape, generator=generator)
    share, offset, variance = noised_parts(x, particles, time)
    return spread**2 * ((share / variance)[..., None] * offset).sum(-3)  # summed over draws, one for each particle


PULLS = {"reverse": reverse_pull, "forward": forward_pull}


def train_particles(
    density: Mixture2D,
    start: Float[Tensor, "S M 2"],
    training: Training,
    seed: int,
    keep: Sequence[int] = (),
) -> list[Float[Tensor, "S M 2"]]:
    """Move the particles of S runs; returns their places after the steps in `keep`, and at the end.

    Args:
        density: the teacher's.
        start: where the particles of each run begin.
        training: objective, noise levels and budget.
        seed: of all draws.
        keep: numbers of steps, in rising order; 0 is the start.
    """
    teacher, generator = NoisyMixture(density), torch.Generator().manual_seed(seed)
    particles, kept = start.clone(), []
    low, high = training.times
    for step in range(training.steps):
        if step in keep:
            kept.append(particles.clone())
        time = low + (high - low) * torch.rand(training.draws, len(start), generator=generator)
        many = particles.expand(training.draws, *particles.shape)
        pull = PULLS[training.objective](teacher, many, time, generator)
        if training.high:
            pull = pull / signal_and_noise(time)[0][..., None, None]
        particles += training.rate * (1 - step / training.steps) * pull.mean(0)
    return [*kept, particles]


TEACHERS = {
    "eight equal": (ring(8), 24),
    "four equal": (ring(4), 24),
    "one heavy": (ring(4, weights=(10, 1, 1, 1)), 26),
}
"""Name → density, and a number of particles that can represent it exactly."""

STARTS = ("on one mode", "at the mean", "as noise")
GRADIENTS = {
    "reverse KL, all noise": Training("reverse", FULL),
    "reverse KL, little noise": Training("reverse", LOW),
    "forward KL, all noise": Training("forward", FULL),
    "forward KL, little noise": Training("forward", LOW),
}
HIGH = {"reverse KL, more of the high": Training("reverse", FULL, high=True)}
"""The pull divided by a, as networks are trained in practice: s²/a times the difference of scores is that of two
predictions of the data. The KLs of the levels are then weighted by s²/a²."""

COUNTS = (0, 25, 50, 100, 150, 200, 300, 400, 500, 600, 700)
"""Steps after which particles are looked at, beside the last."""


def start_of(where: str, density: Mixture2D, runs: int, particles: int, seed: int) -> Float[Tensor, "S M 2"]:
    """Places to begin: "on one mode", the first; "at the mean" of the data, where one step of the teacher lands; or
    "as noise", spread over all of the plane.
    """
    noise = torch.randn(runs, particles, 2, generator=torch.Generator().manual_seed(seed))
    if where == "as noise":
        return noise
    centre = density.means[0] if where == "on one mode" else density.weights @ density.means
    return torch.tensor(centre, dtype=torch.float32) + 0.1 * noise


def modes_with_particles(particles: Float[Tensor, "S M 2"], density: Mixture2D) -> Float[np.ndarray, " S"]:
    """Modes kept by each run, the measure of `energy.modes_kept` taken at the particles' places."""
    return np.array([modes_kept(one, density) for one in particles], dtype=float)


@dataclass(frozen=True, eq=False)
class Matched:
    """Runs of distribution matching from one start."""

    density: Mixture2D
    places: Float[np.ndarray, "C M 2"]  # of the first run's particles, at each look
    kept: Float[np.ndarray, "C S"]  # modes kept by each run, at each look

    @property
    def end(self) -> Float[np.ndarray, " S"]:
        """Modes kept at the end."""
        return self.kept[-1]


def match_all(seed: int, runs: int = 5) -> dict[tuple[str, str, str], Matched]:
    """Every teacher, start and gradient: (teacher, start, gradient) → its runs, all on the same draws."""
    found = {}
    for name, (density, particles) in TEACHERS.items():
        starts = torch.cat([start_of(where, density, runs, particles, seed) for where in STARTS])
        for gradient, training in GRADIENTS.items():
            looks = train_particles(density, starts, training, seed, COUNTS)
            for i, where in enumerate(STARTS):
                mine = [look[i * runs : (i + 1) * runs] for look in looks]
                kept = np.stack([modes_with_particles(look, density) for look in mine])
                places = np.stack([look[0].numpy() for look in mine])
                found[name, where, gradient] = Matched(density, places, kept)
    return found
