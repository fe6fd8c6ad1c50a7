"""The still pictures and tables of lesson 05."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from kd_lab.lessons.l05_where.explorers import draw_roads
from kd_lab.lessons.l05_where.tunes import LOST, NOTES, L
from kd_lab.measure import mean_interval
from kd_lab.models import FiniteStateModel
from kd_lab.viz.plots import interval_curve
from kd_lab.viz.seeds import draw_seeds
from kd_lab.viz.style import BASELINE, DIVERGENCES, STUDENT, TEACHER, course_style, new_figure
from kd_lab.where import rollout
from kd_lab.worlds import World

WHO = {"off-policy": BASELINE, "on-policy": STUDENT}


def roads_figure(students: Mapping[str, FiniteStateModel], teacher: FiniteStateModel, world: World) -> Figure:
    """Forty texts of each student, orange where the teacher is in its lost state."""
    figure = new_figure(760, 300)
    with course_style():
        for axes, (label, student) in zip(figure.subplots(1, len(students)), students.items(), strict=True):
            own = rollout(student, world, torch.zeros(40, 1, dtype=torch.long), torch.Generator().manual_seed(0))
            draw_roads(axes, (teacher.states(own.inputs) == LOST).numpy(), f"trained {label}")
    return figure


def teacher_table(teacher: FiniteStateModel) -> str:
    """The teacher as a table in markdown: a row per state, the next token's probabilities, and where each leads."""
    names = ["at the beginning", *(f"after {note}" for note in "abc"), "**lost**"]
    signs = [NOTES.symbols[token] for token in range(1, len(NOTES))]
    lines = ["| state | " + " | ".join(f"next {sign}" for sign in signs) + " |", "|---|" + "---|" * len(signs)]
    for state, (name, row) in enumerate(zip(names, teacher.logp().exp().tolist(), strict=True)):
        cells = []
        for token in range(1, len(NOTES)):
            leads = " → lost" if teacher.moves[state, token] == LOST else ""
            cells.append((f"{row[token]:.0%}" if row[token] >= 0.01 else "hardly ever") + leads)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def growth_figure(
    own: Mapping[str, Sequence[Tensor]],
    theirs: Mapping[str, Sequence[Tensor]],
    excess: Callable[[Tensor, Tensor], Float[Tensor, " L"]],
) -> Figure:
    """The error accumulated up to each length, and its excess relative to the teacher's prefixes."""
    figure = new_figure(760, 320)
    with course_style():
        left, right = figure.subplots(1, 2)
        for label, look in WHO.items():
            pairs = zip(own[label], theirs[label], strict=True)
            _band(left, [gap.cumsum(0).numpy() for gap in own[label]], look, f"{label}, own prefixes")
            _band(right, [np.asarray(excess(*pair)) for pair in pairs], look, label)
        accumulated = np.mean([gap.cumsum(0).numpy() for gap in theirs["on-policy"]], 0)
        left.plot(np.arange(1, L + 1), accumulated, **TEACHER.line, label="on-policy, teacher's prefixes")
        left.set(ylim=(0, 11.5), ylabel="R(l), nats", title="accumulated error")
        right.set(ylim=(0, 12.5), ylabel="ExAccErr(l)", title="relative excess")
        for axes in (left, right):
            axes.set(xlim=(0, L + 0.5), xlabel="length l, tokens")
            axes.legend(loc="upper left")
    return figure


def _band(axes, rows, look, label):
    mean, half_width = np.array([mean_interval(column) for column in np.transpose(rows)]).T
    even = slice(1, None, 2)
    interval_curve(axes, np.arange(1, L + 1)[even], mean[even], half_width[even], look, label)


def ingredients_table(found: Mapping[str, Float[np.ndarray, "N 3"]]) -> str:
    """Markdown: per row the means over seeds of the excess in nats, ExAccErr(24), and R(24) ÷ R(12)."""
    lines = ["| five seeds each | R − lε, nats | ExAccErr(24) | R(24) ÷ R(12) |", "|---|---|---|---|"]
    for label, rows in found.items():
        nats, ratio, doubling = rows.mean(0)
        lines.append(f"| {label} | {nats:.2f} | {ratio:.1f} | {doubling:.1f} |")
    return "\n".join(lines)


def forks_figure(forks: Mapping[str, Sequence[float]], whole: Mapping[str, Sequence[float]]) -> Figure:
    """Every seed as a dot: KL at the forks, and R(24) of the whole text."""
    looks = (TEACHER, BASELINE, STUDENT, DIVERGENCES["jsd"])
    figure = new_figure(760, 250)
    with course_style():
        left, right = figure.subplots(1, 2, sharey=True)
        draw_seeds(left, forks, looks)
        draw_seeds(right, whole, looks)
        left.set(xlim=(0, 3.4), xlabel="nats per position", title="KL at the forks")
        right.set(xlim=(0, 12), xlabel="nats per text", title="R(24), all prefixes of its own")
    return figure


def network_table(networks: Mapping[str, Float[np.ndarray, "N 4"]]) -> str:
    """Markdown: the transformer after 60 more steps of either kind."""
    lines = [
        "| 60 more steps | R(24) of each seed, nats | 24·ε, nats | ExAccErr(24) | KL off the road, nats per position |",
        "|---|---|---|---|---|",
    ]
    for label, rows in networks.items():
        each = ", ".join(f"{value:.1f}" for value in rows[:, 0])
        expected, off_road = rows[:, 1].mean(), rows[:, 3].mean()
        excess = np.exp(np.log(rows[:, 2]).mean())
        lines.append(f"| {label} | {each} | {expected:.2f} | {excess:.1f} | {off_road:.1f} |")
    return "\n".join(lines)


def surnames_table(rows: Mapping[str, Float[np.ndarray, "N 3"]]) -> str:
    """Markdown: per recipe the means of held-out bits, the teacher's −log p of its own names, and ExAccErr."""
    lines = [
        "| 32 more steps | held-out bits per character | −log p of its own names, nats per character | ExAccErr |",
        "|---|---|---|---|",
    ]
    for label, values in rows.items():
        bits, judged, bias = values.mean(0)
        excess = f"{bias:+.2f}".replace("-", "−")
        lines.append(f"| {label} | {bits:.2f} | {judged:.2f} | {excess} |")
    return "\n".join(lines)
