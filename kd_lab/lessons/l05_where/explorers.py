"""A student's own text under its teacher's eyes: where it leaves the teacher's paths, and what that costs."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from torch import nn

from kd_lab.how import forward_kl
from kd_lab.measure import excess_error, mean_interval
from kd_lab.models import FiniteStateModel, next_token_logp
from kd_lab.viz.explorer import Choice, Explorer, Slider
from kd_lab.viz.plots import letter_bars, set_bars
from kd_lab.viz.style import BASELINE, FAINT, INK, STUDENT, TEACHER
from kd_lab.where import rollout
from kd_lab.worlds import Batch, Vocabulary, World

OFF_THE_PATHS = 0.01
"""A token to which the teacher gives less than this is none of its own: the text leaves its paths there."""

MOST_NATS = 10.0  # the height of the right-hand axis; a taller step is cut there


@dataclass(frozen=True)
class Reading:
    """One text, and what both models would have said at each of its T steps, the end mark included."""

    tokens: list[int]
    teacher: Float[np.ndarray, "T V"]  # probabilities
    student: Float[np.ndarray, "T V"]
    gap: Float[np.ndarray, " T"]  # KL(p‖q) in nats

    @property
    def strange(self) -> list[int]:
        """The steps, from 0, whose token is none of the teacher's."""
        return [t for t, token in enumerate(self.tokens) if self.teacher[t, token] < OFF_THE_PATHS]


@torch.no_grad()
def read(student: nn.Module, teacher: nn.Module, text: Batch) -> Reading:
    """Both models along a batch of one text."""
    q, p = (next_token_logp(model, text.inputs, dtype=torch.float64)[text.mask] for model in (student, teacher))
    return Reading(text.targets[text.mask].tolist(), p.exp().numpy(), q.exp().numpy(), forward_kl(q, p).numpy())


def rollout_explorer(
    students: Mapping[str, nn.Module],
    teacher: nn.Module,
    texts: Mapping[str, Batch],
    vocabulary: Vocabulary,
    name: str = "rollout",
    start: int = 1,
) -> Explorer:
    """An explorer that follows texts which students wrote, one step at a time, with the teacher's opinion beside each.

    Left: what teacher and student would say at this step. Right: KL(p‖q) at every step of the text. The first token
    that the teacher would not have written (it gives less than 1 %) is the fork; behind it the bars change colour.

    Args:
        students: by the name in the menu.
        teacher: reads along.
        texts: for each student the texts that it wrote, as many for all.
        vocabulary: of all the models.
        name: of the explorer.
        start: the step at which it opens.
    """
    signs = ["■", *vocabulary.symbols[1:]]
    count, longest = (min(size) for size in zip(*(batch.mask.shape for batch in texts.values()), strict=True))
    first = next(iter(students))

    @lru_cache(maxsize=64)
    def reading(student: str, number: int) -> Reading:
        return read(students[student], teacher, texts[student][slice(number, number + 1)])

    def create(figure):
        left, right = figure.subplots(1, 2, width_ratios=(2, 3))
        bars = letter_bars(left, signs, (TEACHER, STUDENT))
        left.legend(loc="upper right", ncols=2, bbox_to_anchor=(1, 1.02))
        left.set(ylim=(0, 1.18), yticks=[0, 0.5, 1], title="the next token, by both")
        if len(signs) > 10:
            left.tick_params(axis="x", labelsize=7.5)
        right.set(xlim=(0.3, longest + 0.7), ylim=(0, 1.2 * MOST_NATS), xticks=[], yticks=range(0, 11, 2))
        right.set(ylabel="KL(p‖q), in nats", title="the gap at every step of its text")
        places, zeros = range(1, longest + 1), [0.0] * longest
        under = {"ha": "center", "va": "top", "color": INK, "clip_on": False, "fontsize": 9.5}
        return {
            "bars": bars,
            "paths": right.bar(places, zeros, width=0.8, label="on the teacher's paths", **TEACHER.area),
            "lost": right.bar(places, zeros, width=0.8, label="after the fork", **STUDENT.area),
            "now": right.axvspan(0.5, 1.5, ymax=0.86, color=FAINT, alpha=0.25, linewidth=0),
            "fork": right.axvline(0.5, ymax=0.86, color=INK, linewidth=1.2),
            "signs": [right.text(t, -0.2, "", **under) for t in places],
            "legend": right.legend(loc="upper right", ncols=2, bbox_to_anchor=(1, 1.03)),
        }

    def update(artists, step: int, student: str, text: int) -> str:
        seen = reading(student, text - 1)
        step = min(step, len(seen.tokens))
        set_bars(artists["bars"][0], seen.teacher[step - 1])
        set_bars(artists["bars"][1], seen.student[step - 1])
        fork = seen.strange[0] if seen.strange else longest
        heights = np.minimum(np.append(seen.gap, np.zeros(longest - len(seen.gap))), MOST_NATS)
        after = np.arange(longest) > fork
        set_bars(artists["paths"], np.where(after, 0.0, heights))
        set_bars(artists["lost"], np.where(after, heights, 0.0))
        artists["now"].set_x(step - 0.5)
        artists["fork"].set(xdata=[fork + 1.5] * 2, visible=fork < longest)
        for t, sign in enumerate(artists["signs"]):
            sign.set_text(signs[seen.tokens[t]] if t < len(seen.tokens) else "")
            sign.set_color(STUDENT.color if t in seen.strange else INK)
            sign.set_fontweight("bold" if t in seen.strange else "normal")
        return read_out(seen, step, signs)

    return Explorer(
        name=name,
        controls=[
            Slider("step", 1, longest, 1, start=start),
            Choice("student", list(students), start=first),
            Slider("text", 1, count, 1, start=1),
        ],
        create=create,
        update=update,
        presets={f"{student}, to the end": {"step": longest, "student": student} for student in students},
        size=(780, 330),
    )


