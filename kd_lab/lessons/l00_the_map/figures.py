"""A language model drawn as what it is: a tree whose branches are letters and whose widths are probabilities."""

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np
import torch
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from kd_lab.how import forward_kl
from kd_lab.measure.exact import prefixes, reach
from kd_lab.models import next_token_logp
from kd_lab.viz.learning import draw_learning
from kd_lab.viz.style import BASELINE, DIVERGENCES, FAINT, INK, STUDENT, TEACHER, course_style, new_figure
from kd_lab.worlds import Vocabulary

ROOM = 0.4  # between the sign of a node and where its branches begin, in letters


@torch.no_grad()
def likely_paths(
    model: nn.Module,
    vocabulary: Vocabulary,
    start: str = "",
    letters: int = 3,
    width: int = 9,
    least: float = 0.0,
    include: str = "",
) -> dict[str, float]:
    """The likeliest continuations of a text, `width` at each of `letters` depths, grown one letter at a time.

    Args:
        model: tokens [B, T] to logits [B, T, V], read in eval mode.
        vocabulary: of the model; its end mark stands in a text where the text ends, and nothing grows from there.
        start: the text at the root.
        letters: how far the tree reaches beyond it.
        width: the most texts kept at each depth.
        least: texts less probable than this, given the root, are left out.
        include: a text whose path is kept in any case.

    Returns:
        text → probability of coming through it, given the root. The root itself, with 1, is the first entry.

    >>> from kd_lab.models import TabularModel
    >>> from kd_lab.worlds import language
    >>> echo = language("echo", smoothing=0)
    >>> paths = likely_paths(TabularModel(echo.logp), echo.vocabulary, letters=2, width=2, include="by")
    >>> {text: round(probability, 3) for text, probability in paths.items()}
    {'': 1.0, 'a': 0.4, 'c': 0.36, 'b': 0.235, 'cx': 0.36, 'ax': 0.24, 'by': 0.164}
    """
    end = vocabulary.symbols[0]
    paths = {start: 1.0}
    growing = [start]
    for depth in range(len(start) + 1, len(start) + letters + 1):
        growing = [text for text in growing if not text[len(start) :].endswith(end)]
        if not growing:
            break
        inputs = vocabulary.encode(growing)[:, :-1]  # all of one length: the leading end mark and the letters so far
        conditional = next_token_logp(model, inputs, dtype=torch.float64)[:, -1].exp()
        grown = {
            text + symbol: paths[text] * probability
            for text, row in zip(growing, conditional.tolist(), strict=True)
            for symbol, probability in zip(vocabulary.symbols, row, strict=True)
        }
        ranked = sorted(grown, key=grown.get, reverse=True)
        growing = [text for text in ranked[:width] if grown[text] >= least]
        if include[:depth] in grown and include[:depth] not in growing:
            growing.append(include[:depth])
        paths |= {text: grown[text] for text in growing}
    return paths


def tree_figure(
    paths: Mapping[str, float], vocabulary: Vocabulary, highlight: str = "", size: tuple[int, int] = (760, 340)
) -> Figure:
    """A figure of its own for `draw_tree`, `size` CSS pixels wide and high."""
    figure = new_figure(*size)
    with course_style():
        draw_tree(figure.subplots(), paths, vocabulary, highlight)
    return figure


