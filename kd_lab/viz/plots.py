"""The plots that several lessons share: arrays in, artists out.

Each plot is made once and then moved, so that the same function serves a static figure and an explorer: `letter_bars`
and `set_bars`, `beam_tree` and `set_beam_tree`.
"""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.container import BarContainer
from matplotlib.lines import Line2D

from kd_lab.viz.style import FAINT, INK, TEACHER, Look
from kd_lab.where.beam import Hypothesis, Step


def letter_bars(axes: Axes, symbols: Sequence[str], looks: Sequence[Look] = (TEACHER,)) -> list[BarContainer]:
    """Bars for a distribution over symbols, one group a symbol and one bar a look; they start at zero.

    Args:
        axes: gets its ticks, its label and the limits 0 … 1.
        symbols: what stands under the groups, such as the letters and a mark for the end.
        looks: who is compared, such as `(TEACHER, STUDENT)`.

    Returns:
        One container a look, to be moved by `set_bars`.

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
        raise ValueError(f"{len(heights)} heights came for {len(bars)} bars; expected one a symbol")
    for bar, height in zip(bars, heights, strict=True):
        bar.set_height(float(height))


def interval_curve(
    axes: Axes,
    x: Float[np.ndarray, " N"],
    mean: Float[np.ndarray, " N"],
    half_width: Float[np.ndarray, " N"],
    look: Look,
    label: str | None = None,
) -> Line2D:
    """A curve of means with the band of their intervals, mean ± half width.

    Args:
        axes: where to draw.
        x: where the means were taken, such as steps.
        mean: one mean a point, over seeds.
        half_width: half of each interval, as `kd_lab.measure.interval.mean_interval` gives it, in the unit of the mean.
        look: colour, line and marker.
        label: for the legend; the look's own by default.
    """
    axes.fill_between(x, mean - half_width, mean + half_width, facecolor=look.color, alpha=0.2, linewidth=0)
    (line,) = axes.plot(x, mean, **look.points, label=label or look.label)
    return line


def beam_tree(axes: Axes, steps: int, rows: int) -> SimpleNamespace:
    """An empty tree of hypotheses: one column a step of the search, the likeliest of a step on top.

    Args:
        axes: becomes the tree's alone.
        steps: how many columns there is room for.
        rows: how many hypotheses a column has room for, kept and cut together.

    Returns:
        The tree, to be moved by `set_beam_tree`.
    """
    axes.set(xlim=(-0.3, steps + 0.7), ylim=(rows - 0.5, -0.9), yticks=[], xticks=range(1, steps + 1))
    axes.set(xlabel="step of the search", ylabel="likeliest on top")
    axes.spines["left"].set_visible(False)
    kept_edges = axes.add_collection(LineCollection([], colors=TEACHER.color, linewidths=1.6))
    cut_edges = axes.add_collection(LineCollection([], colors=FAINT, linewidths=1.0, linestyles=(0, (1, 1.5))))
    mark = {"linestyle": "none", "markersize": 6}
    (kept,) = axes.plot([], [], marker="o", color=TEACHER.color, label="kept", **mark)
    (ended,) = axes.plot([], [], marker="s", color=INK, label="kept and ended", **mark)
    (cut,) = axes.plot([], [], marker="x", color=FAINT, label="cut", **mark)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    over_edges = {"facecolor": "white", "edgecolor": "none", "pad": 0.8}
    labels = [axes.text(0, 0, "", fontsize=9, va="center", bbox=over_edges, zorder=3) for _ in range(steps * rows)]
    return SimpleNamespace(
        kept_edges=kept_edges,
        cut_edges=cut_edges,
        kept=kept,
        ended=ended,
        cut=cut,
        labels=labels,
        steps=steps,
        rows=rows,
    )


def set_beam_tree(tree: SimpleNamespace, trace: Sequence[Step], symbols: str, prompt_length: int = 1) -> None:
    """Move a tree to what a search decided.

    Args:
        tree: from `beam_tree`.
        trace: what `beam_search(…, trace=trace)` appended. Of more steps or hypotheses than the tree has room for, the
            first steps and the likeliest hypotheses are drawn.
        symbols: one character an id, for the labels.
        prompt_length: how many leading ids of a hypothesis are given and not drawn.
    """
    places = {}  # tokens → where its node stands
    edges = {True: [], False: []}
    nodes = {"kept": [(0, 0)], "ended": [], "cut": []}  # (0, 0) is the prompt, the root of all
    labels = iter(tree.labels)
    for column, step in enumerate(trace[: tree.steps], start=1):
        ranked: list[tuple[Hypothesis, bool]] = [(one, True) for one in step.kept] + [(one, False) for one in step.cut]
        ranked.sort(key=lambda pair: -pair[0].logp)
        for row, (hypothesis, stays) in enumerate(ranked[: tree.rows]):
            place = (column, row)
            if stays:
                places[hypothesis.tokens] = place
            edges[stays].append([places.get(hypothesis.tokens[:-1], (0, 0)), place])
            nodes[("ended" if hypothesis.ended else "kept") if stays else "cut"].append(place)
            label = next(labels)
            label.set_position((column + 0.12, row))
            label.set_text("".join(symbols[token] for token in hypothesis.tokens[prompt_length:]))
            label.set_color(INK if stays else FAINT)
    for label in labels:
        label.set_text("")
    tree.kept_edges.set_segments(edges[True])
    tree.cut_edges.set_segments(edges[False])
    for name, points in nodes.items():
        getattr(tree, name).set_data(*np.reshape(points, (-1, 2)).T)
