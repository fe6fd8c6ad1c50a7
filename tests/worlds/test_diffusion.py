"""The exact teacher of a diffusion on the plane: density, score, velocity and ODE agree with one another."""

import math

import pytest
import torch

from kd_lab.worlds import Mixture2D
from kd_lab.worlds.densities import plane
from kd_lab.worlds.diffusion import (
    NoisyMixture,
    add_noise,
    clean_of,
    ode_step,
    ring,
    sample_path,
    signal_and_noise,
)

UNEVEN = NoisyMixture(Mixture2D(weights=(1, 3, 2), means=((-1, 0), (1, 0.5), (0, 2)), widths=(0.3, 0.5, 0.8)))


def points(count=7, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 2, generator=generator, dtype=torch.float64)
    return x, torch.rand(count, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("time", [0.0, 0.4, 1.0])
def test_the_noised_density_integrates_to_one(time):
    grid, cell = plane(-7, 7, 280)
    x = torch.tensor(grid.reshape(-1, 2))
    logp = UNEVEN.logpdf(x, torch.full((len(x),), time, dtype=torch.float64))
    assert (logp.exp().sum() * cell).item() == pytest.approx(1, abs=1e-6)


def test_at_time_zero_it_is_the_mixture_and_at_time_one_plain_noise():
    x, _ = points()
    at = UNEVEN.logpdf(x, torch.zeros(7, dtype=torch.float64))
    torch.testing.assert_close(at, torch.tensor(UNEVEN.density.logpdf(x.numpy())))
    noise = UNEVEN.logpdf(x, torch.ones(7, dtype=torch.float64))
    torch.testing.assert_close(noise, -math.log(2 * math.pi) - (x**2).sum(1) / 2)


def test_the_score_is_the_gradient_of_the_log_density():
    x, time = points()
    x.requires_grad_()
    (expected,) = torch.autograd.grad(UNEVEN.logpdf(x, time).sum(), x)
    torch.testing.assert_close(UNEVEN.score(x, time), expected)


def test_velocity_and_score_say_the_same():
    """Tweedie: E[ε | x] = −s·∇log p. With x = a·x_0 + s·ε and v = a·ε − s·x_0, v = (E[ε] − s·x)/a."""
    x, time = points()
    signal, spread = signal_and_noise(time)
    noise = -spread[:, None] * UNEVEN.score(x, time)
    torch.testing.assert_close(UNEVEN.velocity(x, time), (noise - spread[:, None] * x) / signal[:, None])


def test_velocity_is_the_conditional_mean():
    """By importance sampling of x_0 from the data, given x_t."""
    generator = torch.Generator().manual_seed(0)
    clean = UNEVEN.sample(400_000, generator).double()
    time, x = torch.tensor([0.5], dtype=torch.float64), torch.tensor([[0.3, 0.8]], dtype=torch.float64)
    signal, spread = signal_and_noise(time)
    noise = (x - signal * clean) / spread
    weight = (-(noise**2).sum(1) / 2).exp()
    expected = (weight[:, None] * (signal * noise - spread * clean)).sum(0) / weight.sum()
    torch.testing.assert_close(UNEVEN.velocity(x, time)[0], expected, atol=0.02, rtol=0)


def test_a_step_of_ddim_is_a_turn():
    """The textbook form: predicted data and noise, mixed anew at the next time."""
    x, time = points()
    velocity, later = torch.randn_like(x), time / 3
    signal, spread = (part[:, None] for part in signal_and_noise(time))
    clean, noise = signal * x - spread * velocity, spread * x + signal * velocity
    torch.testing.assert_close(ode_step(x, velocity, time, later), add_noise(clean, noise, later))
    torch.testing.assert_close(clean_of(x, velocity, time), clean)
    torch.testing.assert_close(clean_of(x, velocity, torch.zeros_like(time)), x)


def test_many_steps_carry_noise_to_the_data():
    teacher, generator = NoisyMixture(ring(8)), torch.Generator().manual_seed(0)
    path = sample_path(teacher.velocity, torch.randn(8_000, 2, generator=generator), 128)
    assert len(path) == 129
    distance, mode = torch.cdist(path[-1], torch.tensor(ring(8).means, dtype=torch.float32)).min(1)
    assert (torch.bincount(mode, minlength=8) / 8_000 - 1 / 8).abs().max() < 0.02
    assert ((distance**2).mean() / 2).sqrt().item() == pytest.approx(0.15, abs=0.01)


def test_one_step_of_the_teacher_says_the_mean_of_the_data():
    path = sample_path(UNEVEN.velocity, points()[0], 1)
    mean = torch.tensor(UNEVEN.density.weights @ UNEVEN.density.means)
    torch.testing.assert_close(path[-1], mean.expand(7, 2))


def test_samples_follow_the_weights():
    x = UNEVEN.sample(200_000, torch.Generator().manual_seed(1))
    expected = torch.tensor(UNEVEN.density.weights @ UNEVEN.density.means, dtype=torch.float32)
    torch.testing.assert_close(x.mean(0), expected, atol=0.01, rtol=0)


def test_a_ring_of_unequal_weights():
    assert ring(3, weights=(2, 1, 1)).weights.tolist() == [0.5, 0.25, 0.25]
    with pytest.raises(ValueError, match="one entry per mode"):
        ring(3, weights=(1, 1))
    with pytest.raises(ValueError, match="modes"):
        ring(0)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="next_time has shape"):
        ode_step(torch.zeros(3, 2), torch.zeros(3, 2), torch.ones(3), torch.ones(1))
    with pytest.raises(ValueError, match="steps"):
        sample_path(UNEVEN.velocity, torch.zeros(3, 2), 0)
