"""A student that cannot copy: the single Gaussian that lies nearest to a density on the line, under any divergence.

A density on a grid is a distribution over cells, so each divergence here is the one of `kd_lab.how`, with the cell's
width as the weight of each term. NumPy alone, and fast enough to follow a slider.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from kd_lab.how.traits import TRAITS as TABLE
from kd_lab.worlds.densities import Mixture1D

DIVERGENCES = tuple(name for name in TABLE if name != "total_variation")  # its corner at q = p stops Newton's method
TINY = np.finfo(float).tiny
TIE = 1e-6  # nats; a later start has to win by more than this


@dataclass(frozen=True)
class Gaussian:
    """N(mean, width²), and how far it is from the teacher that it was fitted to, in nats."""

    mean: float
    width: float
    gap: float = math.nan

    def logpdf(self, x: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """log q(x) in nats.

        >>> Gaussian(0.0, 1.0).logpdf(np.zeros(1)).round(4)
        array([-0.9189])
        """
        return gaussian_logpdf(x, self.mean, self.width)


def gaussian_logpdf(x: Float[np.ndarray, " N"], mean, width) -> Float[np.ndarray, "*S N"]:
    """log N(x; mean, width²) in nats; one row for each entry of `mean` and `width`."""
    mean, width = np.asarray(mean)[..., None], np.asarray(width)[..., None]
    return -0.5 * ((x - mean) / width) ** 2 - np.log(width) - 0.5 * math.log(2 * math.pi)


def integrand(
    student_logp: Float[np.ndarray, "*#S N"],
    teacher_logp: Float[np.ndarray, "*#S N"],
    divergence: str,
    beta: float = 0.5,
) -> Float[np.ndarray, "... N"]:
    """The integrand over x of the divergence: where the student pays, and where it is paid back.

    forward_kl p·log(p/q) · reverse_kl q·log(q/p) · jsd β·p·log(p/m) + (1−β)·q·log(q/m) · skew_kl p·log(p/m) ·
    skew_reverse_kl q·log(q/m), m = βp + (1−β)q.

    It is negative where the weighted side is below the other; only the integral is never negative. Times the cell's
    width and summed it is the divergence of `kd_lab.how`. Over tokens instead of points the cell's width is 1.

    Args:
        student_logp: log q at each point, in nats; finite.
        teacher_logp: log p at each point, in nats; finite.
        divergence: "forward_kl", "reverse_kl", "jsd", "skew_kl" or "skew_reverse_kl".
        beta: the teacher's share of m, strictly between 0 and 1; read by the three with a mixture.

    Returns:
        Nats per unit of x, at each point.

    Raises:
        ValueError: the divergence has another name, or `beta` is an end of its interval.

    >>> same = np.log(np.array([0.5, 0.5]))
    >>> integrand(same, same, "jsd").tolist()
    [0.0, 0.0]

    Source: Agarwal et al., "On-Policy Distillation of Language Models", 2306.13649, section 2.
    """
    _check(divergence, beta)
    p, q = np.exp(teacher_logp), np.exp(student_logp)
    if divergence == "forward_kl":
        return p * (teacher_logp - student_logp)
    if divergence == "reverse_kl":
        return q * (student_logp - teacher_logp)
    # Where both are so small that the mixture underflows, the factors p and q in front are zero too.
    mixture_logp = np.log(np.maximum(beta * p + (1 - beta) * q, TINY))
    teacher_part = p * (teacher_logp - mixture_logp)
    if divergence == "skew_kl":
        return teacher_part
    if divergence == "skew_reverse_kl":
        return q * (student_logp - mixture_logp)
    return beta * teacher_part + (1 - beta) * q * (student_logp - mixture_logp)


def moments(x: Float[np.ndarray, " N"], cell: float, logp: Float[np.ndarray, " N"]) -> tuple[float, float]:
    """Mean and standard deviation of a density on a grid: of all Gaussians, theirs has the least forward KL.

    Source: Bishop, "Pattern Recognition and Machine Learning", 2006, section 10.7.

    >>> x = np.linspace(-9, 9, 901)
    >>> mean, width = moments(x, 0.02, Gaussian(1.0, 0.5).logpdf(x))
    >>> round(mean, 6), round(width, 6)
    (1.0, 0.5)
    """
    mass = np.exp(logp) * cell
    mass = mass / mass.sum()
    mean = float(mass @ x)
    return mean, math.sqrt(mass @ (x - mean) ** 2)


def local_optima(
    x: Float[np.ndarray, " N"],
    cell: float,
    teacher_logp: Float[np.ndarray, " N"],
    divergence: str,
    beta: float = 0.5,
    starts: Sequence[tuple[float, float]] = (),
) -> list[Gaussian]:
    """The Gaussian in which a downhill search ends, for each of the starts.

    A damped Newton method on (mean, log width), from every start at once; no step goes uphill. As soon as the teacher's
    modes stand apart, different starts end in different optima of every divergence but forward KL.

    Args:
        x: midpoints of equal cells; they should reach past the teacher's and the student's tails.
        cell: their width.
        teacher_logp: log p(x), in nats.
        divergence: "forward_kl", "reverse_kl", "jsd", "skew_kl" or "skew_reverse_kl".
        beta: the teacher's share of the mixture; read by the three that have one.
        starts: (mean, width) of each start.

    Returns:
        One Gaussian per start, in the order of the starts, each with its gap in nats.

    Raises:
        ValueError: the divergence has another name, `beta` is an end of its interval, the shapes differ, or there is no
            start with a width above 0.

    >>> x = np.linspace(-12, 12, 481)
    >>> teacher_logp = np.logaddexp(Gaussian(-3, 0.5).logpdf(x), Gaussian(3, 0.5).logpdf(x)) - math.log(2)
    >>> [round(g.mean) for g in local_optima(x, 0.05, teacher_logp, "reverse_kl", starts=((-2, 1.0), (2, 1.0)))]
    [-3, 3]
    """
    _check(divergence, beta)
    if x.shape != teacher_logp.shape:
        raise ValueError(
            f"x has shape {x.shape} and teacher_logp {teacher_logp.shape}; expected log p at each point of x"
        )
    if not len(starts) or min(width for _, width in starts) <= 0:
        raise ValueError(f"starts are {starts}; expected at least one pair (mean, width) with a width above 0")
    theta = np.array([(mean, math.log(width)) for mean, width in starts])
    theta = _descend(theta, x, cell, teacher_logp, divergence, beta)
    gaps = _gap(theta, x, cell, teacher_logp, divergence, beta)
    widths = np.exp(theta[:, 1])
    return [Gaussian(*map(float, fit)) for fit in zip(theta[:, 0], widths, gaps, strict=True)]


def nearest_gaussian(
    x: Float[np.ndarray, " N"],
    cell: float,
    teacher_logp: Float[np.ndarray, " N"],
    divergence: str,
    beta: float = 0.5,
    starts: Sequence[tuple[float, float]] = (),
) -> Gaussian:
    """The Gaussian with the least divergence from the teacher among the optima that the starts lead to.

    The teacher's own mean and width are always the last start; for forward KL they are the answer. The result depends
    on the arguments alone, never on an earlier call, so that a slider gives the same picture from either side.

    Args:
        x, cell, teacher_logp, divergence, beta: as in `local_optima`.
        starts: (mean, width) of the starts, best one per mode of the teacher. Of optima as good as each other to 1e-6
            nats, the earliest start's is returned.

    Raises:
        ValueError: as in `local_optima`.

    >>> from kd_lab.worlds.densities import line
    >>> x, cell = line(-12, 12, 480)
    >>> teacher = Mixture1D((0.5, 0.5), (-3, 3), (0.5, 0.5))
    >>> for divergence in ("forward_kl", "reverse_kl"):
    ...     student = nearest_gaussian(x, cell, teacher.logpdf(x), divergence, starts=((-3, 0.5), (3, 0.5)))
    ...     print(f"{divergence}: mean {student.mean:.2f}, width {student.width:.2f}, gap {student.gap:.2f}")
    forward_kl: mean 0.00, width 3.04, gap 1.11
    reverse_kl: mean -3.00, width 0.50, gap 0.69
    """
    starts = [] if divergence == "forward_kl" else list(starts)
    found = local_optima(x, cell, teacher_logp, divergence, beta, [*starts, moments(x, cell, teacher_logp)])
    least = min(fit.gap for fit in found)
    return next(fit for fit in found if fit.gap <= least + TIE)


def modes_kept(
    x: Float[np.ndarray, " N"], density: Float[np.ndarray, "*S N"], teacher: Mixture1D
) -> Bool[np.ndarray, "*S K"]:
    """Which of the teacher's K modes a student keeps.

    A mode is kept where the student gives its neighbourhood, two widths to each side, at least a tenth of the teacher's
    probability there.

    Args:
        x: midpoints of equal cells.
        density: q(x), of one student or of several.
        teacher: with one mean and one width per mode.

    >>> x = np.linspace(-6, 6, 241)
    >>> teacher = Mixture1D((0.5, 0.5), (-2, 2), (0.5, 0.5))
    >>> modes_kept(x, np.exp(Gaussian(-2.0, 0.5).logpdf(x)), teacher).tolist()
    [True, False]
    """
    near = (np.abs(x - teacher.means[:, None]) < 2 * teacher.widths[:, None]).astype(float)  # [K, N]
    return density @ near.T >= 0.1 * (near @ np.exp(teacher.logpdf(x)))


def _gap(theta, x, cell, teacher_logp, divergence, beta):
    student_logp = gaussian_logpdf(x, theta[:, 0], np.exp(theta[:, 1]))
    return integrand(student_logp, teacher_logp, divergence, beta).sum(-1) * cell


def _descend(theta, x, cell, teacher_logp, divergence, beta, steps: int = 40):
    """Newton's method on (mean, log width), one row per start; a step that does not improve is halved."""
    gap = _gap(theta, x, cell, teacher_logp, divergence, beta)
    scale = np.ones(len(theta))
    for _ in range(steps):
        gradient, hessian = _derivatives(theta, x, cell, teacher_logp, divergence, beta)
        if np.abs(gradient).max() < 1e-9:
            break
        # Between two basins the curvature turns negative; its absolute value still points downhill.
        values, vectors = np.linalg.eigh(hessian)
        values = np.maximum(np.abs(values), 1e-3)
        step = -np.einsum("sij,sj->si", vectors, np.einsum("sij,si->sj", vectors, gradient) / values)
        step /= np.maximum(1, np.abs(step).max(-1, keepdims=True) / 0.7)  # no leap past a neighbouring optimum
        trial = theta + scale[:, None] * step
        trial_gap = _gap(trial, x, cell, teacher_logp, divergence, beta)
        better = trial_gap <= gap
        theta, gap = np.where(better[:, None], trial, theta), np.where(better, trial_gap, gap)
        scale = np.where(better, np.minimum(1.0, 2 * scale), scale / 2)
    return theta


