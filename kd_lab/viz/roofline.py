"""Bars of what several designs cost, and the roof that a machine puts over them."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kd_lab.viz.style import BASELINE, INK, Look

DESIGNS = {
    "eager": BASELINE,
    "chunked": Look("chunked", "#56B4E9", (0, (3, 1.5, 1, 1.5, 1, 1.5)), "D", "xxxx"),
    "streaming": Look("streaming", "#E69F00", (0, (5, 2)), "s", "////"),
    "single tile": Look("single tile", "#000000", "-", "o"),
}
"""Ways to compute one loss, by name; each keeps its look in every figure."""


def cost_bars(axes: Axes, names: Sequence[str], limits: tuple[float, float], label: str) -> SimpleNamespace:
    """Horizontal bars on a logarithmic axis, one a design, each with its number at its end.

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
        intensity_limits: exponentials a byte.
        rate_limits: exponentials a second, in 10¹².
        time_limits: milliseconds.

    Returns:
        The artists that `move_roof` moves.
    """
    roof, times = figure.subplots(1, 2)
    roof.set(xscale="log", yscale="log", xlim=intensity_limits, ylim=rate_limits)
    roof.set(xlabel="exponentials a byte", ylabel="10¹² exponentials a second")
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
        bandwidth: 10¹² bytes a second.
        peak: 10¹² exponentials a second.
        intensities: design → exponentials a byte; None where it cannot be had.
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
