"""The plots that several lessons share: arrays in, artists out.

Bars are made once and then moved, so that the same functions serve a static figure and an explorer.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Real
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.lines import Line2D

from kd_lab.viz.style import TEACHER, Look


def letter_bars(axes: Axes, symbols: Sequence[str], looks: Sequence[Look] = (TEACHER,)) -> list[BarContainer]:
    """Bars for a distribution over symbols, one group per symbol and one bar per look; they start at zero.

    Args:
        axes: gets its ticks, its label and the limits 0 … 1.
        symbols: what stands under the groups, such as the letters and a mark for the end.
        looks: who is compared, such as `(TEACHER, STUDENT)`.

    Returns:
        One container per look, to be moved by `set_bars`.

    >>> from kd_lab.viz import STUDENT, TEACHER, new_figure
    >>> teacher, student = letter_bars(new_figure().subplots(), "ab·", (TEACHER, STUDENT))
    >>> set_bars(teacher, [0.5, 0.3, 0.2])
    >>> [bar.get_height() for bar in teacher]
    [0.5, 0.3, 0.2]
    """
    width = 0.8 / len(looks)
    bars = []
    for i, look in enumerate(looks):
        places = np.arange(len(symbols)) + (i - (len(looks) - 1) / 2) * width
        bars.append(axes.bar(places, np.zeros(len(symbols)), width, label=look.label, **look.area))
    axes.set_xticks(range(len(symbols)), list(symbols))
    axes.tick_params(axis="x", length=0)
    axes.set(xlim=(-0.6, len(symbols) - 0.4), ylim=(0, 1), ylabel="probability")
    if len(looks) > 1:
        axes.legend(loc="upper right")
    return bars


def set_bars(bars: BarContainer, heights: Sequence[float] | np.ndarray) -> None:
    """Move bars to new heights.

    Raises:
        ValueError: there are not as many heights as bars.
    """
    if len(heights) != len(bars):
        raise ValueError(f"{len(heights)} heights came for {len(bars)} bars; expected one per symbol")
    for bar, height in zip(bars, heights, strict=True):
        bar.set_height(float(height))


def root_scale(axes: Axes) -> None:
    """A vertical axis on which heights grow with the root of a probability, so that small ones stay visible.

    >>> from kd_lab.viz import new_figure
    >>> axes = new_figure().subplots()
    >>> root_scale(axes)
    >>> axes.set_ylim(0, 1)
    (0.0, 1.0)
    >>> axes.transScale.transform([(0, 0.25)]).tolist()
    [[0.0, 0.5]]
    """
    axes.set_yscale("function", functions=(lambda p: np.sqrt(np.maximum(p, 0)), np.square))


def interval_curve(
    axes: Axes,
    x: Real[np.ndarray, " N"],
    mean: Float[np.ndarray, " N"],
    half_width: Float[np.ndarray, " N"],
    look: Look,
    label: str | None = None,
) -> Line2D:
    """A curve of means with the band of their intervals, mean ± half width.

    Args:
        axes: where to draw.
        x: where the means were taken, such as steps.
        mean: one mean per point, over seeds.
        half_width: half of each interval, as `kd_lab.measure.interval.mean_interval` gives it, in the unit of the mean.
        look: colour, line and marker.
        label: for the legend; the look's own by default.
    """
    axes.fill_between(x, mean - half_width, mean + half_width, facecolor=look.color, alpha=0.2, linewidth=0)
    (line,) = axes.plot(x, mean, **look.points, label=label or look.label)
    return line
