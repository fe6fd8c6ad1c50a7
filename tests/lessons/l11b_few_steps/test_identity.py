"""The student whose reverse KL is an integral: its score, its slope, and the sum of the exercise's directions."""

import pytest
import torch

from kd_lab.lessons.l11b_few_steps.exercises import matching_gradient
from kd_lab.lessons.l11b_few_steps.identity import STUDENT_WIDTH, kl_slope, reverse_kl, student_samples, student_score
from kd_lab.worlds import Mixture2D
from kd_lab.worlds.diffusion import NoisyMixture, ring

MEAN = torch.tensor([1.0, 0.5])


def test_two_gaussians_by_hand():
    """At t = 0, KL(N(m, σ²I)‖N(0, σ²I)) = |m|²/2σ²; its slope is m/σ²."""
    teacher = NoisyMixture(Mixture2D(weights=[1], means=[[0.0, 0.0]], widths=[STUDENT_WIDTH]))
    assert reverse_kl(teacher, MEAN, 0.0) == pytest.approx(1.25 / (2 * STUDENT_WIDTH**2), rel=1e-4)
    expected = (MEAN / STUDENT_WIDTH**2).double()
    torch.testing.assert_close(kl_slope(teacher, MEAN, 0.0).double(), expected, rtol=1e-3, atol=1e-3)


def test_the_student_s_score_is_that_of_its_gaussian():
    gaussian = NoisyMixture(Mixture2D(weights=[1], means=[MEAN.tolist()], widths=[STUDENT_WIDTH]))
    x, time = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)), torch.linspace(0, 1, 5)
    torch.testing.assert_close(student_score(MEAN)(x, time), gaussian.score(x, time), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("t", [0.3, 0.7])
def test_summed_directions_are_the_slope(t):
    teacher = NoisyMixture(ring(8))
    clean, noise = student_samples(MEAN, 40_000, seed=0)
    time = torch.full((len(clean),), t)
    summed = matching_gradient(clean, noise, time, teacher.score, student_score(MEAN)).sum(0)
    slope = kl_slope(teacher, MEAN, t).float()
    assert (summed - slope).norm() < 0.03 * slope.norm()