def early_strays(
    student: nn.Module, teacher: FiniteStateModel, world: World, lost: int, seed: int, most: int = 12
) -> Batch:
    """Of 400 texts of the student, those of full length that lead the teacher to its state `lost` first."""
    start = torch.zeros(400, 1, dtype=torch.long)
    texts = rollout(student, world, start, torch.Generator().manual_seed(seed))
    astray = (teacher.states(texts.inputs) == lost) & texts.mask
    when = torch.where(astray.any(1) & texts.mask.all(1), astray.int().argmax(1), astray.shape[1])
    return texts[when.argsort(stable=True)[:most]]


def read_out(seen: Reading, step: int, signs: list[str]) -> str:
    """The sentence of the rollout at one step."""
    token = seen.tokens[step - 1]
    prefix = "".join(signs[one] for one in seen.tokens[: step - 1])
    node = f"after “{prefix}”" if prefix else "at the start"
    fork = seen.strange[0] + 1 if seen.strange else None
    if fork is None:
        where = "It never leaves the teacher's paths."
    elif step < fork:
        where = f"It leaves the teacher's paths at step {fork}."
    elif step == fork:
        where = "Here it leaves the teacher's paths."
    else:
        where = f"It left the teacher's paths at step {fork}, with “{signs[seen.tokens[fork - 1]]}”."
    return (
        f"Step {step}, {node}: the student writes “{signs[token]}”, to which the teacher gives "
        f"{share(seen.teacher[step - 1, token])}. The gap is {seen.gap[step - 1]:.2f} nats here and "
        f"{seen.gap[:step].sum():.1f} over the text so far. {where}"
    )


def share(probability: float) -> str:
    """A probability as a reader says it.

    >>> share(0.314), share(0.0004), share(1e-12)
    ('31%', '1 in 2,500', 'less than 1 in a million')
    """
    if probability >= OFF_THE_PATHS:
        return f"{probability:.0%}"
    return f"1 in {1 / probability:,.0f}" if probability >= 1e-6 else "less than 1 in a million"


