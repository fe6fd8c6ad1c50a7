"""The explorers of lesson 02: a beam step by step, the length penalty on names of one's own, and a cache's optimum."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.lessons.l02_word_and_sequence.trees import END, create_tree, percent, search_tree, update_tree, written
from kd_lab.models import generate, target_logp
from kd_lab.viz.explorer import Choice, Explorer, Slider, Text
from kd_lab.viz.plots import letter_bars, root_scale, set_bars
from kd_lab.viz.real_tokens import PROMPTS, move_tokens, prompt_choice, real_node, root_axis, token_bars
from kd_lab.viz.style import BASELINE, FAINT, INK, STUDENT, TEACHER
from kd_lab.where.beam import Hypothesis, beam_search
from kd_lab.worlds import Batch, Vocabulary
from kd_lab.worlds.surnames import letters_of

DEPTH = 6  # the most tokens that the drawn searches write
LEAST_LIKELY = -14.0  # the foot of the axis on which texts stand by their log p


@dataclass(frozen=True)
class Searched:
    """A model to search, the ids that it is given, and its vocabulary."""

    model: nn.Module
    prompt: Int[Tensor, " P"]
    vocabulary: Vocabulary
    longest: int = DEPTH


def greedy_of(searched: Searched) -> tuple[str, float]:
    """The text that `generate(greedy=True)` writes, and its log p in nats."""
    tokens = generate(searched.model, searched.prompt[None], searched.longest, greedy=True)
    batch = Batch.from_tokens(tokens, prompt_length=len(searched.prompt), end=END)
    logp = target_logp(searched.model, batch)[batch.mask].sum()
    return written(tokens[0].tolist(), searched.vocabulary.symbols), float(logp)


def beam_explorer(trees: Mapping[str, Searched], name: str = "beam") -> Explorer:
    """An explorer that grows a search step by step: every branch with its probability, every node with log p so far.

    Args:
        trees: what can be searched, by the name on its button.
        name: of the explorer.
    """
    first = next(iter(trees))

    @lru_cache(maxsize=64)
    def search(tree: str, width: int):
        one = trees[tree]
        return search_tree(one.model, one.prompt, width, one.longest, most_cut=2 if width < 3 else 1)

    @lru_cache(maxsize=8)
    def greedy(tree: str) -> tuple[str, float]:
        return greedy_of(trees[tree])

    def create(figure):
        axes = figure.subplots()
        axes.set_title("on each branch the token's probability, at each node log p so far, in nats")
        return create_tree(axes, DEPTH)

    def update(artists, step: int, width: int, tree: str) -> str:
        found, symbols = search(tree, width), trees[tree].vocabulary.symbols
        step = min(step, len(found.steps))
        now = update_tree(artists, found, step, symbols)
        who = "Greedy decoding" if width == 1 else f"A beam of {width}"
        text = written(now.best.tokens, symbols)
        if step < len(found.steps):
            state = "which is finished" if now.best.ended else "unfinished"
            return (
                f"{who} after step {step} of {len(found.steps)}: its likeliest path so far is {quoted(text)}, {state}, "
                f"with log p = −{-now.best.logp:.2f} nats. Hollow nodes were cut and are never looked at again."
            )
        plain, logp = greedy(tree)
        end = f"{who} ends with {quoted(text)}, log p = −{-now.best.logp:.2f} nats"
        if width == 1:
            return f"{end}: at every step it took the likeliest token and forgot the others."
        if plain == text:
            return f"{end}, the text that greedy decoding writes too."
        ratio = logp_ratio(now.best.logp - logp)
        return f"{end}. Greedy decoding writes “{plain}” with −{-logp:.2f}, which is {ratio}."

    real = list(trees)[-1]
    return Explorer(
        name=name,
        controls=[
            Slider("step", 1, DEPTH, 1, start=DEPTH),
            Slider("paths kept K", 1, 4, 1, start=1),
            Choice("tree", list(trees), start=first),
        ],
        create=create,
        update=update,
        presets={
            "the fork": {"step": 2, "paths kept K": 2},
            "two paths": {"paths kept K": 2},
            "names, greedily": {"tree": real},
            "names, K = 4": {"tree": real, "paths kept K": 4},
        },
        size=(780, 440),
    )


def quoted(text: str) -> str:
    """A text in quotation marks, where there is one."""
    return f"“{text}”" if text else "the empty text"


def logp_ratio(nats: float) -> str:
    """A difference of log-probabilities as a reader says it.

    >>> logp_ratio(1.97), logp_ratio(-0.4)
    ('7.2 times less likely', '1.5 times likelier')
    """
    return f"{np.exp(abs(nats)):.1f} times " + ("less likely" if nats >= 0 else "likelier")


def penalty_explorer(model: nn.Module, vocabulary: Vocabulary, name: str = "penalty") -> Explorer:
    """An explorer of the length penalty: what a beam finds after a beginning of one's own, by length and log p.

    The curve joins all points that score as much as the best text: log p = score · length^α.

    Args:
        model: writes names.
        vocabulary: its letters.
        name: of the explorer.
    """
    longest, most = 10, 8

    @lru_cache(maxsize=64)
    def search(text: str, width: int, alpha: float) -> tuple[list[Hypothesis], tuple[str, float], int]:
        prompt = vocabulary.encode([text])[0, :-1]
        room = min(longest, model.context + 1 - len(prompt))
        if room < 2:
            raise ValueError(f"{text!r} has {len(text)} letters; expected at most {model.context - 2}: delete some")
        found = beam_search(model, prompt, width, room, alpha)
        return found, greedy_of(Searched(model, prompt, vocabulary, room)), len(prompt)

    def create(figure):
        axes = figure.subplots()
        axes.set(
            xlim=(0, longest + 2.6), ylim=(LEAST_LIKELY, 0.4), xlabel="tokens written, |y|", ylabel="log p(y|x), nats"
        )
        axes.set_xticks(range(longest + 1))
        axes.set_yticks(range(-14, 1, 2))
        (curve,) = axes.plot([], [], color=FAINT, linestyle=(0, (5, 2)), linewidth=1.3, label="as good as the best")
        (dots,) = axes.plot([], [], "o", color=TEACHER.color, markersize=7, zorder=4, label="found by the beam")
        (best,) = axes.plot([], [], "o", color=TEACHER.color, markersize=13, fillstyle="none", label="best score")
        (plain,) = axes.plot([], [], "D", color=BASELINE.color, markersize=11, fillstyle="none", label="greedy text")
        paper = {"boxstyle": "square,pad=0.05", "facecolor": "white", "edgecolor": "none"}
        texts = [axes.text(0, 0, "", fontsize=9, va="center", color=INK, bbox=paper) for _ in range(most + 1)]
        axes.legend(loc="upper right", ncols=2, labelspacing=0.9)
        return {"curve": curve, "dots": dots, "best": best, "plain": plain, "texts": texts}

    def update(artists, beginning: str, width: int, alpha: float) -> str:
        text = letters_of(beginning)
        found, (greedy, greedy_logp), given = search(text, width, alpha)
        points = [(len(one.tokens) - given, one.logp, written(one.tokens, vocabulary.symbols)) for one in found]
        x, y = np.array([point[0] for point in points]), np.array([point[1] for point in points])
        artists["dots"].set_data(x, y)
        artists["best"].set_data(x[:1], y[:1])
        length = len(greedy) + 2 - given
        artists["plain"].set_data([length], [greedy_logp])
        line = np.linspace(0.05, longest + 1, 120)
        artists["curve"].set_data(line, found[0].score * line**alpha)
        labels = points + ([(length, greedy_logp, greedy)] if greedy not in [point[2] for point in points] else [])
        place_labels(artists["texts"], labels)
        read = "" if text == beginning else f"“{beginning}” is read as “{text}”. "
        tokens = "1 token" if x[0] == 1 else f"{x[0]} tokens"
        return (
            f"{read}Width {width}, α = {alpha:g}: the best of {len(found)} texts is {quoted(points[0][2])}, {tokens}, "
            f"log p = −{-y[0]:.2f} nats, −{-y[0] / x[0]:.2f} per token. "
            f"Greedy decoding writes {quoted(greedy)}, −{-greedy_logp:.2f}."
        )

    return Explorer(
        name=name,
        controls=[
            Text("beginning", start="mar"),
            Slider("beam width K", 2, most, 1, start=6),
            Slider("length penalty α", 0.0, 2.0, 0.25, start=0.0),
        ],
        create=create,
        update=update,
        presets={
            "per token": {"length penalty α": 1.0},
            "longer still": {"length penalty α": 2.0},
            "O'Br…": {"beginning": "O'Br"},
            "Núñ…": {"beginning": "Núñ"},
        },
        size=(780, 360),
    )


def place_labels(texts: list, labels: list[tuple[int, float, str]], apart: float = 0.7) -> None:
    """Write a name beside each point; in one column, names keep their distance. A point below the axis gets none."""
    for text in texts:
        text.set_visible(False)
    below: dict[int, float] = {}
    for text, (x, y, name) in zip(texts, sorted(labels, key=lambda one: -one[1]), strict=False):
        height = min(y, below.get(x, 99.0) - apart)
        below[x] = height
        text.set(position=(x + 0.2, height), text=name, visible=height > LEAST_LIKELY + apart / 2)


def best_student(
    p: Float[Tensor, " V"], draws: Int[Tensor, "visits K"], kept: str, k: int, visits: int
) -> Float[Tensor, " V"]:
    """The minimum of the loss in closed form. A bucket says nothing about its inside: there the student began even."""
    if kept == SAMPLED:
        return draws[:visits, :k].flatten().bincount(minlength=len(p)) / (visits * k)
    top = torch.zeros(len(p), dtype=torch.bool).scatter(0, p.topk(k).indices, True)
    rest = 0.0 if kept == TRUNCATED else p[~top].sum() / (len(p) - k)
    q = torch.where(top, p, rest)
    return q / q.sum()


TRUNCATED, BUCKET, SAMPLED = "top k, truncated", "top k and a bucket", "k sampled ids"


def cache_explorer(p: Float[Tensor, " V"], draws: Int[Tensor, "visits K"], signs: list[str], after: str) -> Explorer:
    """An explorer of what a cache teaches at one position: the teacher, and the student at the optimum of the loss.

    Args:
        p: the teacher's distribution.
        draws: ids drawn from it, a row for each visit.
        signs: of the V tokens.
        after: the prefix, for the sentence.
    """

    def create(figure):
        axes = figure.subplots()
        (bars,) = letter_bars(axes, signs)
        bars.set_label("teacher")
        root_scale(axes)
        axes.set(ylim=(0, 0.8), yticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75])
        axes.set(ylabel="probability, root scale", xlabel=f"next token after “{after}”")
        look = {"linestyle": "", "marker": STUDENT.marker, "color": STUDENT.color, "markersize": 6}
        (dots,) = axes.plot(range(len(p)), [0.0] * len(p), **look, label="student at the optimum", clip_on=False)
        axes.legend(loc="upper right")
        return {"bars": bars, "dots": dots}

    def update(artists, k: int, kept: str, visits: int) -> str:
        q = best_student(p, draws, kept, k, visits)
        set_bars(artists["bars"], p.numpy())
        artists["dots"].set_ydata(q)
        outside = torch.ones(len(p), dtype=torch.bool).scatter(0, p.topk(k).indices, False)
        theirs, own = float(p[outside].sum()), float(q[outside].sum())
        shares = f"outside the {k} likeliest tokens the teacher has {percent(theirs)} and the student "
        shares += percent(own) if own else "nothing"
        distance = f"the total variation between them is {(p - q).abs().sum() / 2:.3f}"
        if kept == SAMPLED:
            visit = "1 visit" if visits == 1 else f"{visits} visits"
            return f"{k} × {visit} = {k * visits:,} draws from the teacher: {shares}; {distance}."
        return f"The {k} likeliest tokens, the same at every visit: {shares}; {distance}."

    return Explorer(
        name="cache",
        controls=[
            Slider("k", 1, draws.shape[1], 1, start=4),
            Choice("kept", [TRUNCATED, BUCKET, SAMPLED], start=TRUNCATED),
            Slider("visits", 1, len(draws), 1, start=1),
        ],
        create=create,
        update=update,
        presets={
            "with a bucket": {"kept": BUCKET},
            "sampled, stored once": {"kept": SAMPLED},
            "sampled, 10 visits": {"kept": SAMPLED, "visits": 10},
            "sampled, 200 visits": {"kept": SAMPLED, "visits": 200},
        },
        size=(780, 320),
    )


REAL_TOKENS = 14  # drawn one by one
KEPT_COUNTS = (1, 2, 4, 8, 16, 32)


def real_cache_explorer(name: str = "real cache") -> Explorer:
    """An explorer of what a cache of a real LLM's answer keeps, and of the KL to a student that is read off it.

    Left: teacher and student; what is not among the k likeliest tokens is pale. Right: the KL that each way of keeping
    reads, over k, beside the KL of everything that is stored.

    Args:
        name: of the explorer.
    """

    def create(figure):
        left, right = figure.subplots(1, 2, width_ratios=(5, 4))
        artists = token_bars(left, (TEACHER, STUDENT), REAL_TOKENS)
        root_axis(left)
        left.set_title("the next token")
        left.legend(loc="upper left", ncols=2)
        right.set(xscale="log", xlim=(0.85, 38), xlabel="k", title="KL that is read, in nats")
        right.yaxis.set_major_formatter(signed)
        right.axhline(0, color=FAINT, linewidth=0.8)
        right.set_xticks(KEPT_COUNTS, [str(k) for k in KEPT_COUNTS])
        right.minorticks_off()
        (artists.whole,) = right.plot([0.85, 38], [1, 1], color=INK, linewidth=1, label="all that is stored")
        start = (KEPT_COUNTS, [0.0] * len(KEPT_COUNTS))
        (artists.truncated,) = right.plot(*start, **BASELINE.points, label=TRUNCATED)
        (artists.bucket,) = right.plot(*start, **TEACHER.points, label=BUCKET)
        labels = (f"{SAMPLED}, ± 1 standard deviation", None)
        artists.band = [right.plot(*start, **STUDENT.line, label=label)[0] for label in labels]
        (artists.here,) = right.plot([1, 1], [0, 1], color=FAINT, linewidth=0.8)
        right.legend(loc="upper right", fontsize=8.5)
        return artists

    def update(artists, prompt: str, k: int) -> str:
        node = real_node(prompt)
        p, q = node.p("teacher"), node.p("healed")
        move_tokens(artists, node, np.arange(REAL_TOKENS), p, q)
        for bars in artists.bars:
            for place, bar in enumerate(bars):
                bar.set_alpha(1.0 if place < min(k, REAL_TOKENS) else 0.35)
        read = {count: kl_read(p, q, count) for count in KEPT_COUNTS}
        truncated, bucket, whole, spread = np.array([*read.values()]).T
        artists.whole.set_ydata([whole[0], whole[0]])
        artists.truncated.set_ydata(truncated)
        artists.bucket.set_ydata(bucket)
        for line, sign in zip(artists.band, (1, -1), strict=True):
            line.set_ydata(whole + sign * spread)
        low, high = min(truncated.min(), (whole - spread).min(), 0.0), (whole + spread).max()
        artists.here.set_data([k, k], [low, high])
        artists.whole.axes.set_ylim(low - 0.06 * (high - low), high + 0.8 * (high - low))  # the legend stands above
        less, binned, all_of_it, deviation = read[k]
        tokens, draws = ("token", "draw") if k == 1 else ("tokens", "draws")
        return (
            f"{k} {tokens}: {percent(p[:k].sum())} of the teacher's mass. Of {all_of_it:.2f} nats from student to "
            f"teacher the truncated sum reads {less:.2f} and the bucket {binned:.2f}. {k} {draws} read {all_of_it:.2f} "
            f"on average, with a standard deviation of {deviation:.2f}."
        ).replace("-", "−")

    return Explorer(
        name=name,
        controls=[prompt_choice(), Choice("k", list(KEPT_COUNTS), start=4)],
        create=create,
        update=update,
        presets={
            "k = 32": {"k": 32},
            "a sure teacher": {"real prompt": list(PROMPTS)[1], "k": 1},
            "below zero": {"real prompt": list(PROMPTS)[4], "k": 2},
        },
        size=(780, 340),
    )


def signed(nats: float, _: int | None = None) -> str:
    """A label of an axis, with room for a sign where there is none: the layout is frozen before the axis moves.

    >>> signed(-0.2), len(signed(0.2))
    ('−0.2', 4)
    """
    return f"{nats: .1f}".replace("-", "−").replace(" ", "\u2007")


def kl_read(p: Float[np.ndarray, " E"], q: Float[np.ndarray, " E"], k: int) -> tuple[float, float, float, float]:
    """The forward KL in nats that is read off the first k events, off those and a bucket, and off everything.

    The fourth number is the standard deviation of the mean of log p/q over k draws from p, whose mean is the third.

    >>> [round(x, 4) for x in kl_read(np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5]), 1)]
    [0.3466, 0.1438, 0.1733, 0.5747]
    """
    ratio = np.log(p / q)
    whole = float(p @ ratio)
    truncated = float(p[:k] @ ratio[:k])
    bucket = truncated + float(p[k:].sum() * np.log(p[k:].sum() / q[k:].sum()))
    return truncated, bucket, whole, float(np.sqrt(p @ (ratio - whole) ** 2 / k))
