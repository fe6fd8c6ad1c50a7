"""Distribution matching distillation with networks: a generator of one step, and a second network for its own score."""

import copy

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.lessons.l11b_few_steps.matching import FULL
from kd_lab.lessons.l11b_few_steps.students import BATCH, endpoint_pairs, endpoint_regression
from kd_lab.worlds.diffusion import NoisyMixture, Velocity, add_noise, clean_of, signal_and_noise

CRITIC_STEPS = 4  # of the fake score for each step of the generator, as DMD2's two time scales


def generate(model: Velocity, noise: Float[Tensor, "N 2"]) -> Float[Tensor, "N 2"]:
    """One step of a velocity network, from noise to data."""
    time = torch.ones(len(noise))
    return clean_of(noise, model(noise, time), time)


def data_gap(
    teacher: NoisyMixture, fake: Velocity, x: Float[Tensor, "N 2"], time: Float[Tensor, " N"]
) -> Float[Tensor, "N 2"]:
    """The fake denoiser's prediction less the teacher's: (s²/a)·(∇ log q_t − ∇ log p_t), a difference of data.

    Tweedie's formula turns a score into a prediction: E[x_0 | x_t] = (x_t + s²·∇ log p_t)/a.
    """
    return clean_of(x, fake(x, time), time) - clean_of(x, teacher.velocity(x, time), time)


def match(
    teacher: NoisyMixture,
    beginner: nn.Module,
    seed: int,
    steps: int = 600,
    rate: float = 5e-4,
    regression: float = 0.0,
    times: tuple[float, float] = FULL,
) -> nn.Module:
    """Train a one-step generator by DMD: −∇KL(q_t‖p_t) on its own noised samples, with a fake score that keeps up.

    Args:
        teacher: gives the real score.
        beginner: a denoiser; generator and fake score begin as copies of it.
        seed: of all draws.
        steps, rate: of the generator's Adam; the rate falls linearly.
        regression: weight of a squared error to the ends of the teacher's own paths.
        times: range of the noise levels at which the distributions are compared.

    Source: Yin et al., arXiv:2311.18828, equation 7 (the gradient) and DMD2, arXiv:2405.14867 (the critic's steps).
    """
    generator = torch.Generator().manual_seed(seed)
    model, fake = copy.deepcopy(beginner), copy.deepcopy(beginner)
    model_adam = torch.optim.Adam(model.parameters(), lr=rate, fused=True)
    fake_adam = torch.optim.Adam(fake.parameters(), lr=1e-3, fused=True)
    endpoint_loss = endpoint_regression(*endpoint_pairs(teacher, seed)) if regression else None
    low, high = times

    def noised(clean: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        time = low + (high - low) * torch.rand(BATCH, generator=generator)
        noise = torch.randn(BATCH, 2, generator=generator)
        return add_noise(clean, noise, time), noise, time

    for step in range(steps):
        for _ in range(CRITIC_STEPS):
            with torch.no_grad():
                clean = generate(model, torch.randn(BATCH, 2, generator=generator))
            x, noise, time = noised(clean)
            signal, spread = (part[:, None] for part in signal_and_noise(time))
            loss = ((fake(x, time) - (signal * noise - spread * clean)) ** 2).sum(1).mean()
            fake_adam.zero_grad()
            loss.backward()
            fake_adam.step()
        model_adam.param_groups[0]["lr"] = rate * (1 - step / steps)
        clean = generate(model, torch.randn(BATCH, 2, generator=generator))
        with torch.no_grad():
            x, _, time = noised(clean)
            direction = data_gap(teacher, fake, x, time)
        loss = (direction * clean).sum(1).mean()  # its gradient with respect to the samples is `direction`
        if endpoint_loss is not None:
            loss = loss + regression * endpoint_loss(model, generator)
        model_adam.zero_grad()
        loss.backward()
        model_adam.step()
    return model
