"""Mixtures: they integrate to one, match a hand-computed value and are sampled as they are described."""

import math

import numpy as np
import pytest

from kd_lab.worlds import Mixture1D, Mixture2D
from kd_lab.worlds.densities import line, plane, two_hills

TWO = Mixture1D(weights=(1, 3), means=(-2, 2), widths=(0.5, 1.0))
FOUR = Mixture2D(weights=(1, 1, 2, 0), means=((-2, 0), (2, 0), (0, 2), (0, -2)), widths=(0.5, 0.7, 1.0, 0.2))


def test_one_dimension_by_hand():
    expected = 0.25 / (0.5 * math.sqrt(2 * math.pi)) + 0.75 / math.sqrt(2 * math.pi) * math.exp(-8)
    assert TWO.logpdf(np.array([-2.0]))[0] == pytest.approx(math.log(expected), abs=1e-12)


def test_two_dimensions_by_hand():
    one = Mixture2D(weights=(1,), means=((0, 0),), widths=(2,))
    assert one.logpdf(np.array([[2.0, 0.0]]))[0] == pytest.approx(-math.log(2 * math.pi * 4) - 0.5, abs=1e-12)


def test_one_dimension_integrates_to_one():
    x, cell = line(-12, 12, 2_000)
    assert np.exp(TWO.logpdf(x)).sum() * cell == pytest.approx(1, abs=1e-9)


def test_two_dimensions_integrate_to_one():
    grid, cell = plane(-10, 10, 200)
    density = np.exp(FOUR.logpdf(grid))
    assert density.shape == (200, 200)
    assert density.sum() * cell == pytest.approx(1, abs=1e-9)
    assert density[199].sum() < density[150].sum()  # rows are y, and the heaviest mode stands at y = 2


def test_far_tails_stay_finite():
    assert TWO.logpdf(np.array([1e6]))[0] == pytest.approx(-0.5 * (1e6 - 2) ** 2, rel=1e-9)


def test_a_mode_of_weight_zero_is_not_there():
    without = Mixture2D(weights=(1, 1, 2), means=FOUR.means[:3], widths=FOUR.widths[:3])
    grid, _ = plane(-3, 3, 10)
    np.testing.assert_allclose(FOUR.logpdf(grid), without.logpdf(grid), rtol=1e-12)


def test_samples_have_the_mixture_s_moments():
    x = TWO.sample(200_000, np.random.default_rng(0))
    assert x.mean() == pytest.approx(1.0, abs=0.02)
    assert x.var() == pytest.approx(0.25 * (0.25 + 9) + 0.75 * (1 + 1), abs=0.03)
    points = FOUR.sample(100_000, np.random.default_rng(0))
    np.testing.assert_allclose(points.mean(0), [0, 1], atol=0.03)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((0.5, 0.5), (0.0,), (1.0, 1.0)), "one entry per mode"),
        (((), (), ()), "one entry per mode"),
        (((-1.0, 2.0), (0.0, 1.0), (1.0, 1.0)), "finite numbers ≥ 0"),
        (((0.0,), (0.0,), (1.0,)), "finite numbers ≥ 0"),
        (((1.0,), (0.0,), (0.0,)), "finite widths > 0"),
        (((1.0,), (math.nan,), (1.0,)), "finite means"),
    ],
)
def test_what_is_no_mixture_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Mixture1D(*arguments)


def test_a_point_of_three_coordinates_is_refused():
    with pytest.raises(ValueError, match="means have 3 coordinates"):
        Mixture2D((1,), ((0, 0, 0),), (1,))


def test_an_empty_range_is_refused():
    with pytest.raises(ValueError, match="low < high"):
        line(1, 1, 10)


def test_two_hills_are_a_mixture_with_its_first_mode_at_minus_two():
    x = np.linspace(-4, 6, 11)
    expected = Mixture1D((0.7, 0.3), (-2, 3), (0.5, 1.0)).logpdf(x)
    np.testing.assert_allclose(two_hills(second=3, weight=0.3, width=1.0).logpdf(x), expected)
