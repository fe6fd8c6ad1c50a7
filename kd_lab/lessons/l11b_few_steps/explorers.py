"""The explorers of lesson 11b: a sampler with fewer and fewer steps, and distribution matching as it trains."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from kd_lab.lessons.l11b_few_steps.figures import LOOKS, NAMES, draw_paths, draw_plane, move_paths, shade_of
from kd_lab.lessons.l11b_few_steps.results import Results
from kd_lab.viz import Choice, Explorer, Slider
from kd_lab.viz.style import DIVERGENCES, FAINT, INK
from kd_lab.worlds.densities import Mixture2D

SAMPLERS = ("teacher", "progressive", "consistency")


def steps_explorer(results: Results, density: Mixture2D) -> Explorer:
    """Trajectories of a sampler at each number of steps, and how good its samples are."""

    def create(figure: Figure) -> SimpleNamespace:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
        draw_plane(left, density)
        left.set_title("from noise (grey) to data")
        for name in SAMPLERS:
            steps = results.steps(name)
            share = [results.sampler(name, n, "stray").mean() for n in steps]
            right.plot(steps, share, **LOOKS[name].points, label=NAMES[name])
        floor = results.exact(0, "stray").mean()
        right.axhline(floor, color=FAINT, linewidth=1.2, label="exact samples")
        right.set(xscale="log", yscale="log", ylim=(1e-4, 2), xlabel="steps", title="samples off the modes")
        right.set_xticks(results.steps("teacher"), results.steps("teacher"))
        right.set_yticks([0.001, 0.01, 0.1, 1], ["0.1%", "1%", "10%", "100%"])
        right.minorticks_off()
        right.legend(loc="lower left")
        now = right.plot([], [], "o", markersize=15, markerfacecolor="none", markeredgecolor=INK, markeredgewidth=2)[0]
        return SimpleNamespace(paths=draw_paths(left, LOOKS["teacher"]), now=now)

    def update(artists: SimpleNamespace, halvings: int, name: str) -> str:
        steps = 2 ** (5 - halvings)
        move_paths(artists.paths, results.path(name, steps), results.cloud(name, steps), LOOKS[name])
        stray = results.sampler(name, steps, "stray").mean()
        energy = results.sampler(name, steps).mean()
        artists.now.set_data([steps], [stray])
        counted = f"{steps} steps" if steps > 1 else "a single step"
        return (
            f"{NAMES[name].capitalize()} sampler, {counted}: {stray:.1%} of its samples lie off the modes (of exact "
            f"samples {results.exact(0, 'stray').mean():.2%}); the energy distance is {max(energy, 0):.4f}."
        )

    return Explorer(
        name="steps of the sampler",
        controls=[
            Slider("halvings, from 32 steps", 0, 5, 1, start=0),
            Choice("sampler", SAMPLERS, start="teacher"),
        ],
        create=create,
        update=update,
        presets={
            "teacher, 4 steps": {"halvings, from 32 steps": 3},
            "teacher, 1 step": {"halvings, from 32 steps": 5},
            "progressive, 1 step": {"halvings, from 32 steps": 5, "sampler": "progressive"},
            "consistency, 2 steps": {"halvings, from 32 steps": 4, "sampler": "consistency"},
        },
        size=(760, 360),
    )


@dataclass(frozen=True)
class Matched:
    """The particles of one run of distribution matching, and how many modes several such runs keep."""

    density: Mixture2D
    places: Float[np.ndarray, "C M 2"]  # of the first run's particles, after each number of steps
    kept: Float[np.ndarray, "C S"]  # modes kept by each run


def matching_explorer(runs: Mapping[tuple[str, str], Matched], counts: list[int]) -> Explorer:
    """Particles on their way, and the modes kept.

    Args:
        runs: (setting, gradient) → its runs.
        counts: the numbers of steps at which they were kept.
    """
    settings, gradients = (list(dict.fromkeys(key[i] for key in runs)) for i in (0, 1))
    look = DIVERGENCES["reverse_kl"]
    most = max(run.density.means.shape[0] for run in runs.values())

    def create(figure: Figure) -> SimpleNamespace:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
        draw_plane(left, runs[settings[0], gradients[0]].density)
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
        run = runs[setting, gradient]
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
            Choice("teacher and start", settings, start=settings[0]),
            Choice("gradient", gradients, start=gradients[0]),
        ],
        create=create,
        update=update,
        presets={
            "eight equal, little noise": {"gradient": gradients[1]},
            "one heavy mode": {"teacher and start": settings[2]},
            "one heavy, from the centre": {"teacher and start": settings[3]},
            "one heavy, forward KL": {"teacher and start": settings[2], "gradient": gradients[2]},
        },
        size=(760, 360),
    )
