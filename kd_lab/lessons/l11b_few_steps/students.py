"""Students of a diffusion teacher: the denoiser that they begin as, and three ways to need fewer steps.

All are the same small network and take the same steps of Adam from the same beginning. They differ in their target.
"""

import copy
import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.worlds.diffusion import (
    NoisyMixture,
    Velocity,
    add_noise,
    clean_of,
    ode_step,
    sample_path,
    signal_and_noise,
)

BATCH = 256
FINEST = 32  # steps of the sampler that is distilled
ROUND = 600  # steps of Adam per halving; five halvings lead from 32 steps to one
BUDGET = 5 * ROUND  # and as many for every other student

Loss = Callable[[nn.Module, torch.Generator], Float[Tensor, ""]]
VelocityTarget = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class VelocityNet(nn.Module):
    """v(x, t) as a perceptron of three hidden layers, which reads the time as four sines and cosines."""

    def __init__(self, width: int = 96, depth: int = 3, seed: int = 0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("frequencies", 2.0 ** torch.arange(4) * math.pi / 2)
        sizes = [2 + 8, *[width] * depth, 2]
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in pairwise(sizes))
        for layer in self.layers:
            nn.init.normal_(layer.weight, std=layer.in_features**-0.5, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Float[Tensor, "N 2"], time: Float[Tensor, " N"]) -> Float[Tensor, "N 2"]:
        angles = time[:, None] * self.frequencies
        hidden = torch.cat([x, angles.sin(), angles.cos()], 1)
        for layer in self.layers[:-1]:
            hidden = nn.functional.silu(layer(hidden))
        return self.layers[-1](hidden)


def fit(
    model: nn.Module,
    loss_of: Loss,
    steps: int,
    seed: int,
    rate: float = 1e-3,
    after: Callable[[nn.Module], None] | None = None,
) -> nn.Module:
    """Train in place with Adam, whose rate falls along a half cosine to a fiftieth.

    Args:
        model: is changed, and returned.
        loss_of: from the model and a generator to the loss of a fresh batch.
        steps, rate: of Adam.
        seed: of the batches.
        after: called after each step.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (0.02 + 0.98 * (1 + math.cos(math.pi * step / steps)) / 2)
        optimizer.zero_grad()
        loss_of(model, generator).backward()
        optimizer.step()
        if after is not None:
            after(model)
    return model


def noisy_batch(
    teacher: NoisyMixture, time: Float[Tensor, " N"], generator: torch.Generator
) -> tuple[Float[Tensor, "N 2"], Float[Tensor, "N 2"], Float[Tensor, "N 2"]]:
    """Points that the teacher's own trajectories pass at these times: x_t, and the x_0 and ε that they were made of."""
    clean = teacher.sample(len(time), generator)
    noise = torch.randn(len(time), 2, generator=generator)
    return add_noise(clean, noise, time), clean, noise


def grid_times(steps: int, generator: torch.Generator, size: int = BATCH) -> Float[Tensor, " N"]:
    """Random times k/steps, k = 1 … steps."""
    return torch.randint(1, steps + 1, (size,), generator=generator) / steps


# ---- the beginning ---------------------------------------------------------------------------------------------------


def denoising(teacher: NoisyMixture) -> Loss:
    """Plain diffusion training: predict the velocity from data and noise. It needs no teacher, and makes one."""

    def loss_of(model: nn.Module, generator: torch.Generator) -> Tensor:
        time = torch.rand(BATCH, generator=generator)
        x, clean, noise = noisy_batch(teacher, time, generator)
        signal, spread = signal_and_noise(time)
        goal = signal[:, None] * noise - spread[:, None] * clean
        return ((model(x, time) - goal) ** 2).sum(1).mean()

    return loss_of


def denoiser(teacher: NoisyMixture, seed: int, steps: int = 1_500) -> VelocityNet:
    """The network that every student of this seed begins as."""
    return fit(VelocityNet(seed=seed), denoising(teacher), steps, seed=1_000 + seed, rate=2e-3)


# ---- progressive distillation ----------------------------------------------------------------------------------------


