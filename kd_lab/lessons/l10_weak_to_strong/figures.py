"""The still pictures and tables of lesson 10."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from kd_lab.lessons.l10_weak_to_strong.results import Results
from kd_lab.lessons.l10_weak_to_strong.teachers import weights_of
from kd_lab.measure import mean_interval
from kd_lab.viz.plots import interval_curve
from kd_lab.viz.seeds import draw_seeds
from kd_lab.viz.style import BASELINE, DIVERGENCES, INK, STUDENT, TEACHER, course_style, new_figure

Runs = Float[np.ndarray, " R"]


def accuracy_figure(rows: Mapping[str, Runs], height: int = 270) -> Figure:
    """A row per student, a marker per run: the share of right answers on texts that nobody was taught."""
    looks = [BASELINE, *(STUDENT for _ in range(len(rows) - 2)), TEACHER]
    figure = new_figure(760, height)
    with course_style():
        axes = figure.subplots()
        draw_seeds(axes, {label: values.tolist() for label, values in rows.items()}, looks)
        axes.axvline(0.5, color=INK, linewidth=0.8, linestyle=":")
        axes.set(xlim=(0.45, 0.9), xlabel="share of right answers; ½ is a coin toss")
    return figure


def misfit_figure(groups: Mapping[str, Float[np.ndarray, "R 3"]]) -> Figure:
    """The gain of students on their teacher against their misfit, a marker per run, with the line gain = misfit."""
    looks = (STUDENT, DIVERGENCES["jsd"], BASELINE)
    figure = new_figure(760, 340)
    with course_style():
        axes = figure.subplots()
        top = 1.15 * max(rows[:, 1].max() for rows in groups.values())
        axes.plot([0, top], [0, top], color=INK, linewidth=1, label="gain = misfit")
        axes.axhline(0, color=INK, linewidth=0.8, linestyle=":")
        for (label, rows), look in zip(groups.items(), looks, strict=True):
            style = {"color": look.color, "markerfacecolor": "none", "markersize": 8, "linestyle": "none"}
            axes.plot(rows[:, 1], rows[:, 0], look.marker, label=label, **style)
        axes.set(xlim=(0, top), xlabel="misfit: how far the student is from its labels", ylabel="gain on the teacher")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def confidence_figure(pairs: Mapping[str, tuple[Runs, Runs]]) -> Figure:
    """A panel per teacher: each run's accuracy without and with confidence, joined by a line."""
    figure = new_figure(760, 320)
    with course_style():
        for axes, (label, (naive, confident)) in zip(
            figure.subplots(1, len(pairs), sharey=True), pairs.items(), strict=True
        ):
            axes.plot([0, 1], [naive, confident], color="#bbbbbb", linewidth=1, linestyle="-")
            for place, values, look in ((0, naive, BASELINE), (1, confident, STUDENT)):
                axes.plot(np.full(len(values), place), values, look.marker, color=look.color, markerfacecolor="none")
            axes.axhline(0.5, color=INK, linewidth=0.8, linestyle=":")
            axes.set(xlim=(-0.4, 1.4), ylim=(0.1, 0.95), title=label)
            axes.set_xticks([0, 1], ["α = 0", "α = 0.75"])
        figure.axes[0].set_ylabel("share of right answers")
    return figure


def few_figure(stored: Results) -> Figure:
    """Students of few names: their bits against the size of their teacher, and against the bits of their teacher."""
    last, best = ("1K", "8K", "105K"), ("8K", "105K")
    figure = new_figure(760, 330)
    with course_style():
        left, right = figure.subplots(1, 2, sharey=True)
        for sizes, when, look, label in (
            (last, "last", STUDENT, "trained to the end"),
            (best, "best", DIVERGENCES["forward_kl"], "stopped at its best"),
        ):
            found = [stored.few(f"{size} {when}") for size in sizes]
            mean, half = np.array([mean_interval(values) for values in found]).T
            interval_curve(left, np.array([weights_of(s) for s in sizes]), mean, half, look, f"teacher {label}")
            own = [stored.few(f"{size} {when}", "teacher") for size in sizes]
            style = {"color": look.color, "markerfacecolor": "none", "linestyle": "none", "markersize": 8}
            right.plot(np.concatenate(own), np.concatenate(found), look.marker, label=f"teacher {label}", **style)
        labels = stored.few("labels").mean()
        for axes in (left, right):
            axes.axhline(labels, **BASELINE.line, label="labels, no teacher")
            axes.set(ylim=(3.6, 4.6))
        right.plot([3.6, 4.6], [3.6, 4.6], color=INK, linewidth=1, label="as good as its teacher")
        left.set(xscale="log", xlabel="weights of the teacher", ylabel="student, bits per character")
        right.set(xlim=(3.6, 5.8), xlabel="teacher, bits per character")
        left.legend(loc="upper left")
        right.legend(handles=[right.lines[-1]], loc="upper right")
    return figure


def few_table(stored: Results) -> str:
    """Markdown: a row per teacher of few names, with its own bits and its student's."""
    names = {"last": "to the end", "best": "to its best"}
    lines = ["| teacher of the 300 names | its own bits | its student's bits |", "|---|---|---|"]
    for teacher in ("1K last", "8K last", "105K last", "8K best", "105K best"):
        size, when = teacher.split()
        own, student = (_said(stored.few(teacher, who)) for who in ("teacher", "bits"))
        lines.append(f"| {size} weights, trained {names[when]} | {own} | {student} |")
    lines.append(f"| none: the labels | | {_said(stored.few('labels'))} |")
    return "\n".join(lines)


def _said(values: Runs) -> str:
    mean, half = mean_interval(values)
    return f"{mean:.2f} ± {half:.2f}"
