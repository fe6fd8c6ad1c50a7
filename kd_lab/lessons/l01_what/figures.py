"""The still pictures of lesson 01."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from kd_lab.lessons.l01_what.explorers import draw_map
from kd_lab.measure import mean_interval
from kd_lab.viz.plots import letter_bars, set_bars
from kd_lab.viz.seeds import draw_seeds
from kd_lab.viz.style import BASELINE, DIVERGENCES, STUDENT, TEACHER, course_style, new_figure
from kd_lab.what.features import says_something
from kd_lab.what.relations import embed, relations
from kd_lab.worlds import Vocabulary

NAMES = ("smith", "schmitz", "schwartz", "martin", "martinez", "ramirez", "nguyen", "huang", "obrien", "oconnor")


def three_signals(teacher: nn.Module, vocabulary: Vocabulary, names: Sequence[str] = NAMES) -> Figure:
    """The hook: a teacher's logits after “sm”, its features along two names, its relations among ten."""
    with torch.no_grad():
        logits, hidden = teacher(vocabulary.encode(names)[:, :-1], return_hidden=True)
    lengths = torch.tensor([[len(name)] for name in names])
    counts = says_something(torch.arange(logits.shape[1]) <= lengths)
    figure = new_figure(780, 330)
    with course_style():
        logit, feature, relation = figure.subplots(1, 3, width_ratios=(4, 4, 4))
        draw_target(logit, vocabulary, logits[0, 2].softmax(-1), "logits: what follows “sm”", labelled=12)
        logit.set(ylim=(0, 0.4), ylabel="probability")
        _draw_paths(feature, hidden[-1], counts, {0: names[0], 2: names[2]})
        draw_map(relation, relations(embed(hidden[-1], counts))[0].numpy(), names, "relations: near and far")
    return figure


def _draw_paths(
    axes: Axes, hidden: Float[Tensor, "B T W"], counts: Bool[Tensor, "B T"], names: Mapping[int, str]
) -> None:
    """The states of a few names, letter by letter, in the plane in which all counted states vary most."""
    states = hidden[counts]
    plane = torch.linalg.svd(states - states.mean(0), full_matrices=False).Vh[:2].T
    for (row, name), look in zip(names.items(), (TEACHER, STUDENT), strict=True):
        points = (hidden[row, 1 : len(name) + 1] - states.mean(0)) @ plane
        axes.plot(*points.T, **look.line | {"linewidth": 1.2}, label=name)
        for (x, y), letter in zip(points.tolist(), name, strict=True):
            axes.text(
                x,
                y,
                letter,
                color=look.color,
                ha="center",
                va="center",
                fontsize=10,
                bbox={"facecolor": "white", "edgecolor": "none", "boxstyle": "circle,pad=0.15"},
            )
    axes.set(xticks=[], yticks=[], title="features: two names on their way")
    axes.spines[:].set_visible(False)
    axes.margins(0.08, 0.2)
    axes.legend(loc="upper left")


def draw_target(
    axes: Axes, vocabulary: Vocabulary, p: Float[Tensor, " V"], title: str, labelled: int | Sequence[int] = 8
) -> None:
    """A distribution over letters as bars, named under the likeliest ones (or under the given ones) alone."""
    signs = ["·", *vocabulary.symbols[1:]]
    (bars,) = letter_bars(axes, signs)
    set_bars(bars, p.tolist())
    ids = p.topk(labelled).indices.tolist() if isinstance(labelled, int) else labelled
    axes.set_xticks(ids, [signs[i] for i in ids], fontsize=9)
    axes.set_title(title)


def six_targets(targets: Mapping[str, Float[Tensor, " V"]], vocabulary: Vocabulary) -> Figure:
    """The targets of six teachers at one and the same position."""
    figure = new_figure(780, 360)
    first, *_, last = targets.values()
    ids = sorted({int(first.argmax()), *last.topk(8).indices.tolist()})  # the label's letter has a name too
    with course_style():
        panels = figure.subplots(2, 3, sharey=True)
        for axes, (name, target) in zip(panels.flat, targets.items(), strict=True):
            draw_target(axes, vocabulary, target, name, ids)
        for axes in panels[:, 1:].flat:
            axes.set_ylabel("")
    return figure


def two_yardsticks(bits: Mapping[str, Tensor], accuracy: Mapping[str, Tensor]) -> Figure:
    """Bits and accuracy of groups of students, a marker for each seed."""
    looks = [*[BASELINE, *DIVERGENCES.values(), TEACHER][: len(bits) - 1], STUDENT]  # the last row is the method's
    figure = new_figure(780, 90 + 36 * len(bits))
    with course_style():
        left, right = figure.subplots(1, 2, sharey=True)
        draw_seeds(left, {name: values.tolist() for name, values in bits.items()}, looks)
        draw_seeds(right, {name: accuracy[name].tolist() for name in bits}, looks)
        left.set(xlabel="held-out bits per character, left is better", xlim=(3.2, 4.1))
        right.set(xlabel="held-out accuracy, right is better", xlim=(0.22, 0.34))
    return figure


SHOWN = {
    "letter only": "nothing, no student",
    "untrained": "nothing",
    "label": "nothing",
    "whole": "27 numbers per position",
    "whole, τ = 4": "27 numbers per position",
    "FitNets": "128 numbers per position",
    "RKD": "128 numbers per name",
    "RKD ÷ 5": "128 numbers per name",
}
"""The rows of the summary, and the teacher's signal in each."""


def summary(
    inside: Mapping[str, Float[Tensor, "2 seeds"]],
    likeness: Mapping[str, Float[Tensor, " seeds"]],
    bits: Mapping[str, Float[Tensor, " seeds"]],
    of_teacher: float,
) -> str:
    """A table in markdown: CKA, unexplained share, correlation of distances and bits, row by row.

    Args:
        inside: CKA and unexplained share by row of `SHOWN`.
        likeness: the correlation of distances.
        bits: per character; rows without any predict nothing.
        of_teacher: the teacher's own bits per character.
    """
    rows = []
    for name, shown in SHOWN.items():
        values = (*inside[name], likeness[name], bits.get(name))
        rows.append(f"| {name.replace('whole', 'logits')} | {shown} | " + " | ".join(map(_cell, values)) + " |")
    head = "| student | the teacher shows | CKA | unexplained | distances correlate | bits per character |"
    seeds = len(bits["label"])
    note = f"Held-out names, {seeds} seeds, 95 % intervals. The teacher itself: {of_teacher:.2f} bits."
    return "\n".join([head, "|---" * 6 + "|", *rows, "", note])


def _cell(values: Tensor | None) -> str:
    if values is None:
        return "–"
    if len(values) == 1:
        return f"{values.item():.2f}"
    mean, half_width = mean_interval(values.tolist())
    return f"{mean:.2f} ± {half_width:.2f}"
