"""The still pictures and tables of lesson 09."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kd_lab.lessons.l09_reasoning_traces.ceiling import LESSONS
from kd_lab.lessons.l09_reasoning_traces.results import Runs
from kd_lab.measure import mean_interval
from kd_lab.viz.plots import interval_curve
from kd_lab.viz.style import BASELINE, STUDENT, TEACHER, Look, course_style, new_figure

WAYS = ("base", "answers", "rl", "opd", "traces")
LOOKS = {
    "base": Look("the base", BASELINE.color, BASELINE.linestyle, BASELINE.marker),
    "answers": Look("SFT on answers alone", "#000000", (0, (1, 1.5)), "*"),
    "rl": Look("GRPO with a verifier", STUDENT.color, STUDENT.linestyle, STUDENT.marker),
    "opd": Look("on-policy distillation", "#CC79A7", (0, (6, 2, 1, 2)), "D"),
    "traces": Look("SFT on traces", TEACHER.color, TEACHER.linestyle, TEACHER.marker),
}


def ways_figure(runs: Runs, base: str) -> Figure:
    """Accuracy against compute, from one base, with intervals over seeds.

    Args:
        runs: the stored ones.
        base: "weak" or "warm".
    """
    figure = new_figure(760, 310)
    with course_style():
        axes = figure.subplots()
        _curves(axes, runs, base)
        axes.set(title=f"from a {base} base", xlabel="compute, million token passes", ylim=(0, 1.04))
        axes.set_xlim(left=0)
        axes.set_ylabel("right answers, drawn at τ = 1")
        figure.legend(handles=axes.get_lines(), loc="outside lower center", ncols=4)
    return figure


def _curves(axes: Axes, runs: Runs, base: str) -> None:
    for way in WAYS[1:]:
        mean, half_width = np.array([mean_interval(column) for column in runs.curves(base, way).T]).T
        interval_curve(axes, runs.compute, mean, half_width, LOOKS[way])


def costs_table(runs: Runs) -> str:
    """Markdown: steps, texts and seconds of each way."""
    from kd_lab.lessons.l09_reasoning_traces.arms import ARMS

    lines = ["| way | token passes per text | texts | steps | CPU seconds there |", "|---|---|---|---|---|"]
    for way in WAYS[1:]:
        arm, steps = ARMS[way], runs.about["steps"][way]
        seconds = runs.value("weak", way, "seconds").mean()
        lines.append(f"| {arm.label} | {arm.passes} | {steps * arm.texts:,} | {steps} | {seconds:.1f} |")
    return "\n".join(lines)


def ceiling_figure(runs: Runs) -> Figure:
    """The share of right answers on the problems that the teacher gets wrong, before and after GRPO, seed by seed."""
    figure = new_figure(760, 250)
    with course_style():
        axes = figure.subplots()
        for row, lesson in enumerate(LESSONS):
            for after, look, shift in (("sft", LOOKS["traces"], -0.17), ("rl", LOOKS["rl"], 0.17)):
                values = runs.ceiling(lesson, after, "affected")
                label = (
                    {"sft": "after SFT on the teacher's traces", "rl": "after GRPO on top"}[after] if not row else None
                )
                axes.plot(
                    values, [row + shift] * len(values), look.marker, color=look.color, markerfacecolor="none",
                    markersize=8, linestyle="none", label=label,
                )  # fmt: skip
        axes.set_yticks(range(len(LESSONS)), ["all traces", "verified traces alone", "one trace in ten is right"])
        axes.set(
            xlim=(-0.03, 1.03),
            ylim=(len(LESSONS) - 0.5, -0.5),
            xlabel="right, of the problems that the teacher gets wrong",
        )
        axes.grid(axis="x", color="#dddddd", linewidth=0.8)
        figure.legend(loc="outside upper center", ncols=2)
    return figure


def ceiling_table(runs: Runs) -> str:
    """Markdown: what each student gets right, and how much of it is its teacher's; means over seeds."""
    names = dict(zip(LESSONS, ("all traces", "verified traces alone", "one in ten right"), strict=True))
    lines = [
        "| learned from | then | right | says what the teacher says | right where the teacher is wrong |",
        "|---|---|---|---|---|",
    ]
    for lesson in LESSONS:
        for after, then in (("sft", ""), ("rl", "GRPO")):
            right, agrees, affected = (
                runs.ceiling(lesson, after, measure).mean() for measure in ("right", "agrees", "affected")
            )
            lines.append(f"| {names[lesson]} | {then} | {right:.3f} | {agrees:.3f} | {affected:.3f} |")
    return "\n".join(lines)
