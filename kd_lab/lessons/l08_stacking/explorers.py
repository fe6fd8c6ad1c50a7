"""Explorers of lesson 08: the three factors of cost, rounding in groups, and the rungs of a stack."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import Tensor

from kd_lab.compress.cost import DEVICES, Cost, bottleneck, factors, roofline, token_cost
from kd_lab.compress.quantize import QuantizedMatrix, QuantizedModel
from kd_lab.models import GPTConfig
from kd_lab.viz.explorer import Choice, Explorer, Slider
from kd_lab.viz.style import BASELINE, DIVERGENCES, FAINT, INK, STUDENT, TEACHER, Look

LARGE = GPTConfig(vocab_size=32_000, context=4096, layers=32, heads=32, width=4096, channels=16_512)
"""A model of 6.6 billion parameters, in the shape of those that are served."""

LEAST = 1e-4  # where the bars of the ratios begin
LIMIT_LOOKS = {"memory": TEACHER, "arithmetic": STUDENT, "latency": BASELINE}


@runtime_checkable
class Measured(Protocol):
    """A rung of a stack, as `kd_lab.lessons.l08_stacking.experiment` stores it."""

    name: str
    distilled: bool
    pruned: int
    bits: int
    bytes: int
    bits_per_character: tuple[float, ...]
    writing: float
    predicted_size: float
    measured_size: float
    predicted_time: float
    measured_time: float
    samples: tuple[str, ...]


# ---- the calculator --------------------------------------------------------------------------------------------------


def cost_calculator(name: str = "cost", shape: GPTConfig = LARGE) -> Explorer:
    """An explorer of the three factors, for one large model and the machines of `DEVICES`.

    Args:
        name: of the explorer.
        shape: of the model.
    """
    original = token_cost(shape, bits=16)
    devices = list(DEVICES)

    def create(figure):
        left, right = figure.subplots(1, 2, width_ratios=(5, 6))
        names = ["parameters", "bits", "work", "bytes", "all three"]
        left.set(xscale="log", xlim=(LEAST, 20), ylim=(4.6, -0.6), xlabel="of the original")
        left.set_xticks([1e-4, 1e-3, 1e-2, 1e-1, 1], ["10⁻⁴", "1/1000", "1/100", "1/10", "1"])
        left.set_yticks(range(5), names)
        left.axhline(2.5, color=FAINT, linewidth=0.8)
        looks = [DIVERGENCES["forward_kl"]] * 3 + [TEACHER, STUDENT]
        bars = [left.barh(i, 1, 0.62, left=LEAST, **look.area)[0] for i, look in enumerate(looks)]
        texts = [left.text(1, i, "", va="center", ha="left", fontsize=9.5, color=INK) for i in range(5)]
        right.set(xscale="log", xlim=(0.3, 3e4), ylim=(len(devices) - 0.4, -0.6))
        right.set(xlabel="tokens per second, at most", title="one text at a time")
        right.set_yticks(range(len(devices)), devices)
        rates = {
            limit: [right.barh(i, 1, 0.62, left=0.3, **look.area)[0] for i in range(len(devices))]
            for limit, look in LIMIT_LOOKS.items()
        }
        says = [right.text(1, i, "", va="center", ha="left", fontsize=9.5, color=INK) for i in range(len(devices))]
        return {"bars": bars, "texts": texts, "rates": rates, "says": says}

    def update(artists, kept: int, bits: int, work: int) -> str:
        now = shrunk(original, kept / 100, bits, work / 100)
        ratio = factors(now, original)
        values = [ratio.parameters, ratio.bits, ratio.work, ratio.size, ratio.product]
        for bar, text, value in zip(artists["bars"], artists["texts"], values, strict=True):
            bar.set_width(value - LEAST)
            text.set_text(f"{value:.3g}")
            text.set_x(value * 1.12)
        for i, device in enumerate(DEVICES.values()):
            times, met = roofline(now, device), bottleneck(now, device)
            rate = 1 / times[met]
            for limit, bars in artists["rates"].items():
                bars[i].set_visible(limit == met)
                bars[i].set_width(rate - 0.3)
            artists["says"][i].set_x(rate * 1.12)
            artists["says"][i].set_text(f"{rate:,.0f}  {met}" if rate >= 10 else f"{rate:.1f}  {met}")
        met = bottleneck(now, DEVICES["H100 SXM"])
        return (
            f"{now.parameters / 1e9:.2g} billion parameters at {bits} bits are {now.bytes / 1e9:.2g} GB (the original: "
            f"{original.bytes / 1e9:.2g}); with {now.work:.2g} multiplications per parameter the whole cost is "
            f"{ratio.product:.2g} times the original's. On an H100 the bottleneck is {met}."
        )

    return Explorer(
        name=name,
        controls=[
            Slider("parameters kept, %", 5, 100, 5, start=100),
            Slider("bits per parameter", 2, 16, 1, start=16),
            Slider("work done, %", 5, 100, 5, start=100),
        ],
        create=create,
        update=update,
        presets={
            "quantize": {"bits per parameter": 4},
            "prune by half": {"parameters kept, %": 50},
            "zeros and a kernel for them": {"work done, %": 20},
            "a tenth, at 4 bits": {"parameters kept, %": 10, "bits per parameter": 4},
        },
        size=(760, 300),
    )


def shrunk(original: Cost, parameters: float, bits: float, work: float) -> Cost:
    """A cost with the share of its parameters, other bits, and the share of its work. The layers stay as many.

    >>> now = shrunk(token_cost(LARGE, bits=16), parameters=0.5, bits=4, work=1.0)
    >>> factors(now, token_cost(LARGE, bits=16)).size
    0.125
    """
    return replace(original, parameters=round(original.parameters * parameters), bits=bits, work=original.work * work)


# ---- rounding --------------------------------------------------------------------------------------------------------

SHARED = {
    "32 neighbours": (32, STUDENT),
    "channel": ("channel", DIVERGENCES["forward_kl"]),
    "tensor": ("tensor", DIVERGENCES["reverse_kl"]),
}
"""Name → the weights that share a scale, as `Scheme` takes it, and how the curve is drawn."""

BITS = range(2, 9)
REACH = 0.42  # the weights that the staircase spans


def stairs(matrix: QuantizedMatrix, weights: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
    """The points that weights would be rounded to on the symmetric grid of a matrix's first group."""
    scale, most = matrix.scale[0, 0].float(), 2 ** (matrix.scheme.bits - 1) - 1
    return scale * (weights / scale).round().clamp(-most, most)