def draw_tree(
    axes: Axes,
    paths: Mapping[str, float],
    vocabulary: Vocabulary,
    highlight: str = "",
    gaps: Mapping[str, float] | None = None,
) -> None:
    """Draw a tree of texts from left to right, one letter per step; width is the square root of what flows through.

    The faint whiskers at each node are the letters that the tree leaves out: every node has one branch for each symbol.

    Args:
        axes: empty; its limits and ticks are set.
        paths: text → probability of coming through it, as `likely_paths` gives it, the root first.
        vocabulary: for the end mark and for how many branches a node has.
        highlight: a text whose path is drawn in full colour; the others are paler.
        gaps: text → nats, at each node where something grows: a disc behind the node, the redder the more, and the
            number below it.

    Raises:
        ValueError: a text has no parent among the paths.
    """
    root, *rest = paths
    for text in rest:
        if text[:-1] not in paths:
            raise ValueError(
                f"the text {text!r} has no parent {text[:-1]!r} among the paths; expected every prefix down to the "
                f"root {root!r}, so that each branch has a node to grow from"
            )
    children = {text: [child for child in sorted(rest) if child[:-1] == text] for text in paths}
    height = _heights(root, children)
    depth = {text: len(text) - len(root) for text in paths}
    rows = max(height.values()) + 1
    for text in rest:
        _draw_branch(axes, text, paths, depth, height, on_path=highlight.startswith(text))
    end = vocabulary.symbols[0]
    for text in paths:
        ended = text[len(root) :].endswith(end)
        if not ended:
            _draw_whiskers(axes, depth[text], height[text], len(vocabulary) - len(children[text]))
        sign = "end" if ended else text[-1] if depth[text] else text or "start"
        _draw_sign(axes, sign, (depth[text], height[text]), highlight.startswith(text), not text and bool(gaps))
    _mark_gaps(axes, {text: gap for text, gap in (gaps or {}).items() if text in paths}, depth, height)
    axes.set(xlim=(-0.35, max(depth.values()) + 0.5), ylim=(rows - 0.4, -0.6))
    axes.set_axis_off()


def _draw_branch(axes, text: str, paths: Mapping[str, float], depth: Mapping, height: Mapping, on_path: bool) -> None:
    """The branch that leads to a text, with its share of what comes through the node before."""
    x, y = depth[text[:-1]], height[text[:-1]]
    bend = [x + ROOM / 2, x + 0.5, x + 1 - ROOM / 2]
    width = max(12 * sqrt(paths[text]), 0.8)
    look = {"color": TEACHER.color, "linestyle": "-", "alpha": 1.0 if on_path else 0.35, "zorder": 2 if on_path else 1}
    axes.plot(bend, [y, height[text], height[text]], linewidth=width, solid_joinstyle="round", **look)
    share = paths[text] / paths[text[:-1]]
    axes.annotate(
        f"{share:.0%}" if share >= 0.005 else "<1%", (x + 0.66, height[text]), (0, width / 2 + 1.5),
        textcoords="offset points", fontsize=7.5, color=INK, ha="center", va="bottom",
    )  # fmt: skip


def _draw_whiskers(axes: Axes, x: float, y: float, left_out: int) -> None:
    """A faint fan at a node, a line for each letter that the tree leaves out."""
    for i in range(left_out):
        slope = 0.42 * (2 * i / max(left_out - 1, 1) - 1)
        look = {"color": FAINT, "linestyle": "-", "linewidth": 0.4, "alpha": 0.6, "zorder": 0}
        axes.plot([x + ROOM / 2, x + 0.34], [y, y + slope], **look)


def _draw_sign(axes: Axes, sign: str, place: tuple[float, float], bold: bool, raised: bool) -> None:
    """A node's letter or, at the root and after an end mark, its word: `raised` where it is wider than its disc."""
    axes.annotate(
        sign, place, (0, 9 if raised else 0), textcoords="offset points", ha="center",
        va="bottom" if raised else "center", fontsize=9 if len(sign) > 1 else 11, color=INK,
        fontweight="bold" if bold else "normal", zorder=3,
    )  # fmt: skip


def _mark_gaps(axes: Axes, gaps: Mapping[str, float], depth: Mapping[str, int], height: Mapping[str, float]) -> None:
    """A disc behind each node, the redder the more nats, with the number below it."""
    for text, nats in gaps.items():
        x, y, share = depth[text], height[text], nats / max(gaps.values())
        axes.plot([x], [y], "o", markersize=15, color=colormaps["OrRd"](0.1 + 0.6 * share), zorder=2)
        axes.annotate(
            f"{nats:.3f}", (x, y), (0, -8.5), textcoords="offset points", fontsize=8, ha="center", va="top", zorder=4
        )


def _heights(root: str, children: Mapping[str, list[str]]) -> dict[str, float]:
    """A row for each leaf, in alphabetical order, and for each other node the middle of its children."""
    height: dict[str, float] = {}

    def place(text: str) -> float:
        rows = [place(child) for child in children[text]]
        leaves = sum(not children[done] for done in height)
        height[text] = (rows[0] + rows[-1]) / 2 if rows else float(leaves)
        return height[text]

    place(root)
    return height


