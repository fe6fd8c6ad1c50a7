"""The still pictures and tables of lesson 03b."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.figure import Figure

from kd_lab.how.divergences import DIVERGENCES as TABLE
from kd_lab.measure.interval import mean_interval
from kd_lab.viz.plots import interval_curve
from kd_lab.viz.style import BASELINE, DIVERGENCES, STUDENT, course_style, new_figure

BETAS = {"jsd": 0.5, "skew_kl": 0.1, "skew_reverse_kl": 0.9}
"""The teacher's share at which a divergence with a mixture is drawn beside the others."""


def name_of(divergence: str) -> str:
    """Such as "skew KL(0.1)"."""
    label = DIVERGENCES[divergence].label
    return f"{label}({BETAS[divergence]:g})" if divergence in BETAS else label


def contest_figure(*runs: tuple[Mapping[str, Float[np.ndarray, " S"]], str]) -> Figure:
    """The mass on implausible tokens of each loss's student, with intervals over teachers: one curve per run.

    Args:
        runs: (loss → mass per teacher, the curve's label); the first is drawn as the baseline.
    """
    figure = new_figure(760, 320)
    with course_style():
        axes = figure.subplots()
        for (found, label), look in zip(runs, (BASELINE, STUDENT), strict=False):
            mean, half_width = np.array([mean_interval(values) for values in found.values()]).T
            interval_curve(axes, np.arange(len(found), dtype=float), mean, half_width, look, label)
        axes.set_xticks(range(len(runs[0][0])), runs[0][0])
        axes.set(xlim=(-0.5, len(runs[0][0]) - 0.5), ylim=(0, 0.8), ylabel="mass on implausible tokens")
        axes.legend(loc="upper center")
    return figure


def cliffs_figure() -> Figure:
    """All six divergences as a probability vanishes: the student's on the left, the teacher's on the right."""
    vanishing = np.logspace(-6, -0.301, 60)
    small = torch.log(torch.tensor(np.stack([vanishing, 1 - vanishing], axis=1)))
    even = torch.full_like(small, 0.5).log()
    sides = {"forgets a token: q → 0, p = ½": (small, even), "invents a token: p → 0, q = ½": (even, small)}
    figure = new_figure(760, 340)
    with course_style():
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (title, pair) in zip(panels, sides.items(), strict=True):
            for name in TABLE:
                cost = TABLE[name](*pair, BETAS.get(name, 0.5))
                axes.plot(vanishing, cost, **DIVERGENCES[name].line, label=name_of(name))
            axes.set(xscale="log", ylim=(0, 2.5), title=title)
            axes.set_xlabel("the probability that vanishes")
        panels[0].set_ylabel("divergence (nats)")
        handles = panels[0].get_legend_handles_labels()[0]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def ends_figure(betas: Float[np.ndarray, " N"], raw: Float[np.ndarray, " N"], forward: float, reverse: float) -> Figure:
    """JSD(β) of one pair against β, with its tangents at both ends; and rescaled, so that a KL stands at either end."""
    jsd, fkl, rkl = (DIVERGENCES[name] for name in ("jsd", "forward_kl", "reverse_kl"))
    figure = new_figure(760, 320)
    with course_style():
        left, right = figure.subplots(1, 2)
        left.plot(betas, raw, **jsd.line, label="JSD(β)")
        left.plot(betas, betas * forward, **fkl.line, label="β · KL(p‖q)")
        left.plot(betas, (1 - betas) * reverse, **rkl.line, label="(1 − β) · KL(q‖p)")
        left.set(xlabel="β", ylabel="nats", ylim=(0, 0.3), title="raw: zero at both ends")
        right.plot(betas, raw / betas, **jsd.line, label="JSD(β)/β")
        right.plot(betas, raw / (1 - betas), color=jsd.color, linewidth=2, linestyle=":", label="JSD(β)/(1−β)")
        right.axhline(forward, **fkl.line, label="KL(p‖q)")
        right.axhline(reverse, **rkl.line, label="KL(q‖p)")
        right.set(xlabel="β", ylim=(0, 1.1), title="rescaled: a KL at either end")
        left.legend(loc="lower center")
        right.legend(loc="upper center", ncols=2)
    return figure


def distances_table(betas: Sequence[float], found: Mapping[str, Sequence[float]]) -> str:
    """Markdown: the distance at which the best student lets a mode go, a row per divergence and a column per β."""
    lines = ["| lets go at | " + " | ".join(f"β = {beta:g}" for beta in betas) + " |", "|---" * (len(betas) + 1) + "|"]
    for name, distances in found.items():
        cells = [f"{one:.2f}" if np.isfinite(one) else "beyond 8" for one in distances]
        lines.append(f"| {DIVERGENCES[name].label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def widths_table(
    temperatures: Sequence[float],
    distances: Sequence[float],
    widths: Mapping[tuple[str, str], Float[np.ndarray, "D T"]],
    locked: Mapping[tuple[str, str], Bool[np.ndarray, "D T"]],
) -> str:
    """Markdown: the width of the best student, a row per direction and distance of the modes, a column per τ."""
    heads = " | ".join(f"τ = {t:g}" for t in temperatures)
    lines = [f"| softened | direction | modes apart | {heads} |", "|---" * (3 + len(temperatures)) + "|"]
    for (name, way), table in widths.items():
        for i, distance in enumerate(distances):
            cells = [
                f"{width:.2f}{' (one mode)' if one else ''}"
                for width, one in zip(table[i], locked[name, way][i], strict=True)
            ]
            lines.append(f"| {way} | {DIVERGENCES[name].label} | {distance:g} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
