"""The confidence interval of a mean over a few seeds."""

from collections.abc import Sequence
from functools import cache
from math import atan, cos, pi, sin, sqrt

import numpy as np

from kd_lab.arguments import checked


@checked
def mean_interval(values: Sequence[float | int] | np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Mean and half width of its confidence interval.

    Formula: x̄ ± t_{n−1, (1+level)/2} · s / √n with s² = Σ(x − x̄)² / (n − 1). It assumes that the seeds are independent
    and their results near a normal distribution.

    Args:
        values: one result per seed, [n], n ≥ 2.
        level: the probability with which such an interval covers the true mean, 0 < level < 1.

    Returns:
        (mean, half width), in the unit of the values.

    Raises:
        ValueError: fewer than two values, a value that is not finite, or a level outside (0, 1).

    >>> mean, half_width = mean_interval([1.0, 2.0, 3.0])
    >>> round(mean, 3), round(half_width, 3)
    (2.0, 2.484)

    Source: Student, The probable error of a mean, Biometrika 1908.
    """
    try:
        results = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"values hold no numbers ({error}); expected one result per seed, [n] with n ≥ 2") from error
    if results.ndim != 1 or len(results) < 2:
        raise ValueError(f"values have shape {results.shape}; expected one result per seed, [n] with n ≥ 2")
    if not np.isfinite(results).all():
        raise ValueError(f"values are {results.tolist()}; a mean needs finite ones: find the seed that went wrong")
    deviation = results.std(ddof=1)
    return float(results.mean()), student_t_quantile(len(results) - 1, level) * float(deviation) / sqrt(len(results))


@cache  # a curve has an interval at each of its points, all over the same number of seeds
def student_t_quantile(degrees: int, level: float) -> float:
    """The t for which P(|T| ≤ t) = level, T with Student's distribution of that many degrees of freedom.

    >>> [round(student_t_quantile(n, 0.95), 3) for n in (1, 2, 4, 30)]
    [12.706, 4.303, 2.776, 2.042]
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; expected a probability strictly between 0 and 1, such as 0.95")
    low, high = 0.0, 1.0
    while student_t_within(high, degrees) < level:
        high *= 2
    for _ in range(100):  # bisection halves the bracket down to the last bit
        middle = (low + high) / 2
        low, high = (middle, high) if student_t_within(middle, degrees) < level else (low, middle)
    return high


def student_t_within(t: float, degrees: int) -> float:
    """P(|T| ≤ t), a finite sum for a whole number of degrees.

    Source: Abramowitz & Stegun, Handbook of Mathematical Functions, 26.7.3 and 26.7.4.
    """
    if degrees < 1:
        raise ValueError(f"degrees of freedom are {degrees}; expected a whole number from 1 on")
    angle = atan(t / sqrt(degrees))
    odd = degrees % 2
    term, total = (cos(angle) if odd else 1.0), 0.0
    for k in range(1 + odd, degrees, 2):
        total += term
        term *= k / (k + 1) * cos(angle) ** 2
    return 2 / pi * (angle + sin(angle) * total) if odd else sin(angle) * total
