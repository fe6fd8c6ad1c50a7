"""The still pictures and tables of lesson 11."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kd_lab.lessons.l11_speculative_decoding.bodies import Timing
from kd_lab.lessons.l11_speculative_decoding.results import Results
from kd_lab.lessons.l11_speculative_decoding.rounds import draw_grid, grid_legend, move_grid
from kd_lab.measure.interval import mean_interval
from kd_lab.models.speculative import Speculation
from kd_lab.viz.style import BASELINE, DIVERGENCES, INK, STUDENT, TEACHER, Look, course_style, new_figure


def hook_figure(texts: Mapping[str, Speculation]) -> Figure:
    """Two texts side by side, call by call: title → text."""
    figure = new_figure(760, 330)
    rows = max(text.calls for text in texts.values())
    with course_style():
        for axes, (title, text) in zip(figure.subplots(1, len(texts), squeeze=False)[0], texts.items(), strict=True):
            move_grid(draw_grid(axes, rows), text)
            axes.set_title(title)
        figure.legend(handles=grid_legend(), loc="outside lower center", ncols=3)
    return figure


LOOKS: dict[str, Look] = {
    "text only": BASELINE,
    "forward KL": DIVERGENCES["forward_kl"],
    "hybrid": DIVERGENCES["jsd"],
    "total variation": DIVERGENCES["total_variation"],
    "−log acceptance": DIVERGENCES["skew_kl"],
    "reverse KL": DIVERGENCES["reverse_kl"],
}


def drafts_figure(results: Results) -> Figure:
    """Acceptance of each loss's draft from a cold start, and after a warm start its difference from forward KL."""
    figure = new_figure(760, 320)
    with course_style():
        left, right = figure.subplots(1, 2)
        losses = results.losses("cold")
        intervals(left, losses, [results.values("cold", loss) for loss in losses])
        left.set(xlabel="acceptance α", title="300 steps from a cold start")
        others = [loss for loss in results.losses("warm") if loss != "forward KL"]
        intervals(right, others, [results.gain("warm", loss, "forward KL") for loss in others])
        right.axvline(0, color=INK, linewidth=0.8)
        right.set(xlabel="α above forward KL's, in pairs", title="150 more from a warm start")
    return figure


def intervals(axes: Axes, losses: Sequence[str], values: Sequence[Float[np.ndarray, " S"]]) -> None:
    """A mean with its 95 % interval and the single seeds behind it, a line for each loss."""
    for place, (loss, found) in enumerate(zip(losses, values, strict=True)):
        look, (mean, half_width) = LOOKS[loss], mean_interval(found)
        axes.plot(found, np.full(len(found), place + 0.22), "|", color=look.color, markersize=7)
        axes.errorbar(mean, place, xerr=half_width, fmt=look.marker, color=look.color, capsize=4, markersize=7)
    axes.set_yticks(range(len(losses)), losses)
    axes.set(ylim=(len(losses) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)


def settings_table(results: Results, losses: Sequence[str]) -> str:
    """Markdown: acceptance at each setting of the deployment, a row per loss."""
    settings = list(results.about["settings"])
    lines = ["| draft | " + " | ".join(settings) + " |", "|---" * (len(settings) + 1) + "|"]
    for loss in losses:
        found = [mean_interval(results.values("cold", loss, setting)) for setting in settings]
        lines.append(f"| {loss} | " + " | ".join(f"{mean:.3f} ± {half:.3f}" for mean, half in found) + " |")
    return "\n".join(lines)


def bodies_figure(timings: Mapping[int, Timing], acceptance: float) -> Figure:
    """Speed-up against the number of the target's blocks: promised, counted and measured."""
    series = {
        "promised by α and c": ([t.promised(acceptance) for t in timings.values()], BASELINE),
        "from counted tokens, with v": ([t.counted for t in timings.values()], TEACHER),
        "measured": ([t.measured for t in timings.values()], STUDENT),
    }
    figure = new_figure(760, 320)
    with course_style():
        axes = figure.subplots()
        for label, (values, look) in series.items():
            axes.plot(range(len(timings)), values, **look.points, label=label)
        axes.axhline(1, color=INK, linewidth=0.8)
        names = [f"{blocks} blocks\nc = {t.cost:.2f}, v = {t.verification:.2f}" for blocks, t in timings.items()]
        axes.set_xticks(range(len(timings)), names)
        axes.set(ylabel="times as fast as the target alone", xlim=(-0.4, len(timings) - 0.6))
        axes.set_ylim(0, max(3, 1.15 * max(max(values) for values, _ in series.values())))
        axes.legend(loc="upper left")
    return figure
