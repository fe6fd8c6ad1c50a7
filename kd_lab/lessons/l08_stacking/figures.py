"""The still pictures of lesson 08."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from kd_lab.lessons.l08_stacking.experiment import Runs
from kd_lab.lessons.l08_stacking.explorers import draw_front, name_column
from kd_lab.lessons.l08_stacking.stack import FULL
from kd_lab.viz.learning import draw_learning
from kd_lab.viz.seeds import draw_seeds
from kd_lab.viz.style import BASELINE, DIVERGENCES, STUDENT, TEACHER, course_style, new_figure

GREEN, ROSE, OCHRE = (DIVERGENCES[name] for name in ("forward_kl", "reverse_kl", "jsd"))
"""Three more looks of the course, for what has no meaning of its own there."""

LADDER = {
    "the teacher": ((False, 0, 16), TEACHER),
    "half pruned": ((False, 50, 16), BASELINE),
    "4 bits": ((False, 0, 4), BASELINE),
    "distilled": ((True, 0, 16), BASELINE),
    "all three": (FULL, STUDENT),
}

CASES = {
    "30 ×, one scale": BASELINE,
    "300 ×, one scale": ROSE,
    "300 ×, clipped at 99 %": OCHRE,
    "300 ×, scale per channel": GREEN,
    "300 ×, SmoothQuant": STUDENT,
}
"""The cases of one loud channel, and how each is drawn."""

CRITERIA = {"magnitude": BASELINE, "Wanda": GREEN, "Taylor": ROSE}
SPARSITIES = (0.5, 0.8, 0.9)


def ladder(runs: Runs, names: int = 9) -> Figure:
    """The file sizes of five rungs, and names that the first and the last write."""
    figure = new_figure(760, 270)
    with course_style():
        bars, first, last = figure.subplots(1, 3, width_ratios=(11, 3, 3))
        for row, (stages, look) in enumerate(LADDER.values()):
            rung = runs.at(*stages)
            quality = np.mean(rung.bits_per_character)
            bars.barh(row, rung.bytes / 1e3, 0.62, **look.area)
            says = f"{rung.bytes / 1e3:,.0f} kB, {quality:.2f} bits per character"
            bars.text(rung.bytes / 1e3 + 25, row, says, va="center")
        bars.set_yticks(range(len(LADDER)), list(LADDER))
        bars.set(ylim=(len(LADDER) - 0.4, -0.6), xlim=(0, 2900), xticks=range(0, 2000, 500))
        bars.set_xlabel("file, in 1,000 bytes", x=0.27)
        for axes, stages, title in ((first, (False, 0, 16), "the teacher"), (last, FULL, "all three")):
            axes.set_title(title)
            for place, name in zip(name_column(axes, names), runs.at(*stages).samples, strict=False):
                place.set_text(name)
    return figure


def loud_channel(
    reaches: Mapping[str, Float[Tensor, " C"]], lost: Mapping[str, Sequence[float]], limit: float = 4
) -> Figure:
    """The inputs of one layer when one channel is loud, and the loss of each case.

    Args:
        reaches: "as it came" and "smoothed" → the largest |x| of each channel.
        lost: case of `CASES` → bits per character lost, one number per channel made loud.
        limit: end of the axis of losses.
    """
    figure = new_figure(760, 300)
    with course_style():
        left, right = figure.subplots(1, 2)
        for (label, reach), look in zip(reaches.items(), (TEACHER, STUDENT), strict=True):
            left.plot(range(len(reach)), reach, look.marker, color=look.color, markersize=3.5, label=label)
            half_step = reach.max() / 254  # 127 steps on either side of zero
            left.axhline(half_step, **look.line | {"linewidth": 1.2}, label=f"half a step, {label}")
        left.set(yscale="log", ylim=(2e-3, 2e3), xlabel="channel", ylabel="largest |x|", title="what one layer reads")
        left.legend(loc="upper left", bbox_to_anchor=(0, 0.99))
        for row, (case, look) in enumerate(CASES.items()):
            right.barh(row, np.mean(lost[case]), 0.6, **look.area)
            right.plot(lost[case], [row] * len(lost[case]), "o", color="black", markersize=4)
            right.text(np.max(lost[case]) + 0.1, row, f"{np.mean(lost[case]).round(3) + 0.0:.3f}", va="center")
        right.set_yticks(range(len(CASES)), list(CASES))
        right.set(ylim=(len(CASES) - 0.4, -0.6), xlim=(-0.1, limit), xlabel="bits per character lost")
        right.set_title("one loud channel")
    return figure


def after_training(rounded_only: Sequence[float], trained: Mapping[tuple[str, str], Sequence[float]]) -> Figure:
    """The loss of each student against itself before any rounding and training, one row per kind of run.

    Args:
        rounded_only: bits per character lost by rounding alone.
        trained: (signal, precision) → bits per character lost after the training; two signals, two precisions.
    """
    figure = new_figure(760, 300)
    with course_style():
        axes = figure.subplots()
        rows = {f"{signal}, {precision}": lost for (signal, precision), lost in trained.items()}
        looks = [TEACHER, BASELINE, BASELINE, STUDENT, STUDENT]
        draw_seeds(axes, {"rounded only": rounded_only, **rows}, looks)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set_xlabel("bits per character above the same student before the training")
    return figure


def zeros_and_speed(
    quality: Mapping[tuple[str, str], Sequence[float]], whole: float, shares: Sequence[float], gain: Mapping
) -> Figure:
    """The quality that zeros cost, by criterion and scope, and the speed that they give, by kernel.

    Args:
        quality: (criterion, scope) → bits per character at each of `SPARSITIES`.
        whole: the teacher's own.
        shares: of zeros, at which the kernels were timed.
        gain: "dense" and "sparse" → times as fast at each share.
    """
    figure = new_figure(760, 290)
    with course_style():
        left, right = figure.subplots(1, 2)
        _quality_of_zeros(left, quality, whole)
        right.plot(shares, gain["dense"], **STUDENT.points, label="dense kernel")
        right.plot(shares, gain["sparse"], **OCHRE.points, label="sparse kernel (CSR)")
        right.axhline(1, color=TEACHER.color, linewidth=1)
        right.set(xlabel="zeros, %", ylabel="times as fast", yscale="log", ylim=(0.1, 10))
        right.set_title("one matrix, 1024 × 1024")
        right.set_xticks(shares, [f"{100 * share:.0f}" for share in shares])
        right.set_yticks([0.1, 0.3, 1, 3, 10], ["0.1", "0.3", "1", "3", "10"])
        right.minorticks_off()
        right.legend(loc="upper left")
    return figure


def _quality_of_zeros(axes: Axes, quality: Mapping[tuple[str, str], Sequence[float]], whole: float) -> None:
    for name, look in CRITERIA.items():
        axes.plot(SPARSITIES, quality[name, "row"], **look.points, label=name)
        axes.plot(SPARSITIES, quality[name, "global"], color=look.color, linewidth=1, linestyle=":")
    axes.plot([], [], color="black", linewidth=1, linestyle=":", label="ranked over the whole model")
    axes.axhline(whole, color=TEACHER.color, linewidth=1)
    axes.annotate("the teacher", (SPARSITIES[0], whole), (0, -12), textcoords="offset points")
    axes.set(xlabel="zeros, %", ylabel="bits per character", ylim=(2.6, 5.4), title="the teacher, not trained further")
    axes.set_xticks(SPARSITIES, [f"{100 * share:.0f}" for share in SPARSITIES])
    axes.legend(title="least important of an output by", loc="upper left", alignment="left")


def healing(
    recovery: Mapping[str, Float[np.ndarray, "seeds points"]], every: int, after_cut: float, whole: float
) -> Figure:
    """Bits per character on the way back from a cut, one curve per signal.

    Args:
        recovery: signal → what was measured after every `every` steps, one row per seed.
        every: steps between two measurements.
        after_cut: bits per character before the first step.
        whole: those of the model before the cut.
    """
    figure = new_figure(760, 300)
    with course_style():
        axes = figure.subplots()
        draw_learning(axes, recovery, every, [BASELINE, STUDENT], teacher=whole)
        axes.plot([0], [after_cut], "k*", markersize=10, label="after the cut", clip_on=False)
        steps = every * next(iter(recovery.values())).shape[1]
        axes.set(ylabel="bits per character, unseen names", xlim=(-1, steps + 2), xticks=range(0, steps + 1, every))
        axes.legend()
    return figure


def front(runs: Runs, quality: tuple[float, float]) -> Figure:
    """Size against quality of every rung, with the front that no rung is below."""
    figure = new_figure(760, 420)
    with course_style():
        axes = figure.subplots()
        draw_front(axes, runs.rungs, quality)
        axes.legend(loc="upper right", ncols=2)
    return figure