def node_gaps(
    student: Sequence[Float[Tensor, "_ V"]], teacher: Sequence[Float[Tensor, "_ V"]], vocabulary: Vocabulary
) -> dict[str, float]:
    """The contribution of each node to KL(P‖Q), in nats: the teacher's probability of reaching it times the KL there.

    Args:
        student, teacher: log-probabilities, one table per length of the prefix, a row per prefix.
        vocabulary: spells the prefixes.

    Returns:
        prefix → nats, for every prefix at which the teacher still writes. They add up to the sequence-level KL.
    """
    found: dict[str, float] = {}
    for length, (visits, own, theirs) in enumerate(zip(reach(list(teacher)), student, teacher, strict=True)):
        parts = visits.where(visits > 0, 0.0) * forward_kl(own, theirs).where(visits > 0, 0.0)
        for number in visits.nonzero()[:, 0].tolist():
            digits = prefixes(len(vocabulary), length)[number].tolist() if length else []
            found["".join(vocabulary.symbols[digit] for digit in digits)] = parts[number].item()
    return found


def along(
    paths: Mapping[str, float], tables: Sequence[Float[Tensor, "_ V"]], vocabulary: Vocabulary
) -> dict[str, float]:
    """The same texts with the probabilities that another tree of tables gives them; the root must be empty.

    >>> from kd_lab.worlds import language
    >>> echo = language("echo", smoothing=0)
    >>> {text: round(p, 2) for text, p in along({"": 1.0, "a": 1.0, "ax": 1.0}, echo.logp, echo.vocabulary).items()}
    {'': 1.0, 'a': 0.4, 'ax': 0.24}
    """
    found = {"": 1.0}
    row = {"": 0}
    for text in list(paths)[1:]:
        before, symbol = row[text[:-1]], vocabulary.symbols.index(text[-1])
        found[text] = found[text[:-1]] * tables[len(text) - 1][before, symbol].exp().item()
        row[text] = before * len(vocabulary) + symbol
    return found


def gap_trees(
    teacher: Mapping[str, float], student: Mapping[str, float], gaps: Mapping[str, float], vocabulary: Vocabulary
) -> Figure:
    """The teacher's tree beside the student's, each node coloured by its contribution to the sequence-level KL."""
    figure = new_figure(780, 360)
    with course_style():
        for axes, paths, title in zip(
            figure.subplots(1, 2), (teacher, student), ("the teacher's tree", "the student's tree"), strict=True
        ):
            draw_tree(axes, paths, vocabulary, gaps={text: gaps[text] for text in paths if text in gaps})
            axes.set_title(title)
    return figure


def position_figure(by_position: Sequence[Float[Tensor, " L"]]) -> Figure:
    """The expected KL at each position, a group of bars per position and a bar per student."""
    figure = new_figure(640, 260)
    with course_style():
        axes = figure.subplots()
        for number, gaps in enumerate(by_position):
            tone = DIVERGENCES["forward_kl"].area | {"alpha": 1 - 0.3 * number}
            places = np.arange(1, len(gaps) + 1) + 0.25 * (number - 1)
            axes.bar(places, gaps, width=0.22, label=f"student {number}", **tone)
        axes.set(xlabel="position t", ylabel="KL in nats")
        axes.legend()
    return figure


def contest_figure(
    panels: Mapping[str, Mapping[str, Float[np.ndarray, "seeds points"]]], every: int, teacher: float
) -> Figure:
    """Learning curves with labels and with a teacher: a panel per set of names, all on the same axes."""
    figure = new_figure(760, 330)
    with course_style():
        for axes, (title, curves) in zip(figure.subplots(1, len(panels), sharey=True), panels.items(), strict=True):
            draw_learning(axes, curves, every=every, looks=(BASELINE, STUDENT), teacher=teacher)
            axes.set_title(title)
        figure.axes[0].set_ylabel("held-out bits per character")
        figure.axes[-1].legend()
    return figure
