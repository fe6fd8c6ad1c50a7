"""Densities with several modes in one and two dimensions, in NumPy alone, on which a divergence can be drawn."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from kd_lab.arguments import checked


def _checked(weights, means, widths, mean_ndim: int) -> dict[str, np.ndarray]:
    try:
        weights, means, widths = (np.asarray(values, dtype=float) for values in (weights, means, widths))
    except (TypeError, ValueError) as error:  # words, or rows of several lengths
        raise ValueError(f"weights, means or widths hold no numbers ({error}); expected one entry per mode") from error
    if (
        weights.ndim != 1
        or len(weights) == 0
        or means.ndim != mean_ndim
        or not len(weights) == len(means) == len(widths)
    ):
        raise ValueError(
            f"weights, means and widths have shapes {weights.shape}, {means.shape} and {widths.shape}; "
            "expected one entry per mode in each, such as weights=(0.5, 0.5)"
        )
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise ValueError(f"weights are {weights}; expected finite numbers ≥ 0 that are not all zero")
    if not (np.isfinite(means).all() and np.isfinite(widths).all() and (widths > 0).all()):
        raise ValueError(f"means are {means} and widths {widths}; expected finite means and finite widths > 0")
    return {"weights": weights / weights.sum(), "means": means, "widths": widths}


def _logsumexp(values: Float[np.ndarray, "*N K"]) -> Float[np.ndarray, "*N"]:
    largest = values.max(-1)
    return largest + np.log(np.exp(values - largest[..., None]).sum(-1))


@checked
@dataclass(frozen=True, eq=False)
class Mixture1D:
    """p(x) = Σ_k w_k N(x; μ_k, σ_k²) on the real line.

    Args of the constructor: `weights`, `means` and `widths` (σ), one number per mode; weights are normalised.

    >>> two = Mixture1D(weights=(0.5, 0.5), means=(-2, 2), widths=(0.5, 0.5))
    >>> two.logpdf(np.array([0.0])).round(4)
    array([-8.2258])
    """

    weights: Sequence[float | int] | np.ndarray
    means: Sequence[float | int] | np.ndarray
    widths: Sequence[float | int] | np.ndarray

    def __post_init__(self) -> None:
        for name, value in _checked(self.weights, self.means, self.widths, 1).items():
            object.__setattr__(self, name, value)

    def logpdf(self, x: Float[np.ndarray, "*N"]) -> Float[np.ndarray, "*N"]:
        """log p(x) in nats, finite wherever the float64 range allows: far tails do not turn into log 0."""
        with np.errstate(divide="ignore"):  # a weight of zero is a mode that is switched off
            log_weights = np.log(self.weights)
        z = (x[..., None] - self.means) / self.widths
        return _logsumexp(log_weights - np.log(self.widths) - 0.5 * math.log(2 * math.pi) - 0.5 * z**2)

    def sample(self, size: int, generator: np.random.Generator) -> Float[np.ndarray, " N"]:
        """`size` independent draws."""
        mode = generator.choice(len(self.weights), size, p=self.weights)
        return self.means[mode] + self.widths[mode] * generator.standard_normal(size)


@checked
@dataclass(frozen=True, eq=False)
class Mixture2D:
    """p(x) = Σ_k w_k N(x; μ_k, σ_k² I) on the plane.

    Args of the constructor: `weights` and `widths`, one number per mode; `means`, one pair per mode.

    >>> ring = Mixture2D(weights=(1, 1), means=((-1, 0), (1, 0)), widths=(1, 1))
    >>> ring.logpdf(np.zeros((1, 2))).round(4)
    array([-2.3379])
    """

    weights: Sequence[float | int] | np.ndarray
    means: Sequence[Sequence[float | int]] | np.ndarray
    widths: Sequence[float | int] | np.ndarray

    def __post_init__(self) -> None:
        checked = _checked(self.weights, self.means, self.widths, 2)
        if checked["means"].shape[1] != 2:
            raise ValueError(
                f"means have {checked['means'].shape[1]} coordinates; expected two, such as ((-1, 0), (1, 0))"
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def logpdf(self, x: Float[np.ndarray, "*N 2"]) -> Float[np.ndarray, "*N"]:
        """log p(x) in nats."""
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.weights)
        z2 = (((x[..., None, :] - self.means) / self.widths[:, None]) ** 2).sum(-1)
        return _logsumexp(log_weights - 2 * np.log(self.widths) - math.log(2 * math.pi) - 0.5 * z2)

    def sample(self, size: int, generator: np.random.Generator) -> Float[np.ndarray, "N 2"]:
        """`size` independent draws."""
        mode = generator.choice(len(self.weights), size, p=self.weights)
        return self.means[mode] + self.widths[mode, None] * generator.standard_normal((size, 2))


def two_hills(second: float | int = 3.0, weight: float | int = 0.5, width: float | int = 0.5) -> Mixture1D:
    """A teacher with two modes: one at −2 of width ½, and one at `second` of this weight and width.

    >>> two_hills(second=3).means
    array([-2.,  3.])
    """
    return Mixture1D(weights=(1 - weight, weight), means=(-2.0, second), widths=(0.5, width))


def line(low: float | int, high: float | int, points: int) -> tuple[Float[np.ndarray, " N"], float]:
    """`points` midpoints of equal cells from `low` to `high`, and the cell's width.

    ∫ f ≈ f(x).sum() · cell: the midpoint rule, exact to rounding for a smooth density that vanishes at both ends.

    >>> x, cell = line(0, 1, 4)
    >>> x, cell
    (array([0.125, 0.375, 0.625, 0.875]), 0.25)
    """
    if not (low < high and points >= 2):
        raise ValueError(f"low, high and points are {low}, {high}, {points}; expected low < high and points ≥ 2")
    cell = (high - low) / points
    return low + cell * (np.arange(points) + 0.5), cell


def plane(low: float | int, high: float | int, points: int) -> tuple[Float[np.ndarray, "N N 2"], float]:
    """The square grid [i, j] ↦ (x_j, y_i) of the same midpoints, and the cell's area."""
    x, cell = line(low, high, points)
    return np.stack(np.meshgrid(x, x), axis=-1), cell**2
