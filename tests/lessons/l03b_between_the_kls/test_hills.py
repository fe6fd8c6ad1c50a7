"""Students of two hills: when they let go, and what temperature makes of them."""

import numpy as np
import pytest

from kd_lab.lessons.l03b_between_the_kls.hills import (
    CELL,
    WAYS,
    X,
    count_optima,
    fit,
    letting_go_distance,
    ragged_hill,
    soften,
    softened_fit,
)
from kd_lab.measure.gaussian_student import Gaussian
from kd_lab.worlds.densities import two_hills


def test_softening_a_gaussian_widens_it_by_the_root_of_the_temperature():
    softened = soften(Gaussian(1.0, 0.5).logpdf(X), 4.0)
    np.testing.assert_allclose(softened, Gaussian(1.0, 1.0).logpdf(X), atol=1e-9)
    assert np.exp(softened).sum() * CELL == pytest.approx(1)


def test_a_student_softened_with_its_teacher_is_used_narrower():
    alone, both = (softened_fit(two_hills(2.0), "forward_kl", 4.0, way)[0] for way in WAYS)
    assert both.width == pytest.approx(alone.width / 2)
    assert both.mean == alone.mean


def test_jsd_lets_go_between_reverse_and_forward_kl():
    reverse, jsd = letting_go_distance("reverse_kl"), letting_go_distance("jsd", 0.5)
    assert 2.5 < reverse < jsd < 5
    assert letting_go_distance("forward_kl") == np.inf
    assert letting_go_distance("jsd", 0.9) < jsd


def test_the_integrand_of_jsd_is_never_negative():
    for beta in (0.1, 0.5, 0.9):
        assert fit(two_hills(1.5), "jsd", beta)[2].min() >= -1e-12


def test_one_smooth_hill_has_one_optimum():
    starts = [(-2.0, 0.5), (0.0, 1.0), (2.0, 0.3)]
    assert count_optima(two_hills(-2.0), 1.0, starts) == 1
    assert count_optima(ragged_hill(np.random.default_rng(0)), 1.0, starts) >= 1
