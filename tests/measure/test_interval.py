import numpy as np
import pytest

from kd_lab.measure.interval import mean_interval, student_t_quantile


@pytest.mark.parametrize(
    ("degrees", "level", "expected"),  # from a printed table of Student's distribution
    [(1, 0.95, 12.706), (2, 0.95, 4.303), (3, 0.90, 2.353), (5, 0.99, 4.032), (10, 0.95, 2.228), (120, 0.95, 1.980)],
)
def test_quantiles_agree_with_the_table(degrees, level, expected):
    assert student_t_quantile(degrees, level) == pytest.approx(expected, abs=6e-4)


def test_each_size_is_bisected_once():
    """A curve of a hundred points asks for the same quantile a hundred times."""
    student_t_quantile.cache_clear()
    for values in np.random.default_rng(0).normal(size=(20, 5)):
        mean_interval(values)
    assert student_t_quantile.cache_info().misses == 1


def test_many_degrees_tend_to_the_normal_distribution():
    assert student_t_quantile(10_000, 0.95) == pytest.approx(1.96, abs=1e-3)


def test_by_hand():
    mean, half_width = mean_interval([1.0, 2.0, 6.0])  # s² = 7, t = 4.3027
    assert mean == pytest.approx(3.0)
    assert half_width == pytest.approx(4.302653 * (7 / 3) ** 0.5, rel=1e-6)


def test_equal_values_have_no_width():
    assert mean_interval([2.0, 2.0, 2.0]) == (2.0, 0.0)


@pytest.mark.parametrize(
    ("values", "level", "part"),
    [
        ([1.0], 0.95, "n ≥ 2"),
        (np.ones((1, 2)), 0.95, "n ≥ 2"),
        ([1.0, float("inf")], 0.95, "finite"),
        ([1.0, 2.0], 1.0, "level"),
    ],
)
def test_what_has_no_interval_is_refused(values, level, part):
    with pytest.raises(ValueError, match=part):
        mean_interval(values, level)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    generator = np.random.default_rng(0)
    samples = generator.normal(3.0, 2.0, size=(500, 4))
    covered = [abs(mean - 3.0) <= half for mean, half in map(mean_interval, samples)]
    # within three standard errors; a normal quantile in place of Student's gives 0.86
    assert np.mean(covered) == pytest.approx(0.95, abs=0.03)