def rounding_explorer(
    rounded: Mapping[tuple[str, int], QuantizedModel], lost: Mapping[tuple[str, int], float], weights: Tensor, name: str
) -> Explorer:
    """An explorer of rounding to nearest: one group on its staircase, and the loss of the whole model.

    Args:
        rounded: (name in `SHARED`, bits) → the model, rounded on symmetric grids.
        lost: the same keys → bits per character lost.
        weights: the first 32 weights of a matrix.
        name: of that matrix.
    """
    ramp = torch.linspace(-REACH, REACH, 841)

    def create(figure: Figure) -> SimpleNamespace:
        left, right = figure.subplots(1, 2)
        left.plot(ramp, ramp, color="black", linewidth=0.8, linestyle=":")
        (steps,) = left.plot(ramp, 0 * ramp, color=BASELINE.color, linewidth=1)
        (dots,) = left.plot(weights, 0 * weights, "o", color=STUDENT.color, markersize=4)
        left.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), xlabel="weight", ylabel="rounded weight")
        left.set_title("one group")
        for shared, (_, look) in SHARED.items():
            right.plot(BITS, [lost[shared, bits] for bits in BITS], **look.points, label=shared)
        right.set(xlabel="bits of a code", ylabel="bits per character lost", title="a scale is shared by …")
        right.set_yscale("symlog", linthresh=0.01)
        right.set_ylim(-0.01, 4)
        right.set_yticks([0, 0.01, 0.1, 1], ["0", "0.01", "0.1", "1"])
        right.legend()
        (here,) = right.plot([2], [1], "o", markersize=15, markerfacecolor="none", markeredgecolor="black")
        return SimpleNamespace(steps=steps, dots=dots, here=here)

    def update(artists: SimpleNamespace, bits: int, shared: str) -> str:
        model = rounded[shared, bits]
        matrix = model.matrices[name]
        artists.steps.set_ydata(stairs(matrix, ramp))
        artists.dots.set_ydata(stairs(matrix, weights))
        artists.here.set_data([bits], [lost[shared, bits]])
        off = ((stairs(matrix, weights) - weights).norm() / weights.norm()).item()
        group = "run of 32 neighbours" if shared == "32 neighbours" else shared
        return (
            f"{bits} bits, one scale for each {group}: {model.bits_per_weight:.2f} bits per weight with the share of "
            f"the scales. These 32 weights are {off:.0%} off, and the model loses {lost[shared, bits]:.3f} bits per "
            "character."
        )

    return Explorer(
        name="rounding",
        controls=[Slider("bits", 2, 8, 1, start=4), Choice("scale shared by", list(SHARED), start="32 neighbours")],
        create=create,
        update=update,
        presets={
            "3 bits": {"bits": 3},
            "3 bits, one scale": {"bits": 3, "scale shared by": "tensor"},
            "2 bits": {"bits": 2},
        },
        size=(760, 320),
    )


