"""A row of logits read block by block with its accumulators, and the lanes that a kernel loads and stores."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from types import SimpleNamespace

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kd_lab.lessons.l04_fused_softmax_kl.lanes import Access
from kd_lab.viz import Choice, Explorer, Slider
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


# ---- The online pass ------------------------------------------------------------------------------------------------

COLUMNS, WIDTH = 32, 4
SLIPS = ["nothing", "KL accumulator", "both sums"]


def accumulators(
    student: Float[np.ndarray, " V"], teacher: Float[np.ndarray, " V"], read: int, slip: str
) -> tuple[float, float, float]:
    """Sum, KL accumulator and value after `read` blocks, from their definitions; a slip keeps weights of the past."""
    y, x = teacher[: read * WIDTH], student[: read * WIDTH]
    tops = np.maximum.accumulate(y.reshape(-1, WIDTH).max(1)).repeat(WIDTH)  # the maximum when each block was added
    now, then = np.exp(y - y.max()), np.exp(y - tops)
    total = (then if slip == SLIPS[2] else now).sum()
    excess = ((now if slip == SLIPS[0] else then) * (y - x)).sum()
    gap = y.max() + np.log(total) - np.log(np.exp(x).sum())
    return total, excess, excess / total - gap


def online_explorer(seed: int) -> Explorer:
    """Three rows of logits to read block by block, with a slip to choose."""
    chance = np.random.default_rng(seed)
    bumps = chance.normal(0, 0.7, COLUMNS)
    rows = {
        "rises": np.linspace(-2.5, 2.5, COLUMNS) + bumps,
        "falls": np.linspace(2.5, -2.5, COLUMNS) + bumps,
        "late peak": np.where(np.arange(COLUMNS) == 21, 3.0, bumps - 1),
    }
    others = {name: 0.7 * row + chance.normal(0, 0.8, COLUMNS) for name, row in rows.items()}

    def update(artists: SimpleNamespace, read: int, row: str, slip: str) -> str:
        student, teacher = others[row], rows[row]
        total, excess, given = np.transpose([accumulators(student, teacher, k, slip) for k in range(1, read + 1)])
        true = np.array([accumulators(student, teacher, k, SLIPS[0])[2] for k in range(1, read + 1)])
        move_online(artists, student, teacher, {"total": total, "excess": excess, "true": true, "given": given})
        return (
            f"After {read} of {COLUMNS // WIDTH} blocks the maximum is {teacher[: read * WIDTH].max():.2f}, the sum "
            f"{total[-1]:.2f} and the KL accumulator {excess[-1]:.2f}; the KL of what was read is {true[-1]:.3f} nats, "
            f"the kernel gives {given[-1]:.3f}."
        )

    limits = {"logit_limits": (-4.2, 3.8), "accumulator_limits": (-10, 22), "value_limits": (-2.3, 1)}
    return Explorer(
        name="block by block",
        controls=[
            Slider("blocks read", 1, COLUMNS // WIDTH, 1, start=3),
            Choice("row", list(rows), start="rises"),
            Choice("forgets", SLIPS, start=SLIPS[0]),
        ],
        create=lambda figure: draw_online(figure, COLUMNS, WIDTH, **limits),
        update=update,
        presets={
            "all read": {"blocks read": 8},
            "accumulator forgotten": {"blocks read": 8, "forgets": SLIPS[1]},
            "falling, forgotten": {"blocks read": 8, "row": "falls", "forgets": SLIPS[1]},
            "late, both forgotten": {"blocks read": 8, "row": "late peak", "forgets": SLIPS[2]},
        },
        size=(760, 430),
    )


# ---- The lanes of a kernel ------------------------------------------------------------------------------------------

LANES = {  # what an access is to: its look
    "student": STUDENT,
    "teacher": TEACHER,
    "store": DIVERGENCES["forward_kl"],
}


def look_of(access: Access) -> str:
    """The entry of LANES that an access is drawn with."""
    return "store" if access.stores else "teacher" if access.tensor == "teacher" else "student"


def draw_lanes(axes: Axes, rows: int, vocabulary: int, block: int, steps: int) -> SimpleNamespace:
    """The memory of [rows, vocabulary] elements from left to right, and time from top to bottom.

    Args:
        axes: an empty pair of axes.
        rows, vocabulary: of the tensors, which lie row after row.
        block: lanes of one access; so many places behind the last row are shown.
        steps: accesses of one program at the most.

    Returns:
        The artists that `move_lanes` moves.
    """
    end = rows * vocabulary
    axes.set(xlim=(-0.8, end + block - 0.5), ylim=(steps + 0.6, 0.4), xlabel="place in memory, row after row")
    axes.set_ylabel("access, in the order of time")
    axes.set_yticks(range(1, steps + 1, 1 if steps <= 12 else 3))
    axes.set_xticks([n * vocabulary for n in range(rows)] + [end], [f"row {n}" for n in range(rows)] + ["beyond"])
    for start in [n * vocabulary for n in range(1, rows + 1)]:
        axes.axvline(start - 0.5, color=FAINT, linewidth=1.0)
    now = axes.axhspan(0.5, 1.5, facecolor="#f0e442", alpha=0.35, linewidth=0, zorder=0)
    touched, masked = {}, {}
    for name, look in LANES.items():
        marker = {"marker": look.marker, "markersize": 7.5, "linestyle": "", "color": look.color}
        label = "store" if name == "store" else f"load, {name}"
        touched[name] = axes.plot([], [], **marker, label=label)[0]
        masked[name] = axes.plot([], [], **marker | {"markerfacecolor": "white"})[0]
    axes.plot([], [], marker="s", markersize=7.5, linestyle="", color=INK, markerfacecolor="white", label="masked")
    legend = axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=4, borderaxespad=0.2, columnspacing=1.6)
    legend.set_in_layout(False)
    axes.set_title(" ")
    return SimpleNamespace(now=now, touched=touched, masked=masked)


def by_step(accesses: Sequence[Access]) -> list[list[Access]]:
    """The k-th access of every program, for each k: programs run side by side on a GPU."""
    programs = [list(group) for _, group in groupby(sorted(accesses, key=program_of), key=program_of)]
    longest = max(map(len, programs), default=0)
    return [[own[k] for own in programs if k < len(own)] for k in range(longest)]


def program_of(access: Access) -> int:
    return access.program


def move_lanes(artists: SimpleNamespace, steps: Sequence[Sequence[Access]]) -> None:
    """Show the steps taken so far; the last of them is marked."""
    places = {(name, touched): ([], []) for name in LANES for touched in (True, False)}
    for k, step in enumerate(steps, start=1):
        for access in step:
            for cell, touches in zip(access.cells, access.touches, strict=True):
                x, y = places[look_of(access), touches]
                x.append(cell)
                y.append(k)
    for name in LANES:
        artists.touched[name].set_data(*places[name, True])
        artists.masked[name].set_data(*places[name, False])
    artists.now.set_y(len(steps) - 0.5)


def read_out(label: str, steps: Sequence[Sequence[Access]], of: int, vocabulary: int) -> str:
    """The last of some steps as a sentence."""
    first = steps[-1][0]
    inside = [cell % vocabulary for cell, touches in zip(first.cells, first.touches, strict=True) if touches]
    columns = f"columns {min(inside)} to {max(inside)}" if len(inside) > 1 else f"column {inside[0]}"
    masked = len(first.cells) - len(inside)
    hollow = f"; {masked} lanes are masked, and those of program 0 lie over row 1" if masked else ""
    does = "stores" if first.stores else "loads"
    return f"{label}, access {len(steps)} of {of}: each program {does} {columns} of its row of {first.tensor}{hollow}."


def lanes_explorer(watched: Mapping[str, Sequence[Access]], rows: int, vocabulary: int, block: int) -> Explorer:
    """A map of the accesses of each kernel, one access after another.

    Args:
        watched: label → accesses to tensors of [rows, vocabulary] elements.
        rows, vocabulary, block: as the kernels were launched.
    """
    stepped = {label: by_step(accesses) for label, accesses in watched.items()}
    longest = max(map(len, stepped.values()))

    def update(artists: SimpleNamespace, count: int, label: str) -> str:
        steps = stepped[label][:count]
        move_lanes(artists, steps)
        return read_out(label, steps, len(stepped[label]), vocabulary)

    return Explorer(
        name="lanes",
        controls=[
            Slider("access", 1, longest, 1, start=min(3, longest)),
            Choice("kernel", list(stepped), start=next(iter(stepped))),
        ],
        create=lambda figure: draw_lanes(figure.subplots(), rows, vocabulary, block, longest),
        update=update,
        presets={f"all of {label}": {"access": longest, "kernel": label} for label in stepped},
        size=(760, 360),
    )
