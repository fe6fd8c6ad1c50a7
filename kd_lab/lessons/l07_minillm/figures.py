"""The figures of lesson 07: how two students open, where two gradients lead, and three readings used as losses."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor, nn

from kd_lab.lessons.l07_minillm.fork import (
    descend,
    new_bigram,
    sequence_loss,
    share_of_words,
    teacher,
    token_loss,
    word_loss,
)
from kd_lab.measure import mean_interval
from kd_lab.viz.plots import interval_curve, letter_bars, set_bars
from kd_lab.viz.style import BASELINE, DIVERGENCES, STUDENT, TEACHER, Look, course_style, new_figure

LOOKS = {
    "token-wise": replace(BASELINE, label="token-wise reverse KL"),
    "sequence": replace(STUDENT, label="sequence reverse KL"),
}


def hook_students(number: int = 0) -> dict[str, nn.Module]:
    """The teacher and two bigrams, trained with exact gradients of the two reverse KLs."""
    models: dict[str, nn.Module] = {"teacher": teacher}
    for name, loss in (("token-wise", token_loss), ("sequence", sequence_loss)):
        models[name] = new_bigram(number)
        descend(models[name], word_loss, steps=40)
        descend(models[name], loss, steps=150)
    return models


def hook_figure(models: Mapping[str, nn.Module]) -> Figure:
    """Left the probabilities of the first letter, right the share of texts that are words."""
    looks = [replace(look, label=name) for name, look in zip(models, (TEACHER, *LOOKS.values()), strict=True)]
    figure = new_figure(760, 280)
    with course_style():
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        bars = letter_bars(left, "■abxy", looks)
        left.set(ylim=(0, 1.05), yticks=[0, 0.5, 1], title="how they open", ylabel="probability")
        left.legend(loc="upper right")
        for one, model in zip(bars, models.values(), strict=True):
            set_bars(one, model(torch.zeros(1, 1, dtype=torch.long))[0, 0].softmax(-1).tolist())
        for row, (model, look) in enumerate(zip(models.values(), looks, strict=True)):
            share = share_of_words(model)
            right.barh(row, share, **look.area)
            right.text(share + 0.02, row, f"{share:.0%}", va="center")
        right.set_yticks(range(len(models)), models)
        right.set(xlim=(0, 1.1), ylim=(2.6, -0.6), title="texts that are words")
        right.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    return figure


def paths_figure(paths: Mapping[tuple[str, str], Float[Tensor, "seeds steps"]]) -> Figure:
    """KL(Q‖P) against steps along both gradients: left for the bigram, right for the table."""
    figure = new_figure(760, 290)
    with course_style():
        panels = figure.subplots(1, 2)
        for axes, kind in zip(panels, ("bigram", "table"), strict=True):
            for name, look in LOOKS.items():
                for row, path in enumerate(paths[kind, name]):
                    label = look.label if row == 0 else None
                    axes.plot(range(1, len(path) + 1), path, **look.line, alpha=0.7, label=label)
            can = "cannot" if kind == "bigram" else "can"
            axes.set(xlabel="step", xlim=(0, 121), title=f"{kind}: {can} be its teacher")
        panels[0].set(ylim=(0, 2.2), ylabel="KL(Q‖P), nats per text")
        panels[1].set(yscale="log", ylim=(2e-4, 10))
        panels[1].legend()
    return figure


def curves_figure(curves: Mapping[str, Float[np.ndarray, "seeds times"]], looks: Mapping[str, Look]) -> Figure:
    """Mean and 95 % interval of KL(Q‖P) during training, one curve per recipe, measured every 15 steps."""
    figure = new_figure(760, 340)
    with course_style():
        axes = figure.subplots()
        for label, look in looks.items():
            mean, half = np.array([mean_interval(column) for column in np.transpose(curves[label])]).T
            interval_curve(axes, np.arange(1, len(mean) + 1) * 15, mean, half, look, label=label)
        axes.set(xlabel="step", ylabel="KL(Q‖P), nats per text", ylim=(0, 2.3), xlim=(0, 155))
        axes.legend(loc="lower left", ncols=2)
    return figure


# ---- k1, k2 and k3 as losses ----------------------------------------------------------------------------------------

GRID = torch.linspace(-10, 10, 41, dtype=torch.float64)
_HILLS = (torch.tensor([0.6, 0.4]) * (-0.5 * ((GRID[:, None] - torch.tensor([-3.0, 3.0])) / 0.8) ** 2).exp()).sum(1)
HILLS = (_HILLS / _HILLS.sum() * 0.999 + 0.001 / len(GRID)).log()
"""log p of a teacher with two hills over 41 tokens."""


def bell(weights: Float[Tensor, "seeds 2"]) -> Float[Tensor, "seeds 41"]:
    """log q of students that are bells, from their mean and the logarithm of their width."""
    return (-0.5 * ((GRID - weights[:, :1]) / weights[:, 1:].exp()) ** 2).log_softmax(-1)


def bells_figure(learned: Mapping[str, Sequence[Tensor]]) -> Figure:
    """The students that each of the three estimators, used as a loss, has led to."""
    looks = (BASELINE, DIVERGENCES["reverse_kl"], DIVERGENCES["forward_kl"])
    figure = new_figure(760, 260)
    with course_style():
        panels = figure.subplots(1, 3, sharey=True)
        for axes, (name, students), look in zip(panels, learned.items(), looks, strict=True):
            axes.plot(GRID, HILLS.exp(), **TEACHER.line, label="teacher")
            for row, density in enumerate(students):
                axes.plot(GRID, density, **look.line, alpha=0.7, label="students" if row == 0 else None)
            axes.set(title=f"{name} as the loss", xlabel="token", ylim=(0, 0.32))
        panels[0].set_ylabel("probability")
        panels[-1].legend(loc="upper right")
    return figure
