"""Distribution matching by networks: the direction is the score difference, and training leaves the mean."""

import torch

from kd_lab.lessons.l11b_few_steps.energy import energy_distance
from kd_lab.lessons.l11b_few_steps.generator import data_gap, generate, match
from kd_lab.lessons.l11b_few_steps.students import denoiser
from kd_lab.worlds.diffusion import NoisyMixture, ring, sample_path, signal_and_noise

TEACHER = NoisyMixture(ring(4))


def test_the_gap_of_predictions_is_that_of_scores():
    fake = NoisyMixture(ring(3, width=0.4))
    x = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    time = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    signal, spread = (part[:, None] for part in signal_and_noise(time))
    expected = spread**2 / signal * (fake.score(x, time) - TEACHER.score(x, time))
    torch.testing.assert_close(data_gap(TEACHER, fake.velocity, x, time), expected, atol=1e-6, rtol=1e-5)


def test_a_generator_is_one_step():
    noise = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(generate(TEACHER.velocity, noise), sample_path(TEACHER.velocity, noise, 1)[-1])


def test_a_little_matching_leaves_the_mean():
    beginner = denoiser(TEACHER, seed=0, steps=150)
    noise = torch.randn(1_000, 2, generator=torch.Generator().manual_seed(1))

    def distance(model):
        with torch.no_grad():
            return energy_distance(generate(model, noise), TEACHER.density)

    matched = match(TEACHER, beginner, seed=0, steps=60, rate=2e-3)
    assert distance(matched) < 0.7 * distance(beginner)