# ---- the stack -------------------------------------------------------------------------------------------------------

STARTS = {False: "teacher", True: "student"}
BITS_LOOKS = {
    16: Look("16 bits", "#000000", "-", "o"),
    8: Look("8 bits", "#0072B2", "-", "s"),
    4: Look("4 bits", "#009E73", "-", "D"),
    3: Look("3 bits", "#E69F00", "-", "^"),
    2: Look("2 bits", "#D55E00", "-", "v"),
}


def draw_front(axes: Axes, rungs: Sequence[Measured], quality: tuple[float, float]) -> None:
    """Size against quality of every rung, predicted size beside measured, and the front that no rung is below.

    Args:
        axes: empty.
        rungs: those whose quality lies within the limits are drawn.
        quality: limits of the vertical axis, bits per character.
    """
    axes.set(xscale="log", ylim=quality, xlabel="bytes on disk", ylabel="bits per character, held out")
    whole = next(rung.bytes for rung in rungs if rung.measured_size == 1)
    for bits, look in BITS_LOOKS.items():
        for distilled in STARTS:
            some = [r for r in rungs if (r.bits, r.distilled) == (bits, distilled) and _mean(r) < quality[1]]
            fill = {"markerfacecolor": look.color if distilled else "white"}
            axes.plot(
                [r.bytes for r in some], [_mean(r) for r in some], look.marker, color=look.color, markersize=7, **fill
            )
            axes.plot([r.predicted_size * whole for r in some], [_mean(r) for r in some], "|", color=INK, markersize=11)
    front = pareto(rungs)
    axes.step([r.bytes for r in front], [_mean(r) for r in front], where="post", color=FAINT, linewidth=1.2, zorder=0)
    axes.set_xlim(min(r.bytes for r in rungs) * 0.8, whole * 1.3)
    for bits, look in BITS_LOOKS.items():
        axes.plot([], [], look.marker, color=look.color, label=f"{bits} bits")
    axes.plot([], [], "o", color=INK, markerfacecolor="white", label="from the teacher")
    axes.plot([], [], "o", color=INK, label="from the student")
    axes.plot([], [], "|", color=INK, markersize=11, label="size predicted")


