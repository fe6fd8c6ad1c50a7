"""Descent ends where the nearest Gaussian is, and goes downhill on the way."""

import numpy as np
import pytest

from kd_lab.lessons.l03_which_kl.descent import (
    GRID,
    STEP,
    TRIANGLE,
    copied_modes,
    descend,
    descend_on_plane,
    forward_on_plane,
    outside,
)
from kd_lab.lessons.l03_which_kl.explorers import EQUAL
from kd_lab.measure.gaussian_student import gaussian_logpdf, integrand, moments


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl"])
def test_a_walk_goes_downhill(divergence):
    path = descend(EQUAL, divergence, np.array([-1.0, 3.0]), np.array([1.0, 0.6]), rate=0.02)
    logq = gaussian_logpdf(GRID, path[..., 0], path[..., 1])
    nats = integrand(logq, EQUAL.logpdf(GRID), divergence).sum(-1) * STEP
    assert np.diff(nats, axis=0).max() < 1e-6


def test_forward_kl_has_one_end_and_reverse_kl_several():
    means, widths = np.array([-3.0, 0.0, 3.0]), np.array([1.0, 1.7, 1.0])
    forward = descend(EQUAL, "forward_kl", means, widths)[-1]
    np.testing.assert_allclose(forward, [moments(GRID, STEP, EQUAL.logpdf(GRID))] * 3, atol=1e-3)
    reverse = descend(EQUAL, "reverse_kl", means, widths)[-1]
    np.testing.assert_allclose(reverse[:, 0], [-2, 0, 2], atol=1e-2)


def test_mass_outside_the_support():
    teacher = np.exp(EQUAL.logpdf(GRID))
    assert outside(teacher, teacher) == pytest.approx(0.001, abs=1e-3)
    assert outside(np.roll(teacher, 60), teacher) > 0.4  # six units to the right


def test_on_the_plane_a_start_beside_a_mode_becomes_its_copy():
    students, nats = descend_on_plane(TRIANGLE.means + 0.5, np.full(3, 0.8))
    np.testing.assert_allclose(copied_modes(students), np.eye(3))
    np.testing.assert_allclose(nats, np.log(3), atol=0.01)
    x, y, width = forward_on_plane()
    np.testing.assert_allclose((x, y), TRIANGLE.means.mean(0), atol=1e-3)
    assert width > 1.5
