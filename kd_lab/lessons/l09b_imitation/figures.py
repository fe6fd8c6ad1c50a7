"""The still pictures and tables of lesson 09b."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kd_lab.lessons.l09b_imitation.results import Runs
from kd_lab.measure import mean_interval
from kd_lab.viz.plots import interval_curve
from kd_lab.viz.style import STUDENT, TEACHER, Look, course_style, new_figure

JUDGES = {
    "weak": Look("accepted by the weak judge: style", STUDENT.color, STUDENT.linestyle, STUDENT.marker),
    "strong": Look("accepted by the strong judge: right", TEACHER.color, TEACHER.linestyle, TEACHER.marker),
}
TITLES = {"covered": "additions, which the examples cover", "uncovered": "multiplications too"}


def draw_imitation(axes: Axes, runs: Runs, problems: str, judges: Sequence[str] = tuple(JUDGES)) -> None:
    """The judges' acceptance against the number of examples, on one kind of problem."""
    sizes = np.array(runs.sizes, dtype=float)
    for judge, look in ((judge, JUDGES[judge]) for judge in judges):
        rows = [mean_interval(runs.value("imitation", size, f"{judge} {problems}")) for size in runs.sizes]
        interval_curve(axes, sizes, *np.array(rows).T, look)
    axes.set(xscale="log", ylim=(-0.03, 1.05), xlabel="examples", title=TITLES[problems])
    axes.set_xticks(sizes, [f"{size:,}" for size in runs.sizes])
    axes.minorticks_off()


def imitation_figure(runs: Runs, kinds: Sequence[str] = tuple(TITLES), judges: Sequence[str] = tuple(JUDGES)) -> Figure:
    """Style and capability against the number of examples, on covered and on uncovered problems.

    Args:
        runs: the stored ones.
        kinds: of problems, a panel each.
        judges: those whose acceptance is drawn.
    """
    figure = new_figure(max(560, 380 * len(kinds)), 330)
    with course_style():
        panels = figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0]
        for axes, problems in zip(panels, kinds, strict=True):
            draw_imitation(axes, runs, problems, judges)
        panels[0].set_ylabel("share of its answers")
        figure.legend(handles=panels[0].get_lines(), loc="outside lower center", ncols=2)
    return figure


def recipes_figure(runs: Runs) -> Figure:
    """Right answers on problems of five moves, a row per recipe, greedy and drawn, seed by seed."""
    figure = new_figure(760, 290)
    with course_style():
        axes = figure.subplots()
        for row, name in enumerate(runs.recipes):
            for way, look, shift in (("greedy", TEACHER, -0.16), ("drawn", STUDENT, 0.16)):
                values = runs.value("recipe", name, f"hard {way}")
                label = {"greedy": "greedy", "drawn": "drawn at τ = 1"}[way] if not row else None
                axes.plot(
                    values, [row + shift] * len(values), look.marker, color=look.color, markerfacecolor="none",
                    markersize=8, linestyle="none", label=label,
                )  # fmt: skip
        axes.set_yticks(range(len(runs.recipes)), runs.recipes)
        axes.set(xlim=(-0.03, 1.03), ylim=(len(runs.recipes) - 0.5, -0.5), xlabel="right, on problems of five moves")
        axes.grid(axis="x", color="#dddddd", linewidth=0.8)
        figure.legend(loc="outside upper center", ncols=2)
    return figure


def recipes_table(runs: Runs) -> str:
    """Markdown: the examples of each recipe and what its student gets right; means over seeds."""
    lines = [
        "| recipe | examples | moves per problem | two moves, greedy | five moves, greedy | five moves, drawn |",
        "|---|---|---|---|---|---|",
    ]
    for name in runs.recipes:
        count, moves, easy, greedy, drawn = (
            runs.value("recipe", name, one).mean()
            for one in ("examples", "moves", "easy greedy", "hard greedy", "hard drawn")
        )
        lines.append(f"| {name} | {count:,.0f} | {moves:.1f} | {easy:.2f} | {greedy:.2f} | {drawn:.2f} |")
    return "\n".join(lines)
