"""The places of texts among one another in two models: two maps of distances, and every pair as a point."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from torch import Tensor, nn

from kd_lab.models import evaluating
from kd_lab.viz.explorer import Choice, Explorer, Slider, Text
from kd_lab.viz.plots import letter_bars, root_scale, set_bars
from kd_lab.viz.real_tokens import (
    PROMPTS,
    likeliest,
    move_tokens,
    percent,
    prompt_choice,
    real_node,
    root_axis,
    token_bars,
)
from kd_lab.viz.style import BASELINE, INK, STUDENT, TEACHER
from kd_lab.worlds import Vocabulary

BRIGHTEST = 2.0  # mean distances, where the colour scale ends
FARTHEST = 3.5  # mean distances, where the axes of the points end; what lies beyond stands at the edge
BINS = 70


def draw_map(axes: Axes, relations: Float[np.ndarray, "B B"], texts: Sequence[str], title: str) -> AxesImage:
    """A map of distances between texts, dark where two are close.

    Args:
        axes: gets the texts along both sides.
        relations: distances in units of their mean.
        texts: one per row.
        title: of the axes.

    Raises:
        ValueError: not as many texts as rows.
    """
    if len(relations) != len(texts):
        raise ValueError(f"{len(texts)} texts came for {len(relations)} rows; expected one per row")
    image = axes.imshow(relations, vmin=0, vmax=BRIGHTEST)
    axes.set_xticks(range(len(texts)), texts, rotation=90, fontsize=8)
    axes.set_yticks(range(len(texts)), texts, fontsize=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(title)
    return image


def relation_explorer(
    teacher: Float[np.ndarray, "B B"],
    students: Mapping[str, Float[np.ndarray, "B B"]],
    texts: Sequence[str],
    start: str,
    name: str = "relations",
) -> Explorer:
    """An explorer of stored relations: the teacher's beside those of one student at a time.

    Left and middle: distances among the named texts. Right: all pairs of texts, the teacher's distance against the
    student's; a student that stands as the teacher does lies on the diagonal.

    Args:
        teacher: distances among B texts in units of their mean.
        students: a name for each student, and its distances.
        texts: names of the first few of the B texts, those that the maps show.
        start: the student that is shown first.
        name: of the explorer.
    """
    shown, pairs = len(texts), np.triu_indices(len(teacher), 1)

    def create(figure):
        left, middle, right = figure.subplots(1, 3, width_ratios=(1, 1, 1))
        draw_map(left, teacher[:shown, :shown], texts, TEACHER.label)
        image = draw_map(middle, np.zeros((shown, shown)), texts, STUDENT.label)
        middle.set_yticks([])
        figure.colorbar(image, ax=middle, ticks=[0, 1, 2], shrink=0.75).ax.set_title("÷ mean", fontsize=8.5)
        (diagonal,) = right.plot([0, FARTHEST], [0, FARTHEST], color=INK, linewidth=0.8)
        cloud = right.imshow(
            np.zeros((BINS, BINS)), origin="lower", extent=(0, FARTHEST, 0, FARTHEST), cmap="Greys", vmin=0, vmax=1
        )
        right.set(xlabel="teacher", ylabel="student", title=f"{len(pairs[0]):,} pairs", xticks=[0, 1, 2, 3])
        right.set_yticks([0, 1, 2, 3])
        return {"map": image, "cloud": cloud, "diagonal": diagonal}  # the line moves only to stay above the cloud

    def update(artists, student: str) -> str:
        relations = students[student]
        artists["map"].set_data(relations[:shown, :shown])
        ours, theirs = relations[pairs], teacher[pairs]
        edges = np.linspace(0, FARTHEST, BINS + 1)
        counts, _, _ = np.histogram2d(np.clip(ours, 0, FARTHEST), np.clip(theirs, 0, FARTHEST), bins=(edges, edges))
        artists["cloud"].set_data((counts / max(counts.max(), 1)) ** 0.5)  # the root keeps rare pairs visible
        i, j = np.unravel_index(_nearest(teacher[:shown, :shown]), (shown, shown))
        return (
            f"{student}: over {len(ours):,} pairs of names its distances correlate with the teacher's at "
            f"{np.corrcoef(ours, theirs)[0, 1]:.2f}. The teacher's closest pair here, {texts[i]} and {texts[j]}, is "
            f"{teacher[i, j]:.2f} mean distances apart in the teacher and {relations[i, j]:.2f} in the student."
        )

    return Explorer(
        name=name,
        controls=[Choice("student", list(students), start=start)],
        create=create,
        update=update,
        size=(780, 300),
    )


def _nearest(distances: Float[np.ndarray, "B B"]) -> int:
    return int(np.argmin(distances + np.diag(np.full(len(distances), np.inf))))


LOWEST, HIGHEST = 0.5, 32.0  # of the slider
CURVE = np.geomspace(LOWEST, HIGHEST, 49)
NORMS = (1e-4, 10.0)  # limits of the axis of gradient norms


def gradient_norms(
    student_logits: Float[Tensor, " V"], teacher_logits: Float[Tensor, " V"], temperatures: Float[np.ndarray, " N"]
) -> Float[np.ndarray, " N"]:
    """‖τ·(q_τ − p_τ)‖, the norm of the gradient of τ²·KL(p_τ‖q_τ) with respect to the student's logits, for each τ.

    >>> norms = gradient_norms(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 0.0]), np.array([1.0, 1e4]))
    >>> norms.round(4)  # the second is near ‖(½, −½)‖/2
    array([0.3268, 0.3536])
    """
    tau = torch.from_numpy(temperatures)[:, None]
    student, teacher = ((logits.double() / tau).softmax(-1) for logits in (student_logits, teacher_logits))
    return (tau * (student - teacher)).norm(dim=-1).numpy()


TEMPERATURES = {
    "softened": {"τ": 4.0},
    "very soft": {"τ": 32.0},
    "a sure teacher": {"τ": 1.0, "prefix": "stevenso"},
    "the sure one, softened": {"τ": 4.0, "prefix": "stevenso"},
}


def temperature_explorer(
    teacher: nn.Module, student: nn.Module, vocabulary: Vocabulary, start: str, name: str = "temperature"
) -> Explorer:
    """An explorer of τ at a real prefix.

    Left: what both models expect after the prefix, softened by τ. Right: the norm of the gradient of KL(p‖q) with
    respect to the student's logits over τ, with τ² and without, and the level to which the first one tends.

    Args:
        teacher: tokens [B, T] to logits [B, T, V], read in eval mode.
        student: the same.
        vocabulary: of both.
        start: the prefix in the field at first, of letters of the vocabulary.
        name: of the explorer.
    """
    signs = ["end", *vocabulary.symbols[1:]]

    @lru_cache(maxsize=64)
    @torch.no_grad()
    def logits_after(prefix: str) -> tuple[Tensor, Tensor]:
        tokens = vocabulary.encode([prefix])[:, : len(prefix) + 1]
        with evaluating(teacher), evaluating(student):
            return tuple(model(tokens)[0, -1].double() for model in (teacher, student))

    def create(figure):
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        bars = letter_bars(left, signs, (TEACHER, STUDENT))
        left.get_xticklabels()[0].set_rotation(90)
        root_scale(left)  # dark knowledge is small: a root makes room for it
        left.set(title="the next letter, softened by τ", ylabel="probability, root scale")
        left.set_ylim(0, 1.5)  # the legend stands above the tallest bar
        left.set_yticks([0, 0.01, 0.05, 0.2, 0.5, 1], ["0", "1 %", "5 %", "20 %", "50 %", "100 %"])
        left.legend(loc="upper left", ncols=2)
        right.set(xscale="log", yscale="log", xlim=(LOWEST / 1.1, HIGHEST * 1.1), ylim=NORMS)
        right.set(xlabel="temperature τ", title="norm of the gradient")
        right.set_xticks([0.5, 1, 2, 4, 8, 16, 32], ["½", "1", "2", "4", "8", "16", "32"])
        right.minorticks_off()
        (with_factor,) = right.plot(CURVE, 0 * CURVE + 1, **TEACHER.line, label="with τ²")
        (bare,) = right.plot(CURVE, 0 * CURVE + 1, **STUDENT.line, label="without")
        (limit,) = right.plot([LOWEST / 1.1, HIGHEST * 1.1], [1, 1], **BASELINE.line, label="limit")
        (here,) = right.plot([1, 1], [1, 1], linestyle="none", marker="o", markersize=7, color=INK)
        right.legend(loc="upper left", ncols=3, columnspacing=1.0, handlelength=1.8)
        return {"bars": bars, "with": with_factor, "without": bare, "limit": limit, "here": here}

    def update(artists, tau: float, prefix: str) -> str:
        prefix = prefix.strip().lower()
        if len(prefix) >= teacher.context:
            raise ValueError(
                f"the prefix {prefix!r} has {len(prefix)} letters; expected at most {teacher.context - 1}, so that a "
                "letter can follow: delete some"
            )
        p_logits, q_logits = logits_after(prefix)
        p, q = ((logits / tau).softmax(-1) for logits in (p_logits, q_logits))
        for bars, probabilities in zip(artists["bars"], (p, q), strict=True):
            set_bars(bars, probabilities.tolist())
        norms = gradient_norms(q_logits, p_logits, CURVE)
        level = _limit(q_logits, p_logits)
        here = gradient_norms(q_logits, p_logits, np.array([tau])).item()
        artists["with"].set_ydata(norms)
        artists["without"].set_ydata(norms / CURVE**2)
        artists["limit"].set_ydata([level, level])
        artists["here"].set_data([tau, tau], [here, here / tau**2])
        entropy = -(p * p.clamp_min(1e-300).log()).sum().item()
        where = f"after “{prefix}”" if prefix else "at the start"
        return (
            f"At τ = {tau:g} {where} the teacher's entropy is {entropy:.2f} nats, as much as {np.exp(entropy):.1f} "
            f"equally likely letters of {len(signs)}. The gradient has norm {here:.3f} with τ² and {here / tau**2:.3g} "
            f"without; with τ² it tends to {level:.3f}."
        )

    return Explorer(
        name=name,
        controls=[Slider("τ", LOWEST, HIGHEST, 0.5, start=1.0), Text("prefix", start=start)],
        create=create,
        update=update,
        presets=TEMPERATURES,
        size=(780, 320),
    )


def _limit(student_logits: Float[Tensor, " V"], teacher_logits: Float[Tensor, " V"]) -> float:
    """‖centred logit difference‖ / V, to which `gradient_norms` tends as τ grows."""
    difference = student_logits - teacher_logits
    return ((difference - difference.mean()).norm() / len(difference)).item()


REAL_TOKENS = 14  # drawn one by one
TEACHERS_OWN = 48  # of the stored tokens are the teacher's likeliest; the others are its students'
HEATS = (0.5, 0.7, 1.0, 1.5, 2.0, 4.0)  # at which the stored tail is known


def real_temperature_explorer(name: str = "real temperature") -> Explorer:
    """An explorer of τ on a real LLM: the teacher's bars, and where its mass goes as τ grows.

    Left: its likeliest tokens at τ, beside those at τ = 1. Right: the mass of the label, of the other tokens that are
    stored, and of the rest of the vocabulary, over τ.

    Args:
        name: of the explorer.
    """
    parts = {"label": TEACHER, "rivals": STUDENT, "rest": BASELINE}

    def create(figure):
        left, right = figure.subplots(1, 2, width_ratios=(5, 3))
        artists = token_bars(
            left, (replace(BASELINE, label="at τ = 1", hatch=""), replace(TEACHER, label="at τ")), REAL_TOKENS
        )
        root_axis(left)
        left.set_title("the teacher's next token")
        left.legend(loc="upper left", ncols=2)
        right.set(xscale="log", xlim=(0.45, 4.4), ylim=(0, 1.35), xlabel="temperature τ", title="where its mass is")
        right.set_xticks(HEATS, ["½", "0.7", "1", "1.5", "2", "4"])
        right.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
        right.minorticks_off()
        artists.curves = [right.plot(HEATS, HEATS, **look.line, label=part)[0] for part, look in parts.items()]
        (artists.here,) = right.plot([1, 1], [0, 1], color=INK, linewidth=0.8)
        right.legend(loc="upper left", ncols=3, columnspacing=0.8, handlelength=1.4, fontsize=9)
        return artists

    def update(artists, prompt: str, tau: float) -> str:
        node = real_node(prompt)
        p = {heat: node.p("teacher", heat) for heat in HEATS}
        move_tokens(artists, node, likeliest(p[1.0], REAL_TOKENS), p[1.0], p[tau])
        masses = np.array([(one[node.actual], 1 - one[node.actual] - one[-1], one[-1]) for one in p.values()])
        for curve, values in zip(artists.curves, masses.T, strict=True):
            curve.set_ydata(values)
        artists.here.set_data([tau, tau], [0, 1])
        least, most = entropy_bounds(p[tau], node.left_over)
        label, rivals, rest = masses[HEATS.index(tau)]
        return (
            f"At τ = {tau:g} “{node.pieces[node.actual].strip()}”, the label, has {percent(label)} of the teacher's "
            f"mass; {percent(rivals)} lies on {len(node.pieces) - 1} other stored tokens and {percent(rest)} on the "
            f"remaining {node.left_over:,}. The entropy is between {least:.2f} and {most:.2f} nats."
        )

    return Explorer(
        name=name,
        controls=[prompt_choice(), Choice("τ", list(HEATS), start=1.0)],
        create=create,
        update=update,
        presets={
            "τ = 2": {"τ": 2.0},
            "τ = 4": {"τ": 4.0},
            "a sure teacher": {"real prompt": list(PROMPTS)[1]},
            "the sure one, τ = 2": {"real prompt": list(PROMPTS)[1], "τ": 2.0},
        },
        size=(780, 340),
    )


def entropy_bounds(p: Float[np.ndarray, " E"], merged: int) -> tuple[float, float]:
    """The least and the largest entropy in nats of a distribution whose last event stands for `merged` tokens.

    At most, the merged tokens are equally likely. At least, each is as likely as the rank `TEACHERS_OWN` allows: the
    stored tokens hold the teacher's likeliest, in this order, so that no merged one is likelier than the last of them.

    >>> p = np.array([0.5, *[0.01] * 47, 0.03])
    >>> least, most = entropy_bounds(p, 3)
    >>> bool(np.isclose(least, most))
    True
    """
    known = float(-(p[:-1] * np.log(np.maximum(p[:-1], 1e-300))).sum())
    rest, highest = float(p[-1]), float(p[TEACHERS_OWN - 1])
    each = max(rest / merged, 1e-300)
    return known - rest * np.log(max(highest, each)), known - rest * np.log(each)
