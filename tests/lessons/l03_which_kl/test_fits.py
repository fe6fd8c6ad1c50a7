"""Fitted Gaussians: the optimum is one, the closed form agrees, the answer does not depend on the way there."""

import math

import numpy as np
import pytest
import torch

from kd_lab.how import divergences
from kd_lab.lessons.l03_which_kl.fits import (
    DIVERGENCES,
    Gaussian,
    gaussian_logpdf,
    integrand,
    local_optima,
    moments,
    nearest_gaussian,
)
from kd_lab.worlds.densities import Mixture1D, line

X, CELL = line(-12, 15, 540)


def hills(distance, weight=0.5, width=0.5):
    return Mixture1D((1 - weight, weight), (-2.0, -2.0 + distance), (0.5, width))


def modes(teacher):
    return list(zip(teacher.means, teacher.widths, strict=True))


def gap_of(mean, width, teacher_logp, divergence, beta):
    return (integrand(gaussian_logpdf(X, mean, width), teacher_logp, divergence, beta)).sum() * CELL


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_integrands_sum_to_the_divergences_of_the_library(divergence):
    generator = np.random.default_rng(0)
    logits = generator.standard_normal((2, 4, 9))
    student, teacher = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    expected = divergences.DIVERGENCES[divergence](torch.from_numpy(student), torch.from_numpy(teacher), 0.3)
    np.testing.assert_allclose(integrand(student, teacher, divergence, 0.3).sum(-1), expected.numpy(), rtol=1e-9)


@pytest.mark.parametrize("divergence", DIVERGENCES)
@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("distance", [0.0, 1.5, 3.0, 6.0])
def test_nothing_on_a_grid_of_gaussians_is_nearer(divergence, beta, distance):
    teacher = hills(distance, weight=0.4)
    logp = teacher.logpdf(X)
    found = nearest_gaussian(X, CELL, logp, divergence, beta, starts=modes(teacher))
    means, widths = np.meshgrid(np.linspace(-4, 6, 41), np.geomspace(0.3, 4, 25), indexing="ij")
    rivals = integrand(gaussian_logpdf(X, means, widths), logp, divergence, beta).sum(-1) * CELL
    assert found.gap <= rivals.min() + 1e-9
    for mean, log_step in [(1e-3, 0), (-1e-3, 0), (0, 1e-3), (0, -1e-3)]:
        moved = gap_of(found.mean + mean, found.width * math.exp(log_step), logp, divergence, beta)
        assert moved >= found.gap - 1e-12


@pytest.mark.parametrize("divergence", DIVERGENCES)
def test_a_gaussian_teacher_is_found_exactly(divergence):
    found = nearest_gaussian(X, CELL, Gaussian(1.5, 0.7).logpdf(X), divergence, starts=[(-1.0, 0.4)])
    assert (found.mean, found.width) == pytest.approx((1.5, 0.7), abs=1e-5)
    assert abs(found.gap) < 1e-9


def test_forward_kl_matches_mean_and_variance_of_a_mixture():
    teacher = hills(4.0, weight=0.3, width=0.8)
    found = nearest_gaussian(X, CELL, teacher.logpdf(X), "forward_kl", starts=modes(teacher))
    variance = 0.7 * 0.5**2 + 0.3 * 0.8**2 + 0.7 * 0.3 * 4.0**2
    assert (found.mean, found.width) == pytest.approx((-2 + 0.3 * 4, math.sqrt(variance)), rel=1e-6)


def test_reverse_kl_on_one_far_mode_costs_the_log_of_its_weight():
    teacher = hills(6.0, weight=0.3)
    found = nearest_gaussian(X, CELL, teacher.logpdf(X), "reverse_kl", starts=modes(teacher))
    assert (found.mean, found.width, found.gap) == pytest.approx((-2, 0.5, -math.log(0.7)), abs=1e-5)


def test_of_equally_good_optima_the_first_start_wins():
    teacher = hills(6.0)
    left, right = modes(teacher)
    for starts, mean in (((left, right), -2), ((right, left), 4)):
        found = nearest_gaussian(X, CELL, teacher.logpdf(X), "reverse_kl", starts=starts)
        assert found.mean == pytest.approx(mean, abs=1e-4)


def test_no_start_ends_higher_than_it_began():
    logp = hills(4.0).logpdf(X)
    generator = np.random.default_rng(1)
    starts = list(zip(generator.uniform(-5, 5, 30), generator.uniform(0.2, 2, 30), strict=True))
    for start, end in zip(starts, local_optima(X, CELL, logp, "reverse_kl", starts=starts), strict=True):
        assert end.gap <= gap_of(*start, logp, "reverse_kl", 0.5) + 1e-12


def test_moments_of_an_unnormalised_density_are_those_of_the_normalised_one():
    logp = hills(3.0).logpdf(X)
    assert moments(X, CELL, logp + 1.0) == pytest.approx(moments(X, CELL, logp))


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.1])
def test_the_ends_of_beta_are_refused(beta):
    with pytest.raises(ValueError, match="0 < beta < 1"):
        nearest_gaussian(X, CELL, hills(1.0).logpdf(X), "jsd", beta)


def test_unknown_names_and_bad_starts_are_refused():
    logp = hills(1.0).logpdf(X)
    with pytest.raises(ValueError, match="expected one of"):
        integrand(logp, logp, "kl")
    with pytest.raises(ValueError, match="width above 0"):
        local_optima(X, CELL, logp, "reverse_kl", starts=[(0.0, 0.0)])
