"""The explorers of lesson 03: a mode that is dragged away, and a student that walks downhill from any start."""

from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from kd_lab.lessons.l03_which_kl.descent import descend
from kd_lab.lessons.l03_which_kl.figures import BOTH, CELL, FORMULAS, LIMITS, X, draw_landscape, fit, landscape
from kd_lab.measure.gaussian_student import Gaussian, integrand, modes_kept
from kd_lab.viz import Choice, Explorer, Slider
from kd_lab.viz.fits import draw_fits, move_fits
from kd_lab.viz.style import DIVERGENCES, FAINT, INK, TEACHER
from kd_lab.worlds.densities import Mixture1D, two_hills

FIRST = -2.0  # where the first of two hills stands


def valley(density: np.ndarray, teacher: Mixture1D) -> float:
    """The share of a density in the middle half of the gap between two modes."""
    low, high = sorted(teacher.means)
    inside = np.clip(((high - low) / 4 - np.abs(X - (low + high) / 2)) / CELL + 0.5, 0, 1)  # the share of each cell
    return (density * inside).sum() / density.sum()


def mode_explorer() -> Explorer:
    """Drag the second mode: the best student in either direction follows, with its integrand beneath."""
    return Explorer(
        name="drag the second mode",
        controls=[
            Slider("second mode at", -2.0, 5.0, 0.05, start=0.0),
            Slider("its weight", 0.1, 0.9, 0.05, start=0.5),
            Slider("its width", 0.5, 1.2, 0.05, start=0.5),
        ],
        create=lambda figure: draw_fits(figure, BOTH, integrand_labels=FORMULAS, **LIMITS),
        update=_drag,
        presets={
            "at the brink": {"second mode at": 0.75},
            "just let go": {"second mode at": 0.85},
            "far apart": {"second mode at": 5.0},
            "light and broad": {"second mode at": 2.5, "its weight": 0.2, "its width": 1.0},
        },
        size=(760, 440),
    )


def _drag(artists: SimpleNamespace, second: float, weight: float, width: float) -> str:
    teacher = two_hills(second, weight, width)
    density, distance = np.exp(teacher.logpdf(X)), second - FIRST
    found = {name: fit(teacher, name) for name in BOTH}
    move_fits(artists, X, density, {name: parts[1:] for name, parts in found.items()})
    (wide, wide_q, _), (narrow, narrow_q, _) = found["forward_kl"], found["reverse_kl"]
    if distance < 2 * max(teacher.widths):
        return (
            f"The modes are {distance:.3g} apart and overlap: forward KL's student has width {wide.width:.2f}, "
            f"reverse KL's {narrow.width:.2f}; the direction matters little."
        )
    both = modes_kept(X, narrow_q, teacher).all()
    return (
        f"With the modes {distance:.3g} apart, forward KL's student has width {wide.width:.2f} and puts "
        f"{valley(wide_q, teacher):.0%} of its mass in the valley (the teacher: {valley(density, teacher):.1%}); "
        f"reverse KL's has width {narrow.width:.2f} and {'covers both modes' if both else 'keeps one mode of two'}."
    )


EQUAL = Mixture1D(weights=(0.5, 0.5), means=(-2, 2), widths=(0.5, 0.5))
"""The teacher of the descent: two modes of one weight and width, 4 apart."""

LABELS = {look.label: name for name, look in BOTH.items()}


def descent_explorer() -> Explorer:
    """Choose a start and a direction: the path downhill on the map of all Gaussians, and the student at its end."""
    maps = {name: landscape(EQUAL, name) for name in BOTH}
    teacher_logp = EQUAL.logpdf(X)

    def create(figure: Figure) -> SimpleNamespace:
        left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [5, 4]})
        image = draw_landscape(left, maps["reverse_kl"])
        left.set_title("all Gaussians; dark is near the teacher")
        path = left.plot([], [], color=INK, linewidth=2.2)[0]
        start = left.plot([], [], "s", color="white", markeredgecolor=INK, markersize=9)[0]
        end = left.plot([], [], "*", color="#F0E442", markeredgecolor=INK, markersize=18)[0]
        right.set(xlim=(-6, 6), ylim=(0, 1.4), xlabel="x", ylabel="density")
        right.fill_between(X, np.exp(teacher_logp), color=TEACHER.color, alpha=0.16, linewidth=0)
        right.plot(X, np.exp(teacher_logp), **TEACHER.line, label=TEACHER.label)
        first = right.plot([], [], color=FAINT, linewidth=1.6, linestyle=":", label="start")[0]
        last = {name: right.plot([], [], **look.line, label=f"end, {look.label}")[0] for name, look in BOTH.items()}
        right.legend(loc="lower left", bbox_to_anchor=(-0.12, 1.0), ncols=2, columnspacing=1.0, handlelength=1.6)
        return SimpleNamespace(image=image, path=path, start=start, end=end, first=first, last=last)

    def update(artists: SimpleNamespace, mean: float, width: float, label: str) -> str:
        name = LABELS[label]
        path = descend(EQUAL, name, np.array([mean]), np.array([width]))[:, 0]
        artists.image.set_data(maps[name])
        artists.path.set_data(path[:, 0], np.log(path[:, 1]))
        artists.start.set_data(path[:1, 0], np.log(path[:1, 1]))
        artists.end.set_data(path[-1:, 0], np.log(path[-1:, 1]))
        artists.first.set_data(X, np.exp(Gaussian(mean, width).logpdf(X)))
        end = Gaussian(*map(float, path[-1]))
        density = np.exp(end.logpdf(X))
        for other, curve in artists.last.items():
            curve.set_visible(other == name)
        artists.last[name].set_data(X, density)
        left, right = modes_kept(X, density, EQUAL)
        where = "a place over both modes" if left and right else f"the {'left' if left else 'right'} mode"
        gap = integrand(end.logpdf(X), teacher_logp, name).sum() * (X[1] - X[0])
        return (
            f"From mean {mean:.1f} and width {width:.1f}, {label} leads to {where}: mean "
            f"{round(end.mean, 2) + 0:.2f}, width {end.width:.2f}, and {gap:.2f} nats are left."
        )

    return Explorer(
        name="walk downhill",
        controls=[
            Slider("mean", -4.5, 4.5, 0.1, start=-1.0),
            Slider("width", 0.3, 3.0, 0.1, start=1.0),
            Choice("direction", list(LABELS), start=DIVERGENCES["reverse_kl"].label),
        ],
        create=create,
        update=update,
        presets={
            "from the right": {"mean": 1.0},
            "narrow, in the middle": {"mean": 0.2, "width": 0.3},
            "wide, in the middle": {"mean": 0.5, "width": 2.5},
            "the same, forward": {"mean": 0.5, "width": 2.5, "direction": "forward KL"},
        },
        size=(760, 340),
    )
