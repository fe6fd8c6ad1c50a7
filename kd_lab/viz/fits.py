"""Densities on a line: a teacher, the students fitted to it, and the integrands beneath."""

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kd_lab.viz.style import FAINT, TEACHER, Look


def draw_fits(
    figure: Figure,
    looks: Mapping[str, Look],
    *,
    xlim: tuple[float, float],
    density_top: float,
    integrand_limits: tuple[float, float],
    integrand_labels: Mapping[str, str] | None = None,
    original: bool = False,
    one_at_a_time: bool = False,
) -> SimpleNamespace:
    """Two panels over one axis: densities above, and beneath them what each student is charged at each point.

    Args:
        figure: an empty figure.
        looks: student's name → its look.
        xlim, density_top, integrand_limits: the axes' limits, fixed from here on.
        integrand_labels: student's name → the formula of its integrand, for the legend.
        original: also draw a second, faint teacher: the one before it was softened.
        one_at_a_time: only one student is ever shown; name it over the panels instead of listing all in a legend.

    Returns:
        The artists that `move_fits` moves.
    """
    densities, charges = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [3, 2]})
    densities.set(xlim=xlim, ylim=(0, density_top), ylabel="density")
    charges.set(xlim=xlim, ylim=integrand_limits, xlabel="x", ylabel="nats per unit of x")
    charges.axhline(0, color=FAINT, linewidth=0.8)
    hill = densities.fill([xlim[0], xlim[1], xlim[1]], [0, 0, 0], color=TEACHER.color, alpha=0.16, linewidth=0)[0]
    outline = densities.plot([], [], **TEACHER.line, label=TEACHER.label)[0]
    before = densities.plot([], [], color=FAINT, linewidth=1.2, label="teacher at τ = 1")[0] if original else None
    if one_at_a_time:
        _legend_above(densities)  # the teacher's entry alone
    students, lines, areas, names = {}, {}, {}, {}
    for name, look in looks.items():
        students[name] = densities.plot([], [], **look.line, label=f"student, {look.label}")[0]
        label = (integrand_labels or {}).get(name, look.label)
        lines[name] = charges.plot([], [], **look.line, label=label)[0]
        areas[name] = charges.fill([xlim[0], xlim[1], xlim[1]], [0, 0, 0], color=look.color, alpha=0.18, linewidth=0)[0]
        if one_at_a_time:
            place = {"ha": "left", "va": "bottom", "color": look.color, "weight": "bold"}
            names[name] = [
                densities.text(0.16, 1.025, f"student, {look.label}", transform=densities.transAxes, **place),
                charges.text(0, 1.025, label, transform=charges.transAxes, **place),
            ]
    if not one_at_a_time:
        _legend_above(densities)
        _legend_above(charges)
    return SimpleNamespace(
        hill=hill, outline=outline, before=before, students=students, integrands=lines, areas=areas, names=names
    )  # fmt: skip


def move_fits(
    artists: SimpleNamespace,
    x: Float[np.ndarray, " N"],
    teacher: Float[np.ndarray, " N"],
    students: Mapping[str, tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]],
    before: Float[np.ndarray, " N"] | None = None,
) -> None:
    """Move what `draw_fits` drew; a student that is not named is hidden.

    Args:
        artists: from `draw_fits`.
        x: the points.
        teacher: p(x), a density and not its logarithm.
        students: name → (its density, its integrand).
        before: the density of the teacher before it was softened.
    """
    artists.outline.set_data(x, teacher)
    artists.hill.set_xy(_closed(x, teacher))
    if artists.before is not None and before is not None:
        artists.before.set_data(x, before)
    for name, line in artists.students.items():
        shown = name in students
        for artist in (line, artists.integrands[name], artists.areas[name], *artists.names.get(name, ())):
            artist.set_visible(shown)
        if shown:
            density, integrand = students[name]
            line.set_data(x, density)
            artists.integrands[name].set_data(x, integrand)
            artists.areas[name].set_xy(_closed(x, integrand))


def _closed(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The outline of the area between a curve and zero."""
    return np.column_stack([np.r_[x[0], x, x[-1]], np.r_[0.0, y, 0.0]])


def _legend_above(axes: Axes) -> None:
    handles: list[Line2D] = axes.get_legend_handles_labels()[0]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, borderaxespad=0.1)