def growth_explorer(
    own: Mapping[float, Float[np.ndarray, "N L"]],
    theirs: Mapping[float, Float[np.ndarray, "N L"]],
    name: str = "growth",
) -> Explorer:
    """An explorer over stored runs: how the error grows with the length, for each share of on-policy batches.

    Args:
        own: for each share, in even steps, the gap at each position on the student's own prefixes, a row for each seed.
        theirs: the same on the teacher's prefixes.
        name: of the explorer.
    """
    shares = sorted(own)
    length = own[shares[0]].shape[1]
    x = np.arange(1, length + 1)

    def summary(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, half = np.array([mean_interval(column) for column in np.transpose(rows)]).T
        return mean, half

    sums = {s: (summary(np.cumsum(own[s], 1)), summary(np.cumsum(theirs[s], 1))) for s in shares}
    excess = {}
    for s in shares:
        pairs = zip(own[s], theirs[s], strict=True)
        excess[s] = summary(np.stack([excess_error(torch.tensor(a), torch.tensor(b)).numpy() for a, b in pairs]))

    def create(figure):
        left, right = figure.subplots(1, 2)
        artists = {}
        for axes, key, curves in ((left, "sum", {s: sums[s][0] for s in shares}), (right, "excess", excess)):
            top = max((mean + half).max() for mean, half in curves.values())
            axes.set(xlim=(0, length + 0.5), ylim=(min(0, 0.02 * top), 1.06 * top), xlabel="length, tokens")
            axes.plot(x, curves[shares[0]][0], **BASELINE.line, label=f"share {shares[0]:g}, for comparison")
            artists[key] = axes.plot(x, 0 * x, **STUDENT.line, label="on the student's own prefixes")[0]
            artists[f"{key} band"] = axes.fill_between(x, 0 * x, 0 * x, facecolor=STUDENT.color, alpha=0.2, linewidth=0)
        artists["theirs"] = left.plot(x, 0 * x, **TEACHER.line, label="on the teacher's prefixes")[0]
        left.set(ylabel="accumulated KL(p‖q), nats", title="R(l) and l·ε(l)")
        right.set(ylabel="ExAccErr(l)", title="the excess, relative to l·ε(l)")
        left.legend(loc="upper left")
        return artists

    def update(artists, share: float) -> str:
        share = min(shares, key=lambda one: abs(one - share))
        for key, (mean, half) in (("sum", sums[share][0]), ("excess", excess[share])):
            artists[key].set_ydata(mean)
            artists[f"{key} band"].set_data(x, mean - half, mean + half)
        artists["theirs"].set_ydata(sums[share][1][0])
        mean = sums[share][0][0]
        return (
            f"With {share:.0%} of the batches written by the student, {mean[-1]:.2f} nats accumulate over {length} "
            f"tokens, {mean[-1] / mean[length // 2 - 1]:.1f} times as much as over {length // 2}; that is "
            f"{1 + excess[share][0][-1]:.1f} times the error on the teacher's prefixes."
        )

    step = shares[1] - shares[0]
    return Explorer(
        name=name,
        controls=[Slider("on-policy share", shares[0], shares[-1], step, start=shares[0])],
        create=create,
        update=update,
        presets={f"{one:.0%} on-policy": {"on-policy share": one} for one in shares[1:]},
        size=(780, 330),
    )


def draw_roads(axes: Axes, lost: Bool[np.ndarray, "N T"], title: str) -> None:
    """One row per text, one column per step: light where the prefix is on the teacher's road, dark where it is off it.

    Args:
        axes: where to draw.
        lost: whether the text is off the road after t tokens.
        title: over the map.
    """
    axes.imshow(
        lost, cmap=ListedColormap(["#dbe9f4", STUDENT.color]), vmin=0, vmax=1, aspect="auto", interpolation="nearest"
    )
    for edge in np.arange(1, len(lost)) - 0.5:
        axes.axhline(edge, color="white", linewidth=1)
    axes.set(title=title, xlabel="tokens written", yticks=[])
    axes.tick_params(length=0)
