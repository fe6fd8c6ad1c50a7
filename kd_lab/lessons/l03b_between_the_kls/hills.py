"""Gaussians nearest to two hills under any divergence of the family, and to what temperature makes of the hills."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from kd_lab.measure.gaussian_student import Gaussian, integrand, local_optima, modes_kept, nearest_gaussian
from kd_lab.worlds.densities import Mixture1D, line, two_hills

FIRST = -2.0  # where the first of the hills stands
X, CELL = line(-12, 15, 540)

View = Callable[[Float[np.ndarray, " N"]], Float[np.ndarray, " N"]]
"""The teacher's log-density → the one that the student is shown."""


def fit(
    teacher: Mixture1D, divergence: str, beta: float = 0.5, view: View = lambda logp: logp
) -> tuple[Gaussian, Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """The nearest Gaussian to `view` of the teacher, its density on `X`, and the integrand of the divergence there."""
    teacher_logp = view(teacher.logpdf(X))
    modes = list(zip(teacher.means, teacher.widths, strict=True))
    student = nearest_gaussian(X, CELL, teacher_logp, divergence, beta, starts=modes)
    student_logp = student.logpdf(X)
    return student, np.exp(student_logp), integrand(student_logp, teacher_logp, divergence, beta)


def letting_go_distance(
    divergence: str, beta: float = 0.5, low: float = 1.0, high: float = 8.0, view: View = lambda logp: logp
) -> float:
    """The distance of the modes from which on the best student keeps only one; inf if it covers both at `high`."""

    def holds_both(distance: float) -> bool:
        teacher = two_hills(FIRST + distance)
        return bool(modes_kept(X, fit(teacher, divergence, beta, view)[1], teacher).all())

    if holds_both(high):
        return np.inf
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if holds_both(middle) else (low, middle)
    return high


# ---- temperature -----------------------------------------------------------------------------------------------------

WAYS = ("the teacher only", "both, student used at τ = 1")


def soften(logp: Float[np.ndarray, " N"], temperature: float) -> Float[np.ndarray, " N"]:
    """log of p^(1/τ), normalised on `X`."""
    scaled = logp / temperature
    scaled = scaled - scaled.max()
    return scaled - np.log(np.exp(scaled).sum() * CELL)


def softened_fit(
    teacher: Mixture1D, divergence: str, temperature: float, way: str = WAYS[0]
) -> tuple[Gaussian, Float[np.ndarray, " N"]]:
    """The best student of a softened teacher as it is used, and the integrand that it was trained on.

    A Gaussian of variance σ² softens to one of variance τσ². So a student that is softened while it is trained is √τ
    times as narrow when it is used at τ = 1.
    """
    trained_as, _, charge = fit(teacher, divergence, view=lambda logp: soften(logp, temperature))
    shrink = np.sqrt(temperature) if way == WAYS[1] else 1.0
    return replace(trained_as, width=trained_as.width / shrink), charge


def ragged_hill(generator: np.random.Generator) -> Mixture1D:
    """One broad hill made of eight narrow bumps."""
    return Mixture1D(generator.dirichlet(np.full(8, 3.0)), generator.normal(0, 0.8, 8), np.full(8, 0.12))


def count_optima(teacher: Mixture1D, temperature: float, starts: list[tuple[float, float]]) -> int:
    """How many different Gaussians a downhill search on reverse KL ends in, to one decimal of mean and width."""
    x, cell = line(-8, 8, 240)
    ends = local_optima(x, cell, teacher.logpdf(x) / temperature, "reverse_kl", starts=starts)  # up to a constant
    return len({(round(end.mean, 1), round(end.width, 1)) for end in ends})