def _derivatives(theta, x, cell, teacher_logp, divergence, beta):
    """Gradient [S, 2] and Hessian [S, 2, 2] in (mean, log width).

    With f(q) the integrand and s = ∂ log q/∂θ: ∇ = ∫ q·f′·s and H = ∫ (q²·f″ + q·f′)·s·sᵀ + q·f′·∂s/∂θ.
    """
    width = np.exp(theta[:, 1])[:, None]
    z = (x - theta[:, :1]) / width
    log_q = gaussian_logpdf(x, theta[:, 0], width[:, 0])
    p, q = np.broadcast_to(np.exp(teacher_logp), log_q.shape), np.exp(log_q)
    if divergence == "forward_kl":
        first, second = -p, p
    elif divergence == "reverse_kl":
        first, second = q * (log_q - teacher_logp + 1), q
    else:
        mixture = np.maximum(beta * p + (1 - beta) * q, TINY)
        share = q / mixture
        if divergence == "jsd":
            first = (1 - beta) * q * (log_q - np.log(mixture))
            second = beta * (1 - beta) * p * share
        elif divergence == "skew_reverse_kl":
            first = q * (log_q - np.log(mixture) + 1 - (1 - beta) * share)
            second = q * (1 - (1 - beta) * share) ** 2
        else:
            first = -(1 - beta) * p * share
            second = (1 - beta) ** 2 * p * share**2
    score = np.stack([z / width, z**2 - 1], axis=1)  # [S, 2, N]
    bend = np.empty((len(theta), 2, 2, len(x)))
    bend[:, 0, 0], bend[:, 1, 1] = -1 / width**2, -2 * z**2
    bend[:, 0, 1] = bend[:, 1, 0] = -2 * z / width
    gradient = (first[:, None] * score).sum(-1) * cell
    hessian = np.einsum("sn,sin,sjn->sij", first + second, score, score) + np.einsum("sn,sijn->sij", first, bend)
    return gradient, hessian * cell


def _check(divergence: str, beta: float) -> None:
    if divergence not in DIVERGENCES:
        raise ValueError(f"divergence is {divergence!r}; expected one of {', '.join(map(repr, DIVERGENCES))}")
    TABLE[divergence].check_beta(beta)
