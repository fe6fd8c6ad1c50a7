"""The pictures and tables of lesson 12."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kd_lab.lessons.l12_the_whole_field import stored
from kd_lab.lessons.l12_the_whole_field.field import METHODS
from kd_lab.measure import mean_interval
from kd_lab.viz import new_figure
from kd_lab.viz.style import FAINT, INK

AUTHORS = {
    "data": ("the data's texts, λ = 0", "#0072B2", "o"),
    "teacher": ("the teacher's texts", "#009E73", "^"),
    "student": ("the student's texts, λ > 0", "#D55E00", "s"),
}
"""Who writes the prefixes → label, colour and marker."""

LIMITS = {"forward": (2.8, 7.4), "reverse": (2.35, 9)}
TICKS = (3, 4, 5, 6, 8)
NAMED = {
    "labels only": (8, -2),
    "FitNets": (-46, -2),
    "Hinton KD": (-70, -24),
    "word level": (9, 1),
    "sequence level, sampled": (8, 0),
    "sequence level, beam": (-60, 8),
    "on-policy": (12, -20),
    "MiniLLM": (-12, 8),
    "RKD": (8, -2),
}
"""The methods that are named in the scatter, and where their names stand, in points."""

CROWDED = ("Hinton KD", "on-policy")
"""Those whose dot stands among others: a line joins it to its name."""

BESIDE = {
    "sequence level, beam": (-122, -3),
    "word level": (-62, 0),
    "Hinton KD": (-62, -8),
    "adaptive KL": (-66, 4),
    "GKD": (6, -11),
    "DistiLLM, skewed": (7, -1),
    "on-policy": (7, 2),
    "DistiLLM-2": (-30, 12),
    "NeMo-RL, mixed KL": (6, -12),
}
"""Where the names stand in the picture of costs; elsewhere to the upper right."""


def author_of(key: str) -> str:
    """Who writes the prefixes of a stored run: the student wherever it writes any."""
    if "mix, λ" in key or "on-policy" in key:
        return "student"
    return "teacher" if "teacher" in key else "data"


def draw_field(axes: Axes, names: Mapping[str, tuple[int, int]] = NAMED) -> None:
    """Every stored student as a dot: its KL(P‖Q) to the right, its KL(Q‖P) upwards, means over seeds."""
    for author, (label, color, marker) in AUTHORS.items():
        keys = [key for key in stored.field_keys() if author_of(key) == author]
        x, y = ([stored.marks_of(key, judge).mean() for key in keys] for judge in ("forward", "reverse"))
        axes.plot(x, y, marker, color=color, markersize=5.5, alpha=0.75, label=label, markeredgewidth=0)
    for name, place in names.items():
        spot = tuple(stored.marks(name, judge).mean() for judge in ("forward", "reverse"))
        line = {"arrowstyle": "-", "color": INK, "linewidth": 0.8} if name in CROWDED else None
        axes.annotate(name, spot, place, textcoords="offset points", fontsize=8.5, color=INK, arrowprops=line)
    set_judges(axes)


def set_judges(axes: Axes) -> None:
    """Logarithmic axes for the two judges."""
    axes.set(xscale="log", yscale="log", xlim=LIMITS["forward"], ylim=LIMITS["reverse"])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(TICKS, [f"{tick:g}" for tick in TICKS])
        axis.set_ticks([], minor=True)
    axes.set_xlabel("KL(P‖Q), nats per name: what is missing")
    axes.set_ylabel("KL(Q‖P), nats per name: what is wrong")


def hook_figure() -> Figure:
    """All stored students under two judges."""
    figure = new_figure(760, 430)
    axes = figure.subplots()
    draw_field(axes)
    start = [stored.marks(stored.BEGINNER, judge).mean() for judge in ("forward", "reverse")]
    axes.plot(*start, "x", color=INK, markersize=9, markeredgewidth=2, label="before any method")
    axes.legend(loc="lower right", title="prefixes from", fontsize=9)
    return figure


def cost_figure() -> Figure:
    """The named methods: processor seconds to the right, the worse of the two judges upwards."""
    figure = new_figure(760, 330)
    axes = figure.subplots()
    for name, recipe in METHODS.items():
        _, color, marker = AUTHORS[author_of(stored.part_of(recipe))]
        seconds = stored.cost(recipe, "seconds").mean()
        mean, half = mean_interval(worst(name))
        axes.errorbar(seconds, mean, half, marker=marker, color=color, markersize=6, elinewidth=1)
        axes.annotate(name, (seconds, mean), BESIDE.get(name, (6, 4)), textcoords="offset points", fontsize=8.5)
    axes.set(yscale="log", xlabel="processor seconds of a training", ylabel="larger KL (nats per name)")
    axes.set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axes.minorticks_off()
    axes.margins(x=0.12, y=0.12)
    return figure


def worst(row: str) -> Float[np.ndarray, " S"]:
    """The larger of the two KLs, seed by seed."""
    return np.maximum(stored.marks(row, "forward"), stored.marks(row, "reverse"))


def ways_table(part: str, columns: Sequence[tuple[str, int, int]], order: Sequence[str] | None = None) -> str:
    """Markdown: a row per way of a part, and a column (heading, column of the marks, digits) for each mark."""
    lines = [f"| way | {' | '.join(heading for heading, _, _ in columns)} |", "|---|" + "---|" * len(columns)]
    for label in order or list(stored.ways(part)):
        cells = [stored.plus_minus(stored.ways(part, column)[label], digits) for _, column, digits in columns]
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def other_tokens_table() -> str:
    """Markdown: the students of the teacher of pairs, under both judges."""
    rows = {
        "the student before": stored.BEGINNER,
        "labels only": "labels only",
        **{label: label for label in ("its texts", "ULD, by index", "ULD, by letter", "exact marginals")},
        "the teacher of pairs itself": stored.OTHER,
    }
    lines = ["| student | KL(P‖Q) | KL(Q‖P) |", "|---|---|---|"]
    for label, row in rows.items():
        judged = " | ".join(stored.plus_minus(stored.marks(row, judge)) for judge in ("forward", "reverse"))
        lines.append(f"| {label} | {judged} |")
    return "\n".join(lines)


FADED = {"color": FAINT, "markersize": 4.5, "alpha": 0.6, "markeredgewidth": 0}
