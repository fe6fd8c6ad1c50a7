"""One next-letter distribution under temperature: how flat it gets, and what becomes of the gradient."""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.models import evaluating
from kd_lab.viz.explorer import Explorer, Slider, Text
from kd_lab.viz.plots import letter_bars, set_bars
from kd_lab.viz.style import BASELINE, INK, STUDENT, TEACHER
from kd_lab.worlds import Vocabulary

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
        left.set_yscale("function", functions=(_root, np.square))  # dark knowledge is small: a root makes room for it
        left.set(ylim=(0, 1.5), title="the next letter, softened by τ")  # the legend stands above the tallest bar
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
        presets={
            "as it is": {"τ": 1.0},
            "softened": {"τ": 4.0},
            "very soft": {"τ": 32.0},
            "a sure teacher": {"τ": 1.0, "prefix": "stevenso"},
            "the sure one, softened": {"τ": 4.0, "prefix": "stevenso"},
        },
        size=(780, 320),
    )


def _limit(student_logits: Float[Tensor, " V"], teacher_logits: Float[Tensor, " V"]) -> float:
    """‖centred logit difference‖ / V, to which `gradient_norms` tends as τ grows."""
    difference = student_logits - teacher_logits
    return ((difference - difference.mean()).norm() / len(difference)).item()


def _root(probability):
    return np.sqrt(np.maximum(probability, 0))
