"""An explorer of clouds: estimates of a gradient around the exact one, their bias and their spread."""

from collections.abc import Mapping
from types import SimpleNamespace

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from kd_lab.lessons.l07_minillm.fork import Measured
from kd_lab.measure import root_mean_square_error
from kd_lab.viz.explorer import Choice, Explorer, Slider
from kd_lab.viz.style import BASELINE, FAINT, STUDENT, TEACHER

POWERS, REPEATS = 12, 150
NS = 2.0 ** torch.arange(POWERS)


def cloud_explorer(
    measured: Mapping[tuple[str, str], Measured], token_wise: Mapping[str, Float[Tensor, " P"]], seed: int
) -> Explorer:
    """150 estimates, each the mean over N texts, in a plane of the space of weights.

    The plane holds the exact gradient, which points to the right, and the token-wise one.

    Args:
        measured: (stage, estimator) → the estimator at one student of that stage.
        token_wise: stage → the token-wise gradient of the same student.
        seed: of the texts that are drawn.
    """
    clouds, errors = {}, {}
    for (stage, name), one in measured.items():
        places = torch.multinomial(
            one.probabilities, REPEATS * int(NS[-1]), replacement=True, generator=torch.Generator().manual_seed(seed)
        )
        drawn = (one.gradients @ _plane(one.truth, token_wise[stage]))[places]
        sums = drawn.view(REPEATS, -1, 2).cumsum(1)
        clouds[stage, name] = [(sums[:, int(n) - 1] / n).numpy() for n in NS]
        errors[stage, name] = one.bias, [root_mean_square_error(one.bias, one.variance, int(n)) for n in NS]

    def update(artists: SimpleNamespace, power: int, name: str, stage: str) -> str:
        bias, curve = errors[stage, name]
        plain = errors[stage, "plain"][1]
        artists.dots.set_data(*clouds[stage, name][power].T)
        artists.plain.set_ydata(plain)
        artists.line.set_ydata(curve)
        artists.floor.set_ydata([max(bias, 1e-6)] * 2)
        artists.here.set_data([NS[power]], [curve[power]])
        said = f"bias {bias:.0%}" if bias > 1e-9 else "no bias"
        sentence = f"{name}, {stage} student, N = {int(NS[power])}: {said}, "
        sentence += f"typically {curve[power]:.2f} gradient lengths off"
        return sentence + ("." if name == "plain" else f"; the plain policy gradient: {plain[power]:.2f}.")

    stages, names = ([*dict.fromkeys(key[place] for key in measured)] for place in (0, 1))
    return Explorer(
        name="bias and variance",
        controls=[
            Slider("log₂ N", 0, POWERS - 1, 1, start=5),
            Choice("estimator", names, start="plain"),
            Choice("student", stages, start="word-level"),
        ],
        create=_create,
        update=update,
        presets={
            "quiet without bias": {"estimator": "exact future, baseline"},
            "MiniLLM, 32 texts": {"estimator": "MiniLLM"},
            "MiniLLM, 2048 texts": {"estimator": "MiniLLM", "log₂ N": 11},
            "no future, 2048 texts": {"estimator": "token-wise", "log₂ N": 11},
        },
        size=(760, 360),
    )


def _plane(truth: Float[Tensor, " P"], token_wise: Float[Tensor, " P"]) -> Float[Tensor, "P 2"]:
    """Two directions at right angles, in which the exact gradient has the coordinates (1, 0)."""
    forward = truth / truth.norm()
    sideways = token_wise - (token_wise @ forward) * forward
    return torch.stack([forward, sideways / sideways.norm()], dim=1) / truth.norm()


def _create(figure: Figure) -> SimpleNamespace:
    left, right = figure.subplots(1, 2)
    left.set(xlim=(-2, 4), ylim=(-3, 3), title=f"{REPEATS} estimates")
    left.set(xlabel="along the exact gradient", ylabel="toward the token-wise one")
    left.axhline(0, color=FAINT, zorder=0)
    left.axvline(0, color=FAINT, zorder=0)
    left.plot(0, 0, "+", color="black", markersize=10)
    (dots,) = left.plot([], [], ".", color=STUDENT.color, markersize=4, alpha=0.6)
    left.plot([1], [0], "*", color=TEACHER.color, markersize=15, markeredgecolor="white", zorder=5)
    right.set(xscale="log", yscale="log", xlim=(0.9, 2300), ylim=(0.05, 20))
    right.set(xlabel="texts N", title="typical distance from the exact gradient")
    right.plot([], [], **BASELINE.line, label="plain")
    right.plot([], [], **STUDENT.line, label="chosen")
    right.plot([], [], color=STUDENT.color, linestyle=":", label="its bias")
    right.legend(loc="upper right")
    (plain,) = right.plot(NS, NS, **BASELINE.line)
    (line,) = right.plot(NS, NS, **STUDENT.line)
    (floor,) = right.plot([0.9, 2300], [1, 1], color=STUDENT.color, linestyle=":")
    (here,) = right.plot([1], [1], "o", color=STUDENT.color, markersize=9)
    return SimpleNamespace(dots=dots, plain=plain, line=line, floor=floor, here=here)
