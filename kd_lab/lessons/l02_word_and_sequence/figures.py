"""A beam search as a tree: what it kept, what it cut, and which text came out best."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.colors import LinearSegmentedColormap

from kd_lab.viz.style import BASELINE, FAINT, INK, TEACHER
from kd_lab.where.beam import Hypothesis, Step

END = 0  # in every vocabulary of the lesson

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class BeamTree:
    """Where each hypothesis of a search stands: x is the number of tokens written, y in 0 … 1 with the best above."""

    root: Tokens  # the prompt
    place: dict[Tokens, tuple[float, float]]
    kept: frozenset[Tokens]
    best: Hypothesis
    leaves: int  # rows that the drawing needs

    def edges(self, nodes: Sequence[Tokens]) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        """The line from its parent to each of these nodes."""
        return [(self.place[node[:-1]], self.place[node]) for node in nodes]


def beam_tree(prompt: Sequence[int], trace: Sequence[Step], found: Sequence[Hypothesis], most_cut: int = 2) -> BeamTree:
    """Lay a search out: siblings by log-probability, best above, one row for each end of a path.

    Args:
        prompt: the ids that the search was given.
        trace: what `beam_search` appended to its `trace`.
        found: what it returned, best first. A text that ended and was displaced later counts as cut.
        most_cut: of what a step cut, the best so many are drawn.
    """
    last = {one.tokens for one in found}
    growing = [one for step in trace for one in step.kept if not one.ended]
    cut = [
        one
        for step in trace
        for one in sorted(
            (*step.cut, *(one for one in step.kept if one.ended and one.tokens not in last)),
            key=lambda one: -one.logp,
        )[:most_cut]
    ]
    logp = {one.tokens: one.logp for one in (*cut, *growing, *found)}
    root = tuple(prompt)
    children: dict[Tokens, list[Tokens]] = {}
    for tokens in sorted(logp, key=logp.get, reverse=True):
        children.setdefault(tokens[:-1], []).append(tokens)

    rows: dict[Tokens, float] = {}
    leaves = 0

    def put(tokens: Tokens) -> float:
        nonlocal leaves
        if tokens not in children:
            rows[tokens], leaves = float(leaves), leaves + 1
        else:
            heights = [put(child) for child in children[tokens]]
            rows[tokens] = heights[0]  # a path that stays the best of its family runs straight
        return rows[tokens]

    put(root)
    height = max(leaves - 1, 1)
    place = {tokens: (float(len(tokens) - len(root)), 1 - row / height) for tokens, row in rows.items()}
    kept = frozenset(one.tokens for one in (*growing, *found))
    return BeamTree(root, place, kept, found[0], leaves)


def create_beam_tree(axes: Axes, depth: int, most_nodes: int = 160) -> SimpleNamespace:
    """Empty artists of a tree `depth` tokens deep, for `update_beam_tree` to fill."""
    axes.set(xlim=(-0.4, depth + 2.4), ylim=(-0.06, 1.06), xlabel="tokens written", yticks=[])
    axes.set_xticks(range(depth + 1))
    axes.spines["left"].set_visible(False)

    def lines(color: str, style: str | tuple, width: float, order: float) -> LineCollection:
        drawn = LineCollection([], colors=color, linestyles=[style], linewidths=width, zorder=order)
        axes.add_collection(drawn, autolim=False)
        return drawn

    def dots(face: str, edge: str, label: str, order: float) -> PathCollection:
        return axes.scatter([], [], s=130, facecolor=face, edgecolor=edge, linewidth=1.0, zorder=order, label=label)

    artists = SimpleNamespace(
        depth=depth,
        cut_edges=lines(FAINT, (0, (1, 1.5)), 1.0, 1),
        kept_edges=lines(TEACHER.color, "-", 1.2, 2),
        best_edges=lines(TEACHER.color, "-", 4.5, 3),
        cut=dots("white", BASELINE.color, "cut", 4),
        kept=dots(TEACHER.color, TEACHER.color, "kept", 5),
        letters=[
            axes.text(0, 0, "", ha="center", va="center_baseline", fontsize=8.5, zorder=6) for _ in range(most_nodes)
        ],
        result=axes.text(0, 0, "", ha="left", va="center_baseline", fontsize=10, color=INK, weight="bold", zorder=6),
    )
    artists.best_edges.set_label("best text")
    axes.legend(handles=[artists.best_edges, artists.kept, artists.cut], loc="lower right")
    return artists


def update_beam_tree(artists: SimpleNamespace, tree: BeamTree, symbols: str) -> None:
    """Move the artists of `create_beam_tree` to a tree. `symbols[i]` is drawn for token i, a square for the end mark.

    Raises:
        ValueError: the tree is deeper, or has more nodes, than the artists were made for.
    """
    nodes = [tokens for tokens in tree.place if tokens != tree.root]
    if len(nodes) + 1 > len(artists.letters) or max(x for x, _ in tree.place.values()) > artists.depth:
        raise ValueError(
            f"the tree has {len(nodes)} nodes; expected at most {len(artists.letters) - 1} and at most "
            f"{artists.depth} tokens on a path: create the artists with a larger depth or most_nodes"
        )
    best = [tree.best.tokens[:end] for end in range(len(tree.root) + 1, len(tree.best.tokens) + 1)]
    kept = [tokens for tokens in nodes if tokens in tree.kept]
    cut = [tokens for tokens in nodes if tokens not in tree.kept]
    artists.cut_edges.set_segments(tree.edges(cut))
    artists.kept_edges.set_segments(tree.edges(kept))
    artists.best_edges.set_segments(tree.edges(best))
    artists.kept.set_offsets(_points(tree, [tree.root, *kept]))
    artists.cut.set_offsets(_points(tree, cut))

    # neighbours in a column are one row apart: dots and letters shrink before they touch
    axes = artists.kept.axes
    room = axes.bbox.height / axes.figure.dpi * 72 / (1.12 * max(tree.leaves, 1))
    size = min(11.5, max(room, 5.0))
    for dots in (artists.kept, artists.cut):
        dots.set_sizes([size**2])
    for text in artists.letters:
        text.set_visible(False)
    for text, tokens in zip(artists.letters, [tree.root, *nodes], strict=False):
        text.set_text("" if tokens == tree.root else "■" if tokens[-1] == END else symbols[tokens[-1]])
        text.set_position(tree.place[tokens])
        text.set_color("white" if tokens == tree.root or tokens in tree.kept else BASELINE.color)
        text.set_fontsize(0.74 * size)
        text.set_visible(True)
    x, y = tree.place[tree.best.tokens]
    written = "".join(symbols[token] for token in tree.best.tokens[len(tree.root) :] if token != END)
    artists.result.set_position((x + 0.35, y))
    artists.result.set_text(written)


def _points(tree: BeamTree, nodes: Sequence[Tokens]) -> np.ndarray:
    return np.array([tree.place[node] for node in nodes], dtype=float).reshape(-1, 2)


_PAPER_TO_TEACHER = LinearSegmentedColormap.from_list("paper_to_teacher", ["#ffffff", TEACHER.color])


def draw_targets(axes: Axes, targets: Float[np.ndarray, "T V"], text: Sequence[str], symbols: Sequence[str]) -> None:
    """One column per position of the text, one row per token of the vocabulary; the darker, the more probable.

    Args:
        axes: where to draw.
        targets: at each position, the probabilities that the student is given as its target.
        text: the T tokens that stand there, for the labels under the columns.
        symbols: the V tokens of the vocabulary, for the labels of the rows.
    """
    # the square root keeps small probabilities visible beside large ones
    axes.imshow(np.sqrt(targets.T), cmap=_PAPER_TO_TEACHER, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_xticks(range(len(text)), text)
    axes.set_yticks(range(len(symbols)), symbols, fontsize=7)
    axes.tick_params(length=0)
    for edge in np.arange(len(text) - 1) + 0.5:
        axes.axvline(edge, color="white", linewidth=1.5)
    axes.set_xlabel("the token that came next")
