"""A row of logits read block by block, with the accumulators beside it."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kd_lab.viz.style import BASELINE, DIVERGENCES, FAINT, INK, STUDENT, TEACHER, Look

SUM = {"color": TEACHER.color, "marker": "o", "linestyle": "-"}
EXCESS = {"color": DIVERGENCES["forward_kl"].color, "marker": "^", "linestyle": "--"}


def draw_online(
    figure: Figure,
    columns: int,
    block: int,
    *,
    logit_limits: tuple[float, float],
    accumulator_limits: tuple[float, float],
    value_limits: tuple[float, float],
) -> SimpleNamespace:
    """A row's logits on the left; on the right the two accumulators above and the value that they give beneath.

    Args:
        figure: an empty figure.
        columns: of the row, a multiple of `block`.
        block: columns read at once.
        logit_limits, accumulator_limits, value_limits: of the vertical axes, fixed from here on.

    Returns:
        The artists that `move_online` moves.
    """
    figure.get_layout_engine().set(wspace=0.06)
    grid = figure.add_gridspec(2, 2, width_ratios=[3, 2])
    logits = figure.add_subplot(grid[:, 0])
    accumulators = figure.add_subplot(grid[0, 1])
    values = figure.add_subplot(grid[1, 1], sharex=accumulators)
    blocks = columns // block
    logits.set(xlim=(-0.7, columns - 0.3), ylim=logit_limits, xlabel="column", ylabel="logit")
    for start in range(block, columns, block):
        logits.axvline(start - 0.5, color=FAINT, linewidth=0.5)
    place = np.arange(columns)
    student = logits.plot(place, np.zeros(columns), **STUDENT.points | {"linestyle": ""}, label="student, x")[0]
    teacher = logits.plot(place, np.zeros(columns), **TEACHER.points | {"linestyle": ""}, label="teacher, y")[0]
    top = logits.plot([], [], color=INK, linewidth=1.5, drawstyle="steps-mid", label="maximum of y so far")[0]
    unread = logits.axvspan(-0.5, columns - 0.5, facecolor="white", alpha=0.78, zorder=5)
    _legend_above(logits)
    accumulators.set(xlim=(0.5, blocks + 0.5), ylim=accumulator_limits, ylabel="accumulator")
    accumulators.axhline(0, color=FAINT, linewidth=0.8)
    total = accumulators.plot([], [], **SUM, label="sum")[0]
    excess = accumulators.plot([], [], **EXCESS, label="KL accumulator")[0]
    _legend_above(accumulators)
    accumulators.tick_params(labelbottom=False)
    values.set(ylim=value_limits, xlabel="blocks read", ylabel="KL (nats)")
    values.axhline(0, color=FAINT, linewidth=0.8)
    values.set_xticks(range(1, blocks + 1))
    true = values.plot([], [], **DIVERGENCES["forward_kl"].points, label="true")[0]
    given = values.plot([], [], **BASELINE.points, label="the kernel's")[0]
    _legend_above(values)
    return SimpleNamespace(
        student=student,
        teacher=teacher,
        top=top,
        unread=unread,
        total=total,
        excess=excess,
        true=true,
        given=given,
        block=block,
        columns=columns,
    )


def move_online(
    artists: SimpleNamespace,
    student: Float[np.ndarray, " V"],
    teacher: Float[np.ndarray, " V"],
    curves: Mapping[str, Float[np.ndarray, " K"]],
) -> None:
    """Show a row of which K blocks have been read.

    Args:
        artists: from `draw_online`.
        student, teacher: the row's logits.
        curves: "total", "excess", "true" and "given", one value for each block read so far.
    """
    read = len(curves["total"]) * artists.block
    artists.student.set_ydata(student)
    artists.teacher.set_ydata(teacher)
    artists.top.set_data(np.arange(read), np.maximum.accumulate(teacher[:read]))
    artists.unread.set_x(read - 0.5)
    artists.unread.set_width(artists.columns - read)
    places = np.arange(1, read // artists.block + 1)
    for name, values in curves.items():
        getattr(artists, name).set_data(places, values)


def _legend_above(axes: Axes) -> None:
    """In one line over the axes, in the room of a title: in the layout it would narrow the axes."""
    axes.set_title(" ")
    legend = axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, columnspacing=1.2)
    legend.set_in_layout(False)


DESIGNS = {
    "eager": BASELINE,
    "chunked": Look("chunked", "#56B4E9", (0, (3, 1.5, 1, 1.5, 1, 1.5)), "D", "xxxx"),
    "streaming": Look("streaming", "#E69F00", (0, (5, 2)), "s", "////"),
    "single tile": Look("single tile", "#000000", "-", "o"),
}
"""Ways to compute one loss, by name; each keeps its look in every figure."""


def cost_bars(axes: Axes, names: Sequence[str], limits: tuple[float, float], label: str) -> SimpleNamespace:
    """Horizontal bars on a logarithmic axis, one per design, each with its number at its end.

    Args:
        axes: an empty pair of axes.
        names: of DESIGNS, from top to bottom.
        limits, label: of the horizontal axis.

    Returns:
        The artists that `move_cost_bars` moves.
    """
    places = np.arange(len(names))[::-1]
    axes.set(xscale="log", xlim=limits, ylim=(-0.6, len(names) - 0.4), xlabel=label)
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0)
    bars = [
        axes.barh(place, 1, 0.62, left=limits[0], **DESIGNS[name].area)[0]
        for place, name in zip(places, names, strict=True)
    ]
    texts = [axes.text(limits[0], place, "", va="center", ha="left", fontsize=9.5, color=INK) for place in places]
    return SimpleNamespace(names=tuple(names), left=limits[0], bars=bars, texts=texts)


def move_cost_bars(artists: SimpleNamespace, costs: Mapping[str, float | None], unit: str) -> None:
    """Set the bars to new costs; None is a design that cannot be had here."""
    for name, bar, text in zip(artists.names, artists.bars, artists.texts, strict=True):
        cost = costs[name]
        bar.set_width(0 if cost is None else cost - artists.left)
        text.set_x(artists.left * 1.15 if cost is None else cost * 1.08)
        text.set_text(
            "row too wide" if cost is None else f"{cost:,.0f} {unit}" if cost >= 100 else f"{cost:.3g} {unit}"
        )


def draw_roof(
    figure: Figure,
    names: Sequence[str],
    *,
    intensity_limits: tuple[float, float],
    rate_limits: tuple[float, float],
    time_limits: tuple[float, float],
) -> SimpleNamespace:
    """A roofline on the left, the times that it allows on the right.

    Args:
        figure: an empty figure.
        names: of DESIGNS.
        intensity_limits: exponentials per byte.
        rate_limits: exponentials per second, in 10¹².
        time_limits: milliseconds.

    Returns:
        The artists that `move_roof` moves.
    """
    roof, times = figure.subplots(1, 2)
    roof.set(xscale="log", yscale="log", xlim=intensity_limits, ylim=rate_limits)
    roof.set(xlabel="exponentials per byte", ylabel="10¹² exponentials per second")
    line = roof.plot([], [], color=INK, linewidth=2.0)[0]
    points, drops = {}, {}
    for name in names:
        look = DESIGNS[name]
        drops[name] = roof.plot([], [], color=look.color, linestyle=look.linestyle, linewidth=1.0)[0]
        points[name] = roof.plot([], [], color=look.color, marker=look.marker, markersize=9, linestyle="", label=name)[
            0
        ]
    roof.legend(loc="lower right")
    bars = cost_bars(times, names, time_limits, "milliseconds, at least")
    return SimpleNamespace(line=line, points=points, drops=drops, bars=bars, limits=(intensity_limits, rate_limits))


def move_roof(
    artists: SimpleNamespace,
    bandwidth: float,
    peak: float,
    intensities: Mapping[str, float | None],
    times: Mapping[str, float | None],
) -> None:
    """Move the roof to a machine and the designs to their places under it.

    Args:
        artists: from `draw_roof`.
        bandwidth: 10¹² bytes per second.
        peak: 10¹² exponentials per second.
        intensities: design → exponentials per byte; None where it cannot be had.
        times: design → milliseconds.
    """
    (left, right), (floor, _) = artists.limits
    corner = peak / bandwidth
    artists.line.set_data([left, corner, max(right, corner)], [left * bandwidth, peak, peak])
    for name, intensity in intensities.items():
        here = intensity is not None
        artists.points[name].set_visible(here)
        artists.drops[name].set_visible(here)
        if here:
            rate = min(intensity * bandwidth, peak)
            artists.points[name].set_data([intensity], [rate])
            artists.drops[name].set_data([intensity, intensity], [floor, rate])
    move_cost_bars(artists.bars, times, "ms")
