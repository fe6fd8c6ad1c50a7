"""Results of a few seeds: every one of them as a dot, and how sure their mean is."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from kd_lab.measure.interval import mean_interval
from kd_lab.viz.style import INK, Look


def draw_seeds(axes: Axes, results: Mapping[str, Sequence[float]], looks: Sequence[Look]) -> None:
    """One row per group: a marker for each seed, and under them a bar over the 95 % interval of the mean.

    Args:
        axes: where to draw; its horizontal axis takes the unit of the results.
        results: a label for each group, and its results, one per seed.
        looks: how each group is drawn.
    """
    for row, ((_, values), look) in enumerate(zip(results.items(), looks, strict=True)):
        mean, half_width = mean_interval(values)
        # open markers: seeds that agree closely stay countable
        axes.plot(values, [row] * len(values), look.marker, color=look.color, markerfacecolor="none", markersize=8)
        axes.errorbar(mean, row + 0.3, xerr=half_width, color=INK, capsize=3, linewidth=1.2)  # below the markers
    axes.set_yticks(range(len(results)), results)
    axes.set_ylim(len(results) - 0.5, -0.5)
    axes.grid(axis="x", color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
