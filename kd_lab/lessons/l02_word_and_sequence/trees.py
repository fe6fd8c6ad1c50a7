"""A search as a tree: what greedy decoding or a beam kept at each step, what it cut, and what each branch costs."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import torch
from jaxtyping import Int
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from torch import Tensor, nn

from kd_lab.models import generate, next_token_logp
from kd_lab.viz.style import BASELINE, FAINT, INK, TEACHER
from kd_lab.where.beam import Hypothesis, Step, beam_search

END = 0  # in every vocabulary of the lesson
TRUNK = 0.55  # where, between two columns, a family's edges part
SMALL = 8.2  # points, of the numbers

Tokens = tuple[int, ...]


@dataclass(frozen=True)
class Moment:
    """A search after some of its steps."""

    kept: frozenset[Tokens]
    cut: frozenset[Tokens]
    best: Hypothesis  # at the end the best text, and until then the likeliest path in hand, finished or not

    @property
    def nodes(self) -> frozenset[Tokens]:
        return self.kept | self.cut


@dataclass(frozen=True)
class SearchTree:
    """A whole search, laid out so that it can be shown step by step without a node moving."""

    root: Tokens  # the prompt
    steps: tuple[Step, ...]
    width: int  # paths that grow on, and texts that are kept
    longest: int  # the most tokens that it writes
    place: dict[Tokens, tuple[int, int]]  # of each node: tokens written, and row from above
    logp: dict[Tokens, float]  # log p of what was written up to this node, in nats
    rows: int

    def after(self, steps: int) -> Moment:
        """The search after its first so many steps, 1 or more."""
        seen = self.steps[:steps]
        full = len(self.root) + self.longest
        done = [one for step in seen for one in step.kept if one.ended or len(one.tokens) == full]
        done.sort(key=lambda one: -one.score)
        growing = {one.tokens for step in seen for one in step.kept} - {one.tokens for one in done}
        kept = growing | {one.tokens for one in done[: self.width]}
        drawn = {tokens for tokens in self.place if len(tokens) <= len(self.root) + len(seen)} - {self.root}
        best = done[0] if done else seen[-1].kept[0]
        if len(seen) < len(self.steps):
            best = max((best, *seen[-1].kept), key=lambda one: one.logp)
        return Moment(frozenset(kept), frozenset(drawn - kept), best)


def greedy_steps(model: nn.Module, prompt: Int[Tensor, " P"], longest: int, rivals: int = 3) -> list[Step]:
    """The decisions behind `generate(greedy=True)`: at each step the likeliest token and its best few rivals."""
    text = generate(model, prompt[None], longest, greedy=True)[0]
    logp = next_token_logp(model, text[None, :-1], dtype=torch.float64)[0].detach()
    steps, total = [], 0.0
    for place in range(len(prompt), len(text)):
        ranked = logp[place - 1].topk(rivals + 1).indices.tolist()
        before, chosen = tuple(text[:place].tolist()), int(text[place])
        found = {
            token: Hypothesis((*before, token), value, value, token == model.end)
            for token in (chosen, *ranked)
            if (value := total + float(logp[place - 1, token])) > -torch.inf
        }
        steps.append(Step((found.pop(chosen),), tuple(found.values())[:rivals]))
        total = steps[-1].kept[0].logp
        if chosen == model.end:
            break
    return steps


def search_tree(model: nn.Module, prompt: Int[Tensor, " P"], width: int, longest: int, most_cut: int = 2) -> SearchTree:
    """Greedy decoding for a width of 1, a beam search above: all its steps, siblings in rows with the likeliest above.

    Args:
        model: is searched.
        prompt: ids that are given.
        width: 1 for greedy decoding; above that, of the beam.
        longest: the most tokens written.
        most_cut: of what a step cut, the best so many are drawn.
    """
    steps: list[Step] = []
    if width == 1:
        steps = greedy_steps(model, prompt, longest, most_cut)
    else:
        beam_search(model, prompt, width, longest, trace=steps)
    root = tuple(prompt.tolist())
    drawn = [one for step in steps for one in (*step.kept, *step.cut[:most_cut])]
    logp = {root: 0.0} | {one.tokens: one.logp for one in drawn}
    children: dict[Tokens, list[Tokens]] = {}
    for tokens in sorted(logp, key=logp.__getitem__, reverse=True):
        if tokens != root:
            children.setdefault(tokens[:-1], []).append(tokens)
    place: dict[Tokens, tuple[int, int]] = {}

    def put(tokens: Tokens, row: int) -> int:
        """Place a node and all below it; the first free row after them."""
        place[tokens] = (len(tokens) - len(root), row)  # the likeliest child goes straight on
        for child in children.get(tokens, ()):
            row = put(child, row)
        return row if tokens in children else row + 1

    rows = put(root, 0)
    return SearchTree(root, tuple(steps), width, longest, place, logp, rows)


def create_tree(axes: Axes, depth: int, most_nodes: int = 60) -> SimpleNamespace:
    """Empty artists of a tree `depth` tokens deep, for `update_tree` to fill."""
    axes.set(xlim=(-0.25, depth + 1.5), ylim=(0, 1), xlabel="tokens written", yticks=[])
    axes.set_xticks(range(depth + 1))
    axes.spines["left"].set_visible(False)

    def lines(color: str, style: str | tuple, width: float, order: float) -> LineCollection:
        drawn = LineCollection([], colors=color, linestyles=[style], linewidths=width, zorder=order)
        axes.add_collection(drawn, autolim=False)
        return drawn

    def dots(face: str, edge: str, label: str, order: float) -> PathCollection:
        return axes.scatter([], [], s=120, facecolor=face, edgecolor=edge, linewidth=1.0, zorder=order, label=label)

    def texts(count: int, **look: object) -> list:
        return [axes.text(0, 0, "", va="center_baseline", zorder=6, **look) for _ in range(count)]

    paper = {"boxstyle": "square,pad=0.02", "facecolor": "white", "edgecolor": "none"}
    artists = SimpleNamespace(
        depth=depth,
        cut_edges=lines(FAINT, (0, (1, 1.5)), 1.0, 1),
        kept_edges=lines(TEACHER.color, "-", 1.2, 2),
        best_edges=lines(TEACHER.color, "-", 3.5, 3),
        cut=dots("white", BASELINE.color, "cut", 4),
        kept=dots(TEACHER.color, TEACHER.color, "kept", 5),
        letters=texts(most_nodes, ha="center", fontsize=8.5),
        shares=texts(most_nodes, ha="right", fontsize=SMALL, bbox=paper),
        totals=texts(most_nodes, ha="left", fontsize=SMALL, bbox=paper),
        given=axes.text(0, 0, "", ha="center", va="top", fontsize=9.5, color=INK),
        result=axes.text(0, 0, "", ha="left", va="center_baseline", fontsize=11, color=INK, weight="bold", zorder=7),
    )
    artists.best_edges.set_label("best so far")
    handles = [artists.best_edges, artists.kept, artists.cut]
    axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 0.02))
    return artists


def update_tree(artists: SimpleNamespace, tree: SearchTree, steps: int, symbols: str) -> Moment:
    """Move the artists of `create_tree` to a search after so many steps. `symbols[i]` is drawn for token i, ■ for END.

    Raises:
        ValueError: the tree is deeper, or has more nodes, than the artists were made for.
    """
    if len(tree.place) > len(artists.letters) or max(x for x, _ in tree.place.values()) > artists.depth:
        raise ValueError(
            f"the tree has {len(tree.place)} nodes; expected at most {len(artists.letters)} and at most "
            f"{artists.depth} tokens on a path: create the artists with a larger depth or most_nodes"
        )
    now = tree.after(steps)
    at = {tokens: (float(x), 1 - (row + 0.7) / (tree.rows + 0.4)) for tokens, (x, row) in tree.place.items()}
    path = [now.best.tokens[:end] for end in range(len(tree.root) + 1, len(now.best.tokens) + 1)]
    for edges, nodes in ((artists.cut_edges, now.cut), (artists.kept_edges, now.kept), (artists.best_edges, path)):
        edges.set_segments([_elbow(at[node[:-1]], at[node]) for node in nodes])
    artists.kept.set_offsets(np.array([at[node] for node in (tree.root, *now.kept)]))
    artists.cut.set_offsets(np.array([at[node] for node in now.cut]).reshape(-1, 2))

    shown = sorted(now.nodes, key=tree.place.__getitem__)
    for number, (letter, share, total) in enumerate(zip(artists.letters, artists.shares, artists.totals, strict=True)):
        for text in (letter, share, total):
            text.set_visible(number < len(shown))
        if number >= len(shown):
            continue
        node, kept = shown[number], shown[number] in now.kept
        x, y = at[node]
        letter.set(text="■" if node[-1] == END else symbols[node[-1]], position=(x, y))
        letter.set_color("white" if kept else BASELINE.color)
        share.set(text=percent(np.exp(tree.logp[node] - tree.logp[node[:-1]])), position=(x - 0.12, y))
        total.set(text=f"−{-tree.logp[node]:.2f}", position=(x + 0.12, y))
        for text in (share, total):
            text.set_color(INK if kept else BASELINE.color)
    artists.given.set(position=(0, at[tree.root][1] - 0.035), text=written(tree.root, symbols))
    x, y = at[now.best.tokens]
    artists.result.set(position=(x + 0.62, y), text=written(now.best.tokens, symbols))
    return now


def _elbow(parent: tuple[float, float], child: tuple[float, float]) -> list[tuple[float, float]]:
    """Right-angled, so that numbers stand beside their own edge and no other edge crosses them."""
    trunk = parent[0] + TRUNK
    return [parent, (trunk, parent[1]), (trunk, child[1]), child]


def written(tokens: Sequence[int], symbols: str) -> str:
    """The text of a path, prompt and all, without its end marks."""
    return "".join(symbols[token] for token in tokens if token != END)


def percent(probability: float) -> str:
    """A probability in two or three characters.

    >>> percent(0.384), percent(0.0042), percent(0.9999)
    ('38%', '<1%', '100%')
    """
    return f"{probability:.0%}" if probability >= 0.01 else "<1%"