def two_step_target(x: Tensor, twice: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
    """The velocity with which one step from x at `time` lands on `twice` at `next_time`."""
    signal, spread = signal_and_noise(time - next_time)
    return (signal[:, None] * x - twice) / spread[:, None]


def halving(teacher: NoisyMixture, sampler: Velocity, steps: int, target: VelocityTarget = two_step_target) -> Loss:
    """The loss of a student with this many steps: land where two steps of a sampler of twice as many land."""

    def loss_of(model: nn.Module, generator: torch.Generator) -> Tensor:
        time = grid_times(steps, generator)
        middle, later = time - 0.5 / steps, time - 1 / steps
        x, _, _ = noisy_batch(teacher, time, generator)
        with torch.no_grad():
            once = ode_step(x, sampler(x, time), time, middle)
            twice = ode_step(once, sampler(once, middle), middle, later)
            goal = target(x, twice, time, later)
        return ((model(x, time) - goal) ** 2).sum(1).mean()

    return loss_of


def progressive(
    teacher: NoisyMixture,
    beginner: nn.Module,
    seed: int,
    steps: int = ROUND,
    stops: Sequence[int] = (16, 8, 4, 2, 1),
    target: VelocityTarget = two_step_target,
) -> dict[int, nn.Module]:
    """Halve the steps again and again: number of steps → the student of that many. The first teacher is exact."""
    students: dict[int, nn.Module] = {}
    sampler, student = teacher.velocity, beginner
    for number in stops:
        student = fit(copy.deepcopy(student), halving(teacher, sampler, number, target), steps, seed=seed + number)
        students[number] = sampler = student
    return students


# ---- consistency distillation ----------------------------------------------------------------------------------------


def neighbours_answer(teacher: Velocity, student: Velocity, x: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
    """The data that the student predicts from the point to which one step of the teacher's ODE leads."""
    with torch.no_grad():
        neighbour = ode_step(x, teacher(x, time), time, next_time)
        return clean_of(neighbour, student(neighbour, next_time), next_time)


def consistency(
    teacher: NoisyMixture,
    beginner: nn.Module,
    seed: int,
    steps: int = BUDGET,
    grid: int = FINEST,
    keep: float = 0.95,
    target: Callable[[Velocity, Velocity, Tensor, Tensor, Tensor], Tensor] = neighbours_answer,
) -> nn.Module:
    """Two neighbours on one trajectory shall lead to the same data; the nearer one's answer is the target.

    Args:
        teacher: makes the neighbour by one step of its ODE.
        beginner: copied.
        seed, steps: of the training.
        grid: intervals of time between neighbours.
        keep: of the running average of weights that gives the target, and that is returned.
        target: from teacher, student, points and both times to the data that the student shall predict.
    """
    average = copy.deepcopy(beginner)

    def loss_of(model: nn.Module, generator: torch.Generator) -> Tensor:
        time = grid_times(grid, generator)
        later = time - 1 / grid
        x, _, _ = noisy_batch(teacher, time, generator)
        goal = target(teacher.velocity, average, x, time, later)
        return ((clean_of(x, model(x, time), time) - goal) ** 2).sum(1).mean()

    @torch.no_grad()
    def follow(model: nn.Module) -> None:
        for mine, new in zip(average.parameters(), model.parameters(), strict=True):
            mine.lerp_(new, 1 - keep)

    fit(copy.deepcopy(beginner), loss_of, steps, seed=seed, after=follow)
    return average


@torch.no_grad()
def consistency_path(
    model: Velocity, noise: Float[Tensor, "N 2"], steps: int, generator: torch.Generator
) -> list[Float[Tensor, "N 2"]]:
    """Jump to the data, add fresh noise of a lower level, jump again: the clean points after each jump."""
    times = torch.linspace(1, 0, steps + 1)
    x, path = noise, []
    for time, next_time in pairwise(times):
        now = time.expand(len(x))
        path.append(clean_of(x, model(x, now), now))
        x = add_noise(path[-1], torch.randn(x.shape, generator=generator), next_time.expand(len(x)))
    return path


# ---- straight to the end ---------------------------------------------------------------------------------------------


PAIRS = 100_000  # of noise and end, made once


def endpoint_pairs(teacher: NoisyMixture, seed: int) -> tuple[Float[Tensor, "N 2"], Float[Tensor, "N 2"]]:
    """Noise, and where the teacher's path of 32 steps carries it."""
    noise = torch.randn(PAIRS, 2, generator=torch.Generator().manual_seed(seed))
    return noise, sample_path(teacher.velocity, noise, FINEST)[-1]


def endpoint_regression(noise: Float[Tensor, "N 2"], end: Float[Tensor, "N 2"]) -> Loss:
    """One step that lands where the teacher's whole path lands: squared error, from noise alone."""
    time = torch.ones(BATCH)

    def loss_of(model: nn.Module, generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(noise), (BATCH,), generator=generator)
        start = noise[chosen]
        return ((clean_of(start, model(start, time), time) - end[chosen]) ** 2).sum(1).mean()

    return loss_of
