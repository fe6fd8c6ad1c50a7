"""Slips and recovery without any training: a student whose two rates are set by hand, and the two laws of its error."""

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from kd_lab.lessons.l05_where.tunes import LOST, tunes
from kd_lab.measure import pair_reach
from kd_lab.models import FiniteStateModel
from kd_lab.viz.explorer import Explorer, Slider
from kd_lab.viz.style import BASELINE, FAINT, STUDENT, TEACHER

LONGEST = 96


def slipping_student(slip: float, recovery: float) -> FiniteStateModel:
    """A student that knows the tunes but for two rates: it repeats a note with probability `slip`, and once it is lost
    it writes "!" with probability `recovery`.
    """
    teacher = tunes(typos=0.0)
    says = teacher.logp().exp()
    for note in (1, 2, 3):
        says[note] *= 1 - slip
        says[note, note] = slip
    says[LOST, 1:4], says[LOST, 4] = (1 - recovery) / 3, recovery
    return FiniteStateModel(says.log(), teacher.moves, context=LONGEST)


def off_the_road(slip: float, recovery: float, length: int = LONGEST) -> Float[np.ndarray, " L"]:
    """The probability that each token is written off the road; exact, over all texts of the student.

    >>> off_the_road(0.1, 0.0, 4).round(3).tolist()  # a note can be repeated from the second token on
    [0.0, 0.0, 0.1, 0.19]
    """
    student = slipping_student(slip, recovery)
    return pair_reach(student, tunes(), length)[:, :, LOST].sum(1).numpy()


def laws(slip: float, recovery: float, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The two laws, in tokens off the road: lost for good, and back after 1 ÷ recovery steps; None where never back."""
    return slip * lengths * (lengths - 1) / 2, slip * lengths / recovery if recovery else None


def create_panels(figure: Figure) -> dict[str, Any]:
    """Both panels of `slip_explorer`, and in them the curves that will move."""
    x = np.arange(2, LONGEST + 1)
    left, right = figure.subplots(1, 2, width_ratios=(4, 3))
    (quadratic,) = left.plot(x, x, **BASELINE.line, label="lost for good: ε·L(L−1)/2")
    (linear,) = left.plot(x, x, **TEACHER.line, label="back after u steps: ε·u·L")
    (exact,) = left.plot(x, x, **STUDENT.line, label="exact")
    (here,) = left.plot([2], [1], "o", color=STUDENT.color, markersize=9, clip_on=False)
    left.set(xscale="log", yscale="log", xlim=(2, LONGEST), ylim=(0.01, 1000), xlabel="length L, tokens")
    left.set(ylabel="tokens written off the road", title="accumulated")
    left.set_xticks([2, 6, 12, 24, 48, 96], ["2", "6", "12", "24", "48", "96"])
    left.set_yticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"])
    left.minorticks_off()
    left.legend(loc="upper left")
    (share,) = right.plot(x, x, **STUDENT.line)
    (plateau,) = right.plot([1, LONGEST], [0, 0], color=FAINT, linestyle="-", linewidth=1)
    right.set(xlim=(1, LONGEST), ylim=(0, 1), xlabel="token", title="probability of being off the road")
    right.set_xticks([1, 24, 48, 72, 96])
    return {"quadratic": quadratic, "linear": linear, "exact": exact, "here": here, "share": share, "at": plateau}


def slip_explorer(name: str = "slips") -> Explorer:
    """An explorer of the error by slip rate, recovery and length: both laws and the exact curve.

    Left, on two logarithmic axes: the tokens of a text that are written off the road. Right: the probability of being
    off it at each token.

    Args:
        name: of the explorer.
    """
    x = np.arange(2, LONGEST + 1)

    def update(artists, slip_percent: float, recovery: float, length: int) -> str:
        slip = slip_percent / 100
        lost = off_the_road(slip, recovery)
        total = lost.cumsum()
        quadratic, linear = laws(slip, recovery, x)
        artists["quadratic"].set_ydata(quadratic)
        artists["linear"].set_visible(linear is not None)
        if linear is not None:
            artists["linear"].set_ydata(linear)
        artists["exact"].set_ydata(np.maximum(total[1:], 1e-9))
        artists["here"].set_data([length], [max(total[length - 1], 1e-9)])
        artists["share"].set_data(np.arange(1, LONGEST + 1), lost)
        artists["at"].set_ydata([slip / (slip + recovery)] * 2)
        bounds = f"lost for good gives {slip * length * (length - 1) / 2:.2f}"
        if recovery:
            steps = "1 step" if recovery == 1 else f"{1 / recovery:.3g} steps"
            bounds += f", back after u = {steps} {slip * length / recovery:.2f}"
        return (
            f"With ε = {slip:.2%} and recovery {recovery:g}, {total[length - 1]:.2f} of {length} tokens are written "
            f"off the road ({bounds}). That is {total[length - 1] / total[length // 2 - 1]:.1f} times as many as at "
            f"{length // 2} tokens."
        )

    return Explorer(
        name=name,
        controls=[
            Slider("slip ε, %", 0.25, 5.0, 0.25, start=1.25),
            Slider("recovery per step", 0.0, 1.0, 0.05, start=0.1),
            Slider("length L", 8, LONGEST, 4, start=24),
        ],
        create=create_panels,
        update=update,
        presets={
            "lost for good": {"recovery per step": 0.0},
            "back at once": {"recovery per step": 1.0},
            "a long text": {"length L": 96},
            "lost for good, long": {"slip ε, %": 5.0, "recovery per step": 0.0, "length L": 96},
        },
        size=(780, 330),
    )
