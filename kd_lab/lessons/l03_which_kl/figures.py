"""The still pictures of lesson 03, and the Gaussians that they show."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure

from kd_lab.lessons.l03_which_kl.descent import GRID, STEP, TRIANGLE, forward_on_plane
from kd_lab.lessons.l03_which_kl.writing import LETTERS
from kd_lab.measure.gaussian_student import Gaussian, gaussian_logpdf, integrand, nearest_gaussian
from kd_lab.measure.interval import mean_interval
from kd_lab.viz.plots import interval_curve
from kd_lab.viz.style import BASELINE, DIVERGENCES, FAINT, INK, STUDENT, TEACHER, Look, course_style, new_figure
from kd_lab.worlds.densities import Mixture1D, line, plane, two_hills

X, CELL = line(-12, 15, 540)
FORMULAS = {"forward_kl": "p·log(p/q)", "reverse_kl": "q·log(q/p)"}
BOTH = {name: DIVERGENCES[name] for name in FORMULAS}
LIMITS = {"xlim": (-7, 9), "density_top": 0.95, "integrand_limits": (-0.35, 1.1)}


def fit(teacher: Mixture1D, divergence: str) -> tuple[Gaussian, Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """The nearest Gaussian, its density on `X`, and the integrand of the divergence there."""
    teacher_logp = teacher.logpdf(X)
    modes = list(zip(teacher.means, teacher.widths, strict=True))
    student = nearest_gaussian(X, CELL, teacher_logp, divergence, starts=modes)
    student_logp = student.logpdf(X)
    return student, np.exp(student_logp), integrand(student_logp, teacher_logp, divergence)


def hook_figure() -> Figure:
    """One teacher, and the nearest Gaussian in either direction; the lesson has still to ask which is which."""
    figure, teacher = new_figure(760, 300), two_hills()
    with course_style():
        axes = figure.subplots()
        density = np.exp(teacher.logpdf(X))
        axes.fill_between(X, density, color=TEACHER.color, alpha=0.15, linewidth=0)
        axes.plot(X, density, **TEACHER.line, label="teacher")
        for name, label, look in (("forward_kl", "one student", STUDENT), ("reverse_kl", "another", BASELINE)):
            axes.plot(X, fit(teacher, name)[1], **look.line, label=label)
        axes.annotate("the valley", (0.5, 0.17), (0.5, 0.42), ha="center", arrowprops={"arrowstyle": "->"})
        axes.set(xlim=(-7, 9), ylim=(0, 0.95), xlabel="x", ylabel="density")
        axes.legend(loc="upper right")
    return figure


def cliffs_figure(
    vanishing: Float[np.ndarray, " N"], costs: Mapping[tuple[str, str], Float[np.ndarray, " N"]]
) -> Figure:
    """Both divergences as one of two probabilities vanishes: the student's on the left, the teacher's on the right.

    Args:
        vanishing: the probability.
        costs: ("forgets" or "invents", the divergence's name) → nats.
    """
    figure = new_figure(760, 300)
    limits = {"forgets": "q → 0, p = ½", "invents": "p → 0, q = ½"}
    with course_style():
        panels = figure.subplots(1, 2, sharey=True)
        for axes, (what, limit) in zip(panels, limits.items(), strict=True):
            for name, look in BOTH.items():
                axes.plot(vanishing, costs[what, name], **look.line, label=look.label)
            axes.set(xscale="log", title=f"{what} a token: {limit}", ylim=(0, 15))
            axes.set_xlabel("the probability that vanishes")
        panels[0].set_ylabel("divergence (nats)")
        panels[0].legend()
    return figure


# ---- descent ---------------------------------------------------------------------------------------------------------

MEANS, WIDTHS = np.linspace(-5, 5, 81), np.geomspace(0.25, 4, 61)
DEEPEST = 3.0  # nats; what lies higher is drawn as high as this


def landscape(teacher: Mixture1D, divergence: str) -> Float[np.ndarray, "W M"]:
    """The divergence in nats of every Gaussian with a mean of `MEANS` (columns) and a width of `WIDTHS` (rows)."""
    means, widths = np.meshgrid(MEANS, WIDTHS)
    student_logp = gaussian_logpdf(GRID, means, widths)
    return integrand(student_logp, teacher.logpdf(GRID), divergence).sum(-1) * STEP


def draw_landscape(axes: Axes, nats: Float[np.ndarray, "W M"]):
    """The divergence in ten shades, dark where it is small, over mean and width; returns the image."""
    blues = ListedColormap([(0.25 + 0.75 * t, 0.42 + 0.58 * t, 0.62 + 0.38 * t) for t in np.linspace(0, 1, 12)])
    extent = (MEANS[0], MEANS[-1], np.log(WIDTHS[0]), np.log(WIDTHS[-1]))
    image = axes.imshow(
        nats, extent=extent, origin="lower", aspect="auto", cmap=blues, vmin=0, vmax=DEEPEST, interpolation="bilinear"
    )
    ticks = [0.25, 0.5, 1, 2, 4]
    axes.set_yticks(np.log(ticks), [f"{tick:g}" for tick in ticks])
    axes.set(xlabel="mean of the student", ylabel="width of the student")
    axes.spines[:].set(visible=True, color=FAINT)
    return image


def basins_figure(
    teacher: Mixture1D,
    starts: Float[np.ndarray, "S 2"],
    ends: Float[np.ndarray, "S 2"],
    kept: Bool[np.ndarray, "S 2"],
) -> Figure:
    """Reverse KL's landscape with every start, marked by the place where it ends, and the ends themselves."""
    figure = new_figure(760, 340)
    groups = {
        "ends on the left mode": (kept[:, 0] & ~kept[:, 1], "<", "#D55E00"),
        "ends on the right mode": (kept[:, 1] & ~kept[:, 0], ">", "#F0E442"),
        "ends over both modes": (kept.all(1), "o", "white"),
    }
    with course_style():
        axes = figure.subplots()
        image = draw_landscape(axes, landscape(teacher, "reverse_kl"))
        for label, (chosen, marker, color) in groups.items():
            look = {"color": color, "markeredgecolor": INK, "markeredgewidth": 0.8}
            axes.plot(*_places(starts[chosen]), marker, markersize=7, **look, label=label)
            if chosen.any():
                axes.plot(*_places(ends[chosen].mean(0)), "*", markersize=19, **look)
        axes.set_xlim(-5.2, 5.2)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
        figure.colorbar(image, ax=axes, label="KL(q‖p), nats (3 and more)")
    return figure


def _places(pairs: Float[np.ndarray, "*S 2"]) -> tuple[np.ndarray, np.ndarray]:
    """(mean, width) in the coordinates of `draw_landscape`."""
    return pairs[..., 0], np.log(pairs[..., 1])


# ---- tokens ----------------------------------------------------------------------------------------------------------


def draw_token_tables(figure: Figure, tables: Mapping[str, Float[np.ndarray, "C V"]], *, top: float = 1.0) -> None:
    """Probability tables side by side on one scale of shades.

    Args:
        figure: an empty figure.
        tables: title → probabilities, one row per context.
        top: the probability of the darkest shade.
    """
    panels = figure.subplots(1, len(tables), sharey=True)
    for axes, (title, table) in zip(np.atleast_1d(panels), tables.items(), strict=True):
        image = axes.imshow(table, vmin=0, vmax=top, cmap="Blues", aspect="auto", interpolation="nearest")
        axes.set(title=title, xlabel="next letter")
        axes.set_xticks(range(0, table.shape[1], 5), LETTERS[: table.shape[1] : 5])
        axes.set_yticks(range(0, table.shape[0], 5), LETTERS[: table.shape[0] : 5])
        axes.spines[:].set(visible=True, color=FAINT)
    np.atleast_1d(panels)[0].set_ylabel("letter before")
    figure.colorbar(image, ax=panels, label="probability")


def tables_figure(tables: Mapping[str, Float[np.ndarray, "C V"]]) -> Figure:
    """The teacher's table of probabilities beside its students'."""
    figure = new_figure(760, 310)
    with course_style():
        draw_token_tables(figure, tables, top=0.8)
    return figure


def capacity_figure(
    ranks: Sequence[int],
    implausible: Mapping[str, Float[np.ndarray, "R S"]],
    kept: Mapping[str, Float[np.ndarray, "R S"]],
) -> Figure:
    """Mass on implausible tokens, and plausible tokens kept, against the rank: means over teachers with intervals."""
    figure = new_figure(760, 300)
    with course_style():
        left, right = figure.subplots(1, 2)
        for axes, measured in ((left, implausible), (right, kept)):
            for name, values in measured.items():
                mean, half_width = np.array([mean_interval(row) for row in values]).T
                interval_curve(axes, np.array(ranks, dtype=float), mean, half_width, DIVERGENCES[name])
            axes.set(xscale="log", xlabel="rank of the student's logits")
            axes.set_xticks(ranks, ranks)
            axes.minorticks_off()
        left.axhline(0.04, color=TEACHER.color, linewidth=1)
        left.text(2.05, 0.05, "teacher", color=TEACHER.color)
        left.set(ylabel="mass on implausible tokens", ylim=(0, 0.75))
        right.set(ylabel="plausible tokens kept", ylim=(0.35, 1.03))
        left.legend()
    return figure


# ---- the plane -------------------------------------------------------------------------------------------------------


def draw_plane(
    axes: Axes,
    teacher: Float[np.ndarray, "N N"],
    extent: tuple[float, float, float, float],
    circles: Sequence[tuple[float, float, float]],
    look: Look,
) -> None:
    """A teacher's density on the plane in shades, and circular students over it.

    Args:
        axes: where to draw.
        teacher: p at [row y, column x].
        extent: left, right, bottom, top of the square.
        circles: (x, y, σ) of each student; drawn at one and at two standard deviations.
        look: of the students.
    """
    axes.imshow(teacher, extent=extent, origin="lower", cmap="Blues", interpolation="bilinear", aspect="equal")
    angle = np.linspace(0, 2 * np.pi, 90)
    for x, y, width in circles:
        for radius in (width, 2 * width):
            axes.plot(x + radius * np.cos(angle), y + radius * np.sin(angle), **look.line)
    axes.set(xlim=extent[:2], ylim=extent[2:], xlabel="x", ylabel="y")


def plane_figure(landed: Float[np.ndarray, "S 3"]) -> Figure:
    """`TRIANGLE` twice: with forward KL's one student, and with all of reverse KL's."""
    figure = new_figure(760, 400)
    density = np.exp(TRIANGLE.logpdf(plane(-5, 5, 120)[0]))
    students = ([forward_on_plane()], [tuple(map(float, one)) for one in landed])
    with course_style():
        for axes, circles, look in zip(figure.subplots(1, 2), students, BOTH.values(), strict=True):
            draw_plane(axes, density, (-5, 5, -5, 5), circles, look)
            axes.set_title(f"{look.label}: {len(circles)} student{'s' * (len(circles) > 1)}")
    return figure
