"""Learning curves of several runs, drawn against the model that they learn from."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes

from kd_lab.measure.interval import mean_interval
from kd_lab.viz.plots import interval_curve
from kd_lab.viz.style import TEACHER, Look


def draw_learning(
    axes: Axes,
    curves: Mapping[str, Float[np.ndarray, "seeds points"]],
    every: int,
    looks: Sequence[Look],
    teacher: float | None = None,
) -> None:
    """One curve per method: the mean over its seeds and the band of its 95 % interval.

    Args:
        axes: gets the curves, a label for the steps and a tick at every second point.
        curves: method → what was measured after every `every` steps, for at least two seeds.
        every: steps between two points.
        looks: one per method.
        teacher: the teacher's own figure, drawn as a level line.

    Raises:
        ValueError: not as many looks as methods.
    """
    if len(looks) != len(curves):
        raise ValueError(f"{len(looks)} looks came for the methods {list(curves)}; expected one each")
    for (method, runs), look in zip(curves.items(), looks, strict=True):
        mean, half_width = np.transpose([mean_interval(point) for point in runs.T])
        steps = every * np.arange(1.0, len(mean) + 1)
        interval_curve(axes, steps, mean, half_width, look, label=method)
        axes.set(xlabel="steps", xticks=steps[1::2], xlim=(every / 2, steps[-1] + every / 4))
    if teacher is not None:
        axes.axhline(teacher, color=TEACHER.color, linestyle="-", linewidth=1)
        axes.annotate("the teacher", (1, teacher), (-4, 3), ("axes fraction", "data"), "offset points", ha="right")
