"""The explorers of lesson 11b: a sampler with fewer and fewer steps, and distribution matching as it trains."""

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from kd_lab.lessons.l11b_few_steps.figures import (
    EXACT_STRAY,
    LOOKS,
    NAMES,
    curve_steps,
    draw_paths,
    draw_plane,
    move_paths,
    shade_of,
)
from kd_lab.lessons.l11b_few_steps.matching import COUNTS, GRADIENTS, STARTS, Matched
from kd_lab.lessons.l11b_few_steps.results import Results
from kd_lab.viz import Choice, Explorer, Slider
from kd_lab.viz.style import FAINT, INK, STUDENT
from kd_lab.worlds.densities import Mixture2D

SAMPLERS = ("teacher", "progressive", "consistency")


def steps_explorer(results: Results, density: Mixture2D, samplers: tuple[str, ...] = SAMPLERS) -> Explorer:
    """Trajectories of a sampler at each number of steps, and how good its samples are.

    Args:
        results: the stored runs.
        density: of the teacher.
        samplers: to choose from; with a single one there is no choice.
    """

    def create(figure: Figure) -> SimpleNamespace:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
        draw_plane(left, density)
        left.set_title("from noise (grey) to data")
        for name in samplers:
            steps = curve_steps(results, name)
            share = [results.sampler(name, n, "stray").mean() for n in steps]
            right.plot(steps, share, **LOOKS[name].points, label=NAMES[name])
        right.axhline(EXACT_STRAY, color=FAINT, linewidth=1.2, label="exact samples")
        right.set(xscale="log", yscale="log", ylim=(1e-4, 3), xlabel="steps", title="samples off the modes")
        right.set_xticks(results.steps("teacher"), results.steps("teacher"))
        right.set_yticks([0.001, 0.01, 0.1, 1], ["0.1%", "1%", "10%", "100%"])
        right.minorticks_off()
        right.legend(loc="upper right")
        now = right.plot([], [], "o", markersize=15, markerfacecolor="none", markeredgecolor=INK, markeredgewidth=2)[0]
        return SimpleNamespace(paths=draw_paths(left, LOOKS["teacher"]), now=now)

    def update(artists: SimpleNamespace, halvings: int, name: str = samplers[0]) -> str:
        steps = 2 ** (5 - halvings)
        move_paths(artists.paths, results.path(name, steps), results.cloud(name, steps), LOOKS[name])
        stray, energy = (results.sampler(name, steps, measure).mean() for measure in ("stray", "energy"))
        artists.now.set_data([steps], [stray])
        counted = f"{steps} steps" if steps > 1 else "a single step"
        who = (
            "Before the first halving, the teacher"
            if name == "progressive" and not halvings
            else NAMES[name].capitalize()
        )
        return (
            f"{who}, {counted}: {stray:.1%} of the samples lie off the modes (of exact samples "
            f"{EXACT_STRAY:.2%}); the energy distance is {energy:.4f}."
        )

    slider, one = "halvings, from 32 steps", len(samplers) == 1
    choice = [] if one else [Choice("sampler", samplers, start=samplers[0])]
    some = {f"{2 ** (5 - halvings)} steps": {slider: halvings} for halvings in (2, 3, 4)} | {"1 step": {slider: 5}}
    several = {
        "teacher, 1 step": {slider: 5},
        "progressive, 1 step": {slider: 5, "sampler": "progressive"},
        "consistency, 1 step": {slider: 5, "sampler": "consistency"},
        "consistency, 2 steps": {slider: 4, "sampler": "consistency"},
    }
    return Explorer(
        name="steps of the teacher" if one else "steps of the samplers",
        controls=[Slider(slider, 0, 5, 1, start=0), *choice],
        create=create,
        update=update,
        presets=some if one else several,
        size=(760, 360),
    )


def matching_explorer(runs: Mapping[tuple[str, str, str], Matched]) -> Explorer:
    """Particles on their way, and the modes kept.

    Args:
        runs: from `match_all`.
    """
    settings = {
        "eight equal, from one": ("eight equal", STARTS[0]),
        "eight equal, from noise": ("eight equal", STARTS[2]),
        "one heavy, from it": ("one heavy", STARTS[0]),
        "one heavy, from noise": ("one heavy", STARTS[2]),
    }
    counts = [*COUNTS, next(iter(GRADIENTS.values())).steps]
    look = STUDENT
    first, most = next(iter(runs.values())), max(len(run.density.means) for run in runs.values())

    def create(figure: Figure) -> SimpleNamespace:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
        draw_plane(left, first.density)
        shade = left.images[0]
        left.set_title("the student's particles")
        dots = left.plot([], [], "o", color=look.color, markersize=6, alpha=0.6, markeredgewidth=0)[0]
        tails = draw_paths(left, look)
        curve = right.plot([], [], **look.points, label="mean of five runs")[0]
        right.axhline(0, color=FAINT, linewidth=0.8)
        level = right.axhline(8, color=INK, linewidth=1, label="modes of the teacher")
        now = right.axvline(0, color=INK, linewidth=1, linestyle=":")
        right.set(xlim=(-10, counts[-1] + 10), ylim=(-0.4, most + 1.6), xlabel="steps of training", title="modes kept")
        right.legend(loc="upper right", ncols=2)
        return SimpleNamespace(shade=shade, dots=dots, tails=tails, curve=curve, level=level, now=now)

    def update(artists: SimpleNamespace, position: int, setting: str, gradient: str) -> str:
        run = runs[(*settings[setting], gradient)]
        artists.shade.set_data(shade_of(run.density))
        artists.dots.set_data(*run.places[position].T)
        move_paths(artists.tails, run.places[: position + 1], np.zeros((0, 2)), look)
        artists.curve.set_data(counts, run.kept.mean(1))
        number = len(run.density.means)
        artists.level.set_ydata([number, number])
        artists.now.set_xdata([counts[position]] * 2)
        return (
            f"{setting.capitalize()}, {gradient}: after {counts[position]} steps the students keep "
            f"{run.kept[position].mean():.1f} of {number} modes on average, from {run.kept[position].min():.0f} to "
            f"{run.kept[position].max():.0f} in {run.kept.shape[1]} runs."
        )

    last = len(counts) - 1
    return Explorer(
        name="distribution matching",
        controls=[
            Slider("training", 0, last, 1, start=last),
            Choice("data", list(settings), start=next(iter(settings))),
            Choice("gradient", list(GRADIENTS), start=next(iter(GRADIENTS))),
        ],
        create=create,
        update=update,
        presets={
            "little noise": {"gradient": "reverse KL, little noise"},
            "one heavy": {"data": "one heavy, from it"},
            "from noise": {"data": "one heavy, from noise"},
            "forward": {"data": "one heavy, from it", "gradient": "forward KL, all noise"},
        },
        size=(760, 360),
    )