def pareto(rungs: Sequence[Measured]) -> list[Measured]:
    """The rungs that no other one beats in both size and quality, smallest first."""
    front: list[Measured] = []
    for rung in sorted(rungs, key=lambda r: (r.bytes, _mean(r))):
        if not front or _mean(rung) < _mean(front[-1]):
            front.append(rung)
    return front


def _mean(rung: Measured) -> float:
    return float(np.mean(rung.bits_per_character))


def name_column(axes: Axes, rows: int) -> list[Text]:
    """Empty lines at equal distances, whatever letters they will hold, on axes without a frame."""
    axes.set_axis_off()
    heights = 1 - (np.arange(rows) + 0.5) / rows
    return [axes.text(0, height, "", va="center_baseline", transform=axes.transAxes, color=INK) for height in heights]


def stack_explorer(rungs: Sequence[Measured], quality: tuple[float, float], name: str = "stack") -> Explorer:
    """An explorer of stored rungs: place, size, time and names of the chosen one.

    Args:
        rungs: every combination of two starts, some shares removed and some bits.
        quality: limits of the vertical axis, bits per character; worse rungs are drawn on its upper edge.
        name: of the explorer.
    """
    by_choice = {(r.pruned, r.distilled, r.bits): r for r in rungs}
    shares = sorted({r.pruned for r in rungs})
    original = by_choice[shares[0], False, 16]

    def create(figure):
        left, middle, right = figure.subplots(1, 3, width_ratios=(6, 4, 3))
        left.set(xscale="log", ylim=quality, xlabel="bytes on disk", ylabel="bits per character", title="every rung")
        left.set_xlim(min(r.bytes for r in rungs) * 0.7, original.bytes * 1.5)
        left.plot([r.bytes for r in rungs], [min(_mean(r), quality[1]) for r in rungs], "o", color=FAINT, markersize=4)
        (here,) = left.plot([1], [1], "o", color=STUDENT.color, markersize=11, clip_on=False)
        middle.set(
            xscale="log", xlim=(5e-3, 2), ylim=(3.6, -0.6), xlabel="of the original", title="predicted, measured"
        )
        middle.set_xticks([1e-2, 1e-1, 1], ["1/100", "1/10", "1"])
        middle.set_yticks([0.5, 2.5], ["size", "time"])
        looks = (BASELINE, TEACHER, BASELINE, TEACHER)
        bars = [middle.barh(i, 1, 0.8, left=5e-3, **look.area)[0] for i, look in enumerate(looks)]
        right.set_title("it writes")
        return {"here": here, "bars": bars, "names": name_column(right, 10)}

    def update(artists, pruned: int, start: str, bits: int) -> str:
        rung = by_choice[pruned, start == STARTS[True], bits]
        artists["here"].set_data([rung.bytes], [min(_mean(rung), quality[1])])
        values = (rung.predicted_size, rung.measured_size, rung.predicted_time, rung.measured_time)
        for bar, value in zip(artists["bars"], values, strict=True):
            bar.set_width(value - 5e-3)
        for line, written in zip(artists["names"], rung.samples, strict=False):
            line.set_text(written or "(nothing)")
        return (
            f"{rung.name}: {rung.bytes:,} bytes, {original.bytes / rung.bytes:.1f} times smaller; "
            f"{rung.writing:,.0f} tokens per second, {rung.writing / original.writing:.1f} times the original's; "
            f"{_mean(rung):.2f} bits per character instead of {_mean(original):.2f}."
        )

    return Explorer(
        name=name,
        controls=[
            Slider("removed, %", shares[0], shares[-1], shares[1] - shares[0], start=shares[0]),
            Choice("start", list(STARTS.values()), start=STARTS[False]),
            Choice("bits", sorted({r.bits for r in rungs}, reverse=True), start=16),
        ],
        create=create,
        update=update,
        presets={
            "4 bits alone": {"bits": 4},
            "half removed": {"removed, %": 50},
            "student alone": {"start": STARTS[True]},
            "the whole stack": {"removed, %": 50, "start": STARTS[True], "bits": 4},
        },
        size=(760, 300),
    )
