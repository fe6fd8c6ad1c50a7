"""Self-distillation in closed form: the sum over eigenvectors is the average over readings."""

import numpy as np
import pytest

from kd_lab.lessons.l10_weak_to_strong.smoothing import wave


def test_a_round_is_a_fit_to_the_answers_of_the_one_before():
    curve = wave()
    readings = curve.read(0)
    twice = curve.fit(curve.fit(readings, 0.1), 0.1)
    np.testing.assert_allclose(curve.fit(readings, 0.1, 2), twice, atol=1e-10)


def test_a_fit_is_kernel_ridge_regression():
    curve = wave()
    kernel = curve.vectors @ np.diag(curve.values) @ curve.vectors.T
    readings = curve.read(3)
    expected = kernel @ np.linalg.solve(kernel + 0.3 * np.eye(len(readings)), readings)
    np.testing.assert_allclose(curve.fit(readings, 0.3), expected, atol=1e-8)


@pytest.mark.parametrize(("strength", "rounds"), [(0.03, 1), (0.03, 5), (1.0, 3)])
def test_the_expected_error_is_that_of_many_readings(strength, rounds):
    curve = wave()
    errors = [np.mean((curve.fit(curve.read(seed), strength, rounds) - curve.truth) ** 2) for seed in range(400)]
    assert np.mean(errors) == pytest.approx(curve.expected_error(strength, rounds), rel=0.08)


def test_without_noise_every_round_costs():
    errors = [wave(noise=0.0).expected_error(0.1, rounds) for rounds in (1, 2, 5, 20)]
    assert errors == sorted(errors)
