"""The still pictures and tables of lesson 02."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor, nn

from kd_lab.lessons.l02_word_and_sequence.trees import SearchTree, create_tree, update_tree
from kd_lab.viz.seeds import draw_seeds
from kd_lab.viz.style import BASELINE, DIVERGENCES, INK, STUDENT, TEACHER, course_style, new_figure
from kd_lab.worlds import Batch, Vocabulary

_PAPER_TO_TEACHER = LinearSegmentedColormap.from_list("paper_to_teacher", ["#ffffff", TEACHER.color])


def targets_figure(teacher: nn.Module, vocabulary: Vocabulary, text: str) -> Figure:
    """The two signals about one text: the teacher's distributions, and the text alone."""
    tokens = vocabulary.encode([text])
    with torch.no_grad():
        dense = teacher(tokens[:, :-1])[0].softmax(-1)
    sparse = torch.nn.functional.one_hot(tokens[0, 1:], len(vocabulary)).float()
    figure = new_figure(760, 420)
    with course_style():
        panels = zip(figure.subplots(1, 2), (dense, sparse), ("word level", "sequence level"), strict=True)
        for axes, targets, title in panels:
            draw_targets(axes, targets.numpy(), [*text, "■"], ["■", *vocabulary.symbols[1:]])
            axes.set_title(f"{title}: {int((targets > 0).sum())} numbers")
    return figure


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
    axes.set_yticks(range(len(symbols)), symbols, fontsize=8)
    axes.tick_params(length=0)
    for edge in np.arange(len(text) - 1) + 0.5:
        axes.axvline(edge, color="white", linewidth=1.5)
    axes.set_xlabel("the token that came next")


def searches_figure(searches: Mapping[str, SearchTree], symbols: str, depth: int) -> Figure:
    """Whole searches below one another, each with its title, in rows of one height."""
    heights = [one.rows + 2.5 for one in searches.values()]
    figure = new_figure(780, round(21 * sum(heights)))
    with course_style():
        panels = figure.subplots(len(searches), 1, height_ratios=heights)
        for axes, (title, search) in zip(panels, searches.items(), strict=True):
            update_tree(create_tree(axes, depth), search, depth, symbols)
            axes.set(title=title, xlabel="")
        panels[-1].set_xlabel("tokens written")
    return figure


def estimates_figure(errors: Float[Tensor, "repeats sizes"], sizes: Sequence[int], exact: float) -> Figure:
    """Estimates of a loss from N texts each, around its exact value."""
    figure = new_figure(760, 300)
    jitter = np.linspace(0.88, 1.14, len(errors))
    n = np.logspace(0.5, 3.1, 50)
    spread = 2 * float(errors[:, -1].square().mean().sqrt()) * np.sqrt(sizes[-1] / n)
    with course_style():
        axes = figure.subplots()
        for size, column in zip(sizes, errors.T.numpy(), strict=True):
            label = "one estimate from N texts" if size == sizes[0] else None
            axes.plot(size * jitter, exact + column, ".", color=STUDENT.color, markersize=4, label=label)
        band = {"color": TEACHER.color, "alpha": 0.12, "linewidth": 0}
        axes.fill_between(n, exact - spread, exact + spread, label="± 2 typical errors, by 1/√N", **band)
        axes.axhline(exact, **TEACHER.line, label="exact, over all sequences")
        axes.set(xscale="log", xlabel="teacher texts N", ylabel="loss, nats per text", xlim=(3, 1300))
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes], minor=False)
        axes.minorticks_off()
        axes.legend(loc="upper right", markerscale=2)
    return figure


def bits_figure(bits: Mapping[str, Sequence[float]], teacher_bits: float) -> Figure:
    """Held-out bits of each kind of student, a marker per seed, and the teacher's as a line."""
    figure = new_figure(760, 230)
    with course_style():
        axes = figure.subplots()
        draw_seeds(axes, bits, [STUDENT] * len(bits))
        axes.axvline(teacher_bits, color=TEACHER.color, linestyle=":", linewidth=1.5)
        axes.text(teacher_bits, 1.0, " teacher", color=TEACHER.color, va="center")
        axes.set_xlabel("bits per character on held-out names (lower is better)")
    return figure


