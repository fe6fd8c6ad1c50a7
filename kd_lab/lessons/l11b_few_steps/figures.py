"""The still pictures and tables of lesson 11b."""

import math
from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from kd_lab.lessons.l11b_few_steps.matching import Matched
from kd_lab.lessons.l11b_few_steps.results import Results
from kd_lab.measure.interval import mean_interval
from kd_lab.viz.plots import interval_curve
from kd_lab.viz.style import BASELINE, DIVERGENCES, FAINT, STUDENT, TEACHER, Look, course_style, new_figure
from kd_lab.worlds.densities import Mixture2D, plane

LOOKS = {
    "teacher": TEACHER,
    "progressive": STUDENT,
    "consistency": DIVERGENCES["forward_kl"],
    "beginner": BASELINE,
}
NAMES = {
    "teacher": "teacher, exact",
    "progressive": "progressive",
    "consistency": "consistency",
    "beginner": "the denoiser they begin as",
}
EXACT_STRAY = math.exp(-8)
"""The share of exact samples farther than four widths from their own mode: e^(−4²/2) on the plane."""

SIDE = 3.2  # half of the square that is drawn


def shade_of(density: Mixture2D) -> Float[np.ndarray, "G G"]:
    """The modes as shades up to 1. The root of the density: a light mode can be seen beside a heavy one."""
    shade = np.exp(density.logpdf(plane(-SIDE, SIDE, 100)[0])) ** 0.5
    return shade / shade.max()


def draw_plane(axes: Axes, density: Mixture2D) -> None:
    """The teacher's modes as grey shades; square, without ticks."""
    axes.imshow(shade_of(density), extent=(-SIDE, SIDE, -SIDE, SIDE), origin="lower", cmap="Greys", vmin=0, vmax=2.2,
                interpolation="bilinear")  # fmt: skip
    axes.set(xlim=(-SIDE, SIDE), ylim=(-SIDE, SIDE), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set(visible=True, color=FAINT)


def draw_paths(axes: Axes, look: Look) -> SimpleNamespace:
    """Trajectories, where they start and where they end, still empty; `move_paths` fills them."""
    lines = LineCollection([], colors=look.color, linewidths=0.9, alpha=0.45)
    axes.add_collection(lines)
    starts = axes.plot([], [], ".", color=FAINT, markersize=3)[0]
    ends = axes.plot([], [], ".", color=look.color, markersize=3.5)[0]
    return SimpleNamespace(lines=lines, starts=starts, ends=ends)


def move_paths(
    artists: SimpleNamespace, path: Float[np.ndarray, "P N 2"], cloud: Float[np.ndarray, "M 2"], look: Look
) -> None:
    """Show these trajectories and end points.

    Args:
        artists: from `draw_paths`.
        path: the points of a few trajectories, noise first.
        cloud: more end points, without their trajectories.
        look: of the sampler.
    """
    artists.lines.set_segments(np.moveaxis(path, 1, 0))
    artists.lines.set_color(look.color)
    artists.starts.set_data(*path[0].T)
    artists.ends.set_data(*cloud.T)
    artists.ends.set_color(look.color)


def hook_figure(results: Results, density: Mixture2D) -> Figure:
    """The teacher with 32 steps, and the student with one."""
    figure = new_figure(640, 345)
    shown = (("teacher", 32, "the teacher, 32 steps"), ("progressive", 1, "its student, 1 step"))
    with course_style():
        for axes, (name, steps, title) in zip(figure.subplots(1, 2), shown, strict=True):
            draw_plane(axes, density)
            artists = draw_paths(axes, LOOKS[name])
            move_paths(artists, results.path(name, steps), results.cloud(name, steps), LOOKS[name])
            axes.set_title(title)
    return figure


def draw_quality(left: Axes, right: Axes, results: Results) -> None:
    """Energy distance and stray share against the number of steps, with the floor that exact samples set."""
    for axes, measure in ((left, "energy"), (right, "stray")):
        for name, look in LOOKS.items():
            steps = curve_steps(results, name)
            values = [results.sampler(name, n, measure) for n in steps]
            mean, half = np.array([mean_interval(one) for one in values]).T
            interval_curve(axes, np.array(steps, dtype=float), mean, half, look, NAMES[name])
        if measure == "energy":
            exact = np.concatenate([results.exact(0), results.exact(1)])
            axes.axhspan(*band_of(exact), color=FAINT, alpha=0.35, linewidth=0, label="exact samples")
        else:
            axes.axhline(EXACT_STRAY, color=FAINT, linewidth=1.2)
        axes.set(xscale="log", xlabel="steps")
        axes.set_xticks(results.steps("teacher"), results.steps("teacher"))
        axes.minorticks_off()
    left.set_yscale("symlog", linthresh=1e-3, linscale=0.7)
    left.set_yticks([0, 0.001, 0.01, 0.1, 1], ["0", "0.001", "0.01", "0.1", "1"])
    left.set(ylabel="energy distance", ylim=(-1e-3, 3))
    right.set(ylabel="share of samples off the modes", yscale="log", ylim=(1e-4, 1.3))
    right.set_yticks([0.001, 0.01, 0.1, 1], ["0.1%", "1%", "10%", "100%"])
    left.minorticks_off()
    right.minorticks_off()


def band_of(values: Float[np.ndarray, " S"]) -> tuple[float, float]:
    """Mean ± two standard deviations: where a single set of exact samples falls."""
    spread = 2 * values.std(ddof=1)
    return max(float(values.mean() - spread), -9e-4), float(values.mean() + spread)


def quality_figure(results: Results) -> Figure:
    """Both measures of every sampler against its steps."""
    figure = new_figure(760, 350)
    with course_style():
        left, right = figure.subplots(1, 2)
        draw_quality(left, right, results)
        figure.legend(handles=left.get_legend_handles_labels()[0], loc="outside lower center", ncols=3)
    return figure


def modes_table(runs: Mapping[tuple[str, str, str], Matched]) -> str:
    """Markdown: modes kept at the end, mean over runs; a row per teacher and start, a column per gradient."""
    gradients = list(dict.fromkeys(gradient for _, _, gradient in runs))
    lines = ["| teacher | start | " + " | ".join(gradients) + " |", "|---" * (2 + len(gradients)) + "|"]
    for teacher, where in dict.fromkeys((teacher, where) for teacher, where, _ in runs):
        row = [runs[teacher, where, gradient] for gradient in gradients]
        cells = [f"{run.end.mean():.1f} of {len(run.density.means)}" for run in row]
        lines.append(f"| {teacher} | {where} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def curve_steps(results: Results, name: str) -> list[int]:
    """The steps at which a sampler's own curve is drawn: progressive distillation begins at 32 as the teacher."""
    return [n for n in results.steps(name) if not (name == "progressive" and n == 32)]


def networks_table(results: Results, density: str, arms: Sequence[str]) -> str:
    """Markdown: modes kept, share on the first mode and both measures of the stored generators; means over seeds."""
    lines = [
        "| trained with | modes kept | on the heavy mode | off the modes | energy distance |",
        "|---|---|---|---|---|",
    ]
    for arm in arms:
        modes, energy, stray = (results.matched(density, arm, measure) for measure in ("modes", "energy", "stray"))
        first = results.matched(density, arm, "shares")[:, 0]
        cells = f"{modes.mean():.1f} | {first.mean():.3f} | {stray.mean():.1%} | {energy.mean():.4f}"
        lines.append(f"| {arm} | {cells} |")
    return "\n".join(lines)
