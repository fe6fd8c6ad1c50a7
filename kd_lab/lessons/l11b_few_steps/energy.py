"""The distance of a cloud of samples from a mixture of Gaussians on the plane, exact on the mixture's side."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.worlds.densities import Mixture2D


def rice_mean(distance: Float[Tensor, "*N"], width: Float[Tensor, "*N"]) -> Float[Tensor, "*N"]:
    """E|Y| for Y ~ N(m, σ²I) on the plane, where |m| is `distance` and σ is `width`.

    σ·√(π/2)·e^(−z/2)·[(1 + z)·I₀(z/2) + z·I₁(z/2)] with z = |m|²/2σ²: the mean of Rice's distribution.
    """
    z = distance**2 / (2 * width**2)
    bessel = (1 + z) * torch.special.i0e(z / 2) + z * torch.special.i1e(z / 2)
    return width * math.sqrt(math.pi / 2) * bessel


def energy_distance(x: Float[Tensor, "N 2"], density: Mixture2D) -> float:
    """2·E|X − Y| − E|X − X′| − E|Y − Y′| with X from the samples and Y from the density, in units of length.

    It is 0 if and only if X has that density. The mean over pairs of samples leaves out each sample's distance to
    itself, so that samples of the density itself score 0 on average, and by chance a little less.

    Args:
        x: the samples, at least two.
        density: compared with; its two terms are sums over its modes and not sampled.

    Source: Székely & Rizzo, "Energy statistics", 2013 (the definition).
    """
    x = x.double()
    weights, means, widths = (torch.tensor(part) for part in (density.weights, density.means, density.widths))
    to_modes = (rice_mean(torch.cdist(x, means), widths.expand(len(x), -1)) @ weights).mean()
    among_samples = torch.cdist(x, x).sum() / (len(x) * (len(x) - 1))
    both = (widths[:, None] ** 2 + widths**2).sqrt()
    among_modes = weights @ rice_mean(torch.cdist(means, means), both) @ weights
    return (2 * to_modes - among_samples - among_modes).item()


def shares_of(x: Float[Tensor, "N 2"], density: Mixture2D) -> Float[Tensor, " K"]:
    """The share of samples that lie nearest to each mode."""
    nearest = torch.cdist(x.double(), torch.tensor(density.means)).argmin(1)
    return torch.bincount(nearest, minlength=len(density.weights)) / len(x)


def stray_share(x: Float[Tensor, "N 2"], density: Mixture2D, widths: float = 4.0) -> float:
    """The share of samples farther than so many widths from every mode; of exact samples e^(−8), one in 3,000."""
    away = torch.cdist(x.double(), torch.tensor(density.means)) / torch.tensor(density.widths)
    return (away.min(1).values > widths).double().mean().item()


def modes_kept(x: Float[Tensor, "N 2"], density: Mixture2D, least: float = 0.2) -> int:
    """Modes whose neighbourhood of three widths holds at least this part of their own weight."""
    inside = torch.cdist(x.double(), torch.tensor(density.means)) < 3 * torch.tensor(density.widths)
    return int((inside.double().mean(0) >= least * torch.tensor(density.weights)).sum())
