"""Gradient descent on either KL, from many starts at once: a Gaussian on the line, a round one on the plane."""

import math

import numpy as np
from jaxtyping import Float

from kd_lab.measure.gaussian_student import gaussian_logpdf
from kd_lab.worlds.densities import Mixture1D, Mixture2D, line, plane

GRID, STEP = line(-12, 12, 240)
LONGEST = 2.0  # a slope is cut here: a start far from both modes would leap otherwise


def weigh(divergence: str, student_logp: np.ndarray, teacher_logp: np.ndarray) -> np.ndarray:
    """∂ integrand/∂ log q at each point: −p for forward KL, q·log(q/p) for reverse KL, both up to what sums to zero."""
    if divergence == "forward_kl":
        return np.broadcast_to(-np.exp(teacher_logp), student_logp.shape)
    return np.exp(student_logp) * (student_logp - teacher_logp)


def descend(
    teacher: Mixture1D,
    divergence: str,
    means: Float[np.ndarray, " S"],
    widths: Float[np.ndarray, " S"],
    steps: int = 600,
    rate: float = 0.1,
) -> Float[np.ndarray, "N S 2"]:
    """The paths of Gaussians downhill: (mean, width) of each start before the first step and after every one.

    The slope is the integral of `weigh` times the score, which is z/σ for the mean and z² − 1 for log σ.

    Args:
        teacher: on the line from −12 to 12.
        divergence: "forward_kl" or "reverse_kl".
        means, widths: of the starts.
        steps, rate: of gradient descent in mean and log width.
    """
    mean, log_width = np.array(means, dtype=float), np.log(widths)
    teacher_logp, path = teacher.logpdf(GRID), [(mean, np.exp(log_width))]
    for _ in range(steps):
        width = np.exp(log_width)
        z = (GRID - mean[:, None]) / width[:, None]
        weight = weigh(divergence, gaussian_logpdf(GRID, mean, width), teacher_logp) * STEP
        mean = mean - rate * np.clip((weight * z).sum(1) / width, -LONGEST, LONGEST)
        log_width = log_width - rate * np.clip((weight * (z**2 - 1)).sum(1), -LONGEST, LONGEST)
        path.append((mean, np.exp(log_width)))
    return np.moveaxis(np.array(path), 1, 2)


def outside(
    density: Float[np.ndarray, "*S N"], teacher_density: Float[np.ndarray, " N"], share: float = 0.999
) -> Float[np.ndarray, "*S"] | float:
    """A student's mass outside the smallest region that holds this share of the teacher's."""
    order = np.argsort(-teacher_density)
    inside = order[: np.searchsorted(np.cumsum(teacher_density[order]) / teacher_density.sum(), share) + 1]
    return 1 - density[..., inside].sum(-1) / density.sum(-1)


# ---- the plane -------------------------------------------------------------------------------------------------------

TRIANGLE = Mixture2D(weights=(1, 1, 1), means=((-2.4, -1.5), (2.4, -1.5), (0, 2.7)), widths=(0.6, 0.6, 0.6))
"""Three modes of one width, as far apart as the sides of a triangle."""

SIDE = 9.0  # half of the grid's; a student wider than the grid would seem to cost nothing


def descend_on_plane(
    means: Float[np.ndarray, "S 2"], widths: Float[np.ndarray, " S"], steps: int = 200, rate: float = 0.1
) -> tuple[Float[np.ndarray, "S 3"], Float[np.ndarray, " S"]]:
    """Reverse KL from `TRIANGLE` downhill: (x, y, width) of each round Gaussian at the end, and its KL in nats."""
    points, area = plane(-SIDE, SIDE, 60)
    points, teacher_logp = points.reshape(-1, 2), TRIANGLE.logpdf(points).ravel()
    log_width = np.log(widths)
    for _ in range(steps):
        offset = (points - means[:, None]) / np.exp(log_width)[:, None, None]
        square = (offset**2).sum(-1)
        student_logp = -0.5 * square - 2 * log_width[:, None] - math.log(2 * math.pi)
        weight = weigh("reverse_kl", student_logp, teacher_logp) * area
        slope = (weight[:, None] @ offset)[:, 0] / np.exp(log_width)[:, None]
        means = means - rate * np.clip(slope, -LONGEST, LONGEST)
        log_width = log_width - rate * np.clip((weight * (square - 2)).sum(1), -LONGEST, LONGEST)
    return np.column_stack([means, np.exp(log_width)]), weight.sum(1)


def forward_on_plane() -> tuple[float, float, float]:
    """(x, y, width) of forward KL's round Gaussian for `TRIANGLE`: the teacher's own mean and spread."""
    points, area = plane(-SIDE, SIDE, 60)
    mass = np.exp(TRIANGLE.logpdf(points)).ravel() * area
    points = points.reshape(-1, 2)
    center = mass @ points
    return (*map(float, center), math.sqrt(mass @ ((points - center) ** 2).sum(1) / 2))


def copied_modes(students: Float[np.ndarray, "S 3"]) -> Float[np.ndarray, "S 3"]:
    """1.0 where a student is a copy of a mode of `TRIANGLE`: within 0.3 of its centre and 10 % of its width."""
    distance = np.sqrt(((students[:, None, :2] - TRIANGLE.means) ** 2).sum(-1))
    return ((distance < 0.3) & (np.abs(students[:, 2:] / TRIANGLE.widths - 1) < 0.1)).astype(float)