def decoding_figure(gaps: Mapping[str, Sequence[float]], judged: Mapping[str, Sequence[float]]) -> Figure:
    """Every seed as a dot: the gap between beam and greedy text, and the teacher's opinion of the greedy text."""
    looks = (BASELINE, DIVERGENCES["jsd"], STUDENT)
    figure = new_figure(760, 260)
    with course_style():
        left, right = figure.subplots(1, 2, sharey=True)
        draw_seeds(left, gaps, looks)
        draw_seeds(right, judged, looks)
        left.axvline(0, color=INK, linewidth=0.8)
        left.set(xlabel="nats per text (0: greedy = beam)", title="log q(beam) − log q(greedy)")
        right.set(xlabel="nats per text (higher is better)", title="log p of the greedy texts")
    return figure


def storage_table(own: Mapping[str, float], real: Mapping[str, float], heads: tuple[str, str]) -> str:
    """Markdown: bytes per token on disk, a row per way to store them."""
    lines = [f"| bytes per token on disk | {heads[0]} | {heads[1]} |", "|---|---|---|"]
    lines += [f"| {name} | {own[name]:,.1f} | {real[name]:,.1f} |" for name in own]
    return "\n".join(lines)


def optima_table(tails: Mapping[str, Tensor], distances: Mapping[str, Tensor], tail: float) -> str:
    """Markdown: what each cache's students leave to the tokens that were not kept, and how far they end from p."""
    lines = ["| cache | outside K, student | outside K, teacher | total variation, student to teacher |"]
    lines += ["|---|---|---|---|"]
    lines += [f"| {name} | {tails[name].mean():.3f} | {tail:.3f} | {distances[name].mean():.3f} |" for name in tails]
    return "\n".join(lines)


def summary_table(
    texts: Batch,
    vocabulary: int,
    own: Mapping[str, float],
    real: tuple[int, Mapping[str, float]],
    bits: Mapping[str, Sequence[float]],
    noise: Sequence[float],
) -> str:
    """Markdown: both levels by what they match, need, tell and store.

    Args:
        texts: of the teacher.
        vocabulary: V here.
        own: bytes per token at this V.
        real: a real V, and bytes per token there.
        bits: held-out bits by kind of student.
        noise: how much farther a batch of tokens strays than one of distributions, squared.
    """
    nodes = {
        tuple(row[: t + 1].tolist())
        for row, counts in zip(texts.tokens, texts.mask, strict=True)
        for t in range(int(counts.sum()))
    }
    positions = int(texts.mask.sum())
    apart = abs(np.mean(bits["text, over HTTP"]) - np.mean(bits["text, in process"]))
    told = bits["probabilities"]  # for the first few seeds alone
    gain = np.mean(bits["text, in process"][: len(told)]) - np.mean(told)
    factor = np.exp(np.mean(np.log(noise)))
    return "\n".join(
        [
            "| | word-level KD | sequence-level KD |",
            "|---|---|---|",
            f"| matches | {positions:,} distributions, at {len(nodes):,} different nodes | "
            f"{len(texts):,} paths through the same nodes |",
            f"| teacher access | logits: {positions * vocabulary:,} numbers; a text-only teacher is refused | text: "
            f"{positions - len(texts):,} letters; HTTP and in process differ by {apart:.3f} bits per character |",
            f"| signal density | {vocabulary} numbers per position, worth {gain:.2f} bits per character | 1 number per "
            f"position; the squared distance of a batch's gradient from the mean is {factor:.1f} times as large |",
            f"| storage, V = {vocabulary} | {own['all logits']:.0f} bytes per token | {own['token ids']:.0f} bytes per "
            "token |",
            f"| storage, V = {real[0]:,} | {real[1]['all logits']:,.0f} bytes per token | {real[1]['token ids']:.0f} "
            "bytes per token |",
        ]
    )
