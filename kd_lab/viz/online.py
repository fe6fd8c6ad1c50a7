"""A row of logits read block by block, with the accumulators beside it."""

from collections.abc import Mapping
from types import SimpleNamespace

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kd_lab.viz.style import BASELINE, DIVERGENCES, FAINT, INK, STUDENT, TEACHER

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
