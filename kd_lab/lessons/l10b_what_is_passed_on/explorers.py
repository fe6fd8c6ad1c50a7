"""The explorers of lesson 10b: the exact law of re-estimation, six generations of surnames, and a mark that stays."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from kd_lab.lessons.l10b_what_is_passed_on import stored
from kd_lab.lessons.l10b_what_is_passed_on.collapse import (
    POLICIES,
    RUNS,
    diversity,
    drift,
    limit_of_accumulation,
    mean_diversity,
)
from kd_lab.measure import mean_interval
from kd_lab.viz import BASELINE, STUDENT, TEACHER, Choice, Explorer, Slider
from kd_lab.viz.plots import letter_bars, set_bars
from kd_lab.viz.style import INK

ALPHABET = "abcdefghijklmnopqrstuvwxyz"

# ---- the exact law ---------------------------------------------------------------------------------------------------

LONG = 60  # generations of the law's explorer
WAYS = {"replaced": False, "accumulated": True}


def law_explorer(p: np.ndarray, seed: int = 0) -> Explorer:
    """One run of re-estimated letter frequencies beside the mean diversity of many, for N draws per generation.

    Args:
        p: the real frequencies of 26 letters.
        seed: of the runs of chance.
    """
    sizes = [10, 30, 100, 300, 1000]
    runs = {
        (size, way): drift(p, size, LONG, accumulate, np.random.default_rng([seed, size]))
        for size in sizes
        for way, accumulate in WAYS.items()
    }
    means = {(size, way): mean_diversity(p, size, LONG, WAYS[way], seed) for size, way in runs}
    x = np.arange(LONG + 1)

    def create(figure: Figure) -> SimpleNamespace:
        left, right = figure.subplots(1, 2, width_ratios=(6, 5))
        real, now = letter_bars(left, ALPHABET, (TEACHER, STUDENT))
        left.set(ylim=(0, 0.55), title="first letters")
        left.tick_params(axis="x", labelsize=8)
        left.legend([real, now], ["real", "this generation"], loc="upper right", frameon=True, edgecolor="none")
        set_bars(real, p)
        right.set(xlim=(-1, LONG + 1), ylim=(0, 1.12), xlabel="generation", title="diversity, share of the real")
        (mean,) = right.plot(x, x * 0, **TEACHER.line, label=f"mean of {RUNS} runs")
        (run,) = right.plot(x, x * 0, **STUDENT.line, label="this run")
        (dot,) = right.plot([0], [1], "s", color=STUDENT.color, markersize=8)
        right.legend(loc="lower left")
        return SimpleNamespace(now=now, mean=mean, run=run, dot=dot)

    def update(artists: SimpleNamespace, size: int, generation: int, way: str) -> str:
        history = runs[size, way]
        left = diversity(history) / diversity(history[0])
        set_bars(artists.now, history[generation])
        artists.mean.set_ydata(means[size, way])
        artists.run.set_ydata(left)
        artists.dot.set_data([generation], [left[generation]])
        floor = f", and for ever at least {limit_of_accumulation(size):.3f}" if WAYS[way] else ""
        return (
            f"Generation {generation}, {size:,} draws each, {way}: {np.count_nonzero(history[generation])} of "
            f"{np.count_nonzero(p)} letters are left and {left[generation]:.0%} of the diversity; the mean of {RUNS} "
            f"runs keeps {means[size, way][generation]:.0%}{floor}."
        )

    return Explorer(
        name="the exact law",
        controls=[
            Choice("draws per generation", sizes, start=30),
            Slider("generation", 0, LONG, 1, start=20),
            Choice("earlier draws are", list(WAYS), start="replaced"),
        ],
        create=create,
        update=update,
        presets={
            "30 draws, the end": {"generation": LONG},
            "accumulated": {"generation": LONG, "earlier draws are": "accumulated"},
            "1,000 draws": {"draws per generation": 1000, "generation": LONG},
        },
        size=(760, 330),
    )


# ---- generations of surnames -----------------------------------------------------------------------------------------

MEASURES = {
    "bits": ("bits", "held-out bits per character", (3.4, 5.8)),
    "distinct names": ("distinct", "distinct names ÷ names", (0, 1.4)),
    "first letters": ("letters", "different first letters", (0, 36)),
    "rare pairs": ("rare", "rare pairs of letters, %", (-0.3, 14)),
}
"""Of each measure: its name in the file, on the axis, and the limits of the axis."""


def generations_explorer(real: np.ndarray) -> Explorer:
    """Stored generations of surname models: what they write, how their first letters spread, and one measure's curve.

    Args:
        real: shares of the first letters of real names, [26].
    """
    letters = {policy: stored.first_letters(policy) for policy in POLICIES}
    count = len(letters["replaced"])
    x = np.arange(count)

    def create(figure: Figure) -> dict[str, Any]:
        panels = figure.subplot_mosaic([["bars", "curve"], ["words", "words"]], height_ratios=(12, 1))
        bars, curve, words = panels["bars"], panels["curve"], panels["words"]
        words.set_axis_off()
        truth, now = letter_bars(bars, ALPHABET, (TEACHER, STUDENT))
        set_bars(truth, real)
        bars.set(ylim=(0, 0.5), title="first letters of the names it writes")
        bars.tick_params(axis="x", labelsize=8)
        bars.legend([truth, now], ["real names", "this generation"], loc="upper right", frameon=True, edgecolor="none")
        curve.set(xlim=(-0.3, count - 0.7), xlabel="generation", xticks=x)
        (baseline,) = curve.plot(x, x * 0.0, **BASELINE.line, label="a model of real names")
        band = curve.fill_between(x, x * 0.0, x * 0.0, facecolor=STUDENT.color, alpha=0.25, linewidth=0)
        (line,) = curve.plot(x, x * 0.0, **STUDENT.line, label="this policy")
        (dot,) = curve.plot([0], [0], "s", color=STUDENT.color, markersize=9)
        curve.legend(loc="upper left")
        text = words.text(0, 0.2, "", va="center", fontsize=11, color=INK)
        return {"now": now, "baseline": baseline, "band": band, "line": line, "dot": dot, "text": text, "axes": curve}

    def update(artists: dict[str, Any], generation: int, policy: str, measure: str) -> str:
        key, label, limits = MEASURES[measure]
        mean, half = summary(stored.generations(policy, key))  # generation 0 is a model of real names
        axes = artists["axes"]
        if axes.get_title(loc="left") != label:
            axes.set_title(label, loc="left")
            axes.set_ylim(limits)
        set_bars(artists["now"], letters[policy][generation])
        artists["baseline"].set_ydata([mean[0]] * count)
        artists["line"].set_ydata(mean)
        artists["band"].set_data(x, mean - half, mean + half)
        artists["dot"].set_data([generation], [mean[generation]])
        written = ", ".join(stored.samples(policy, generation))
        artists["text"].set_text(f"writes: {written}")
        return (
            f"Generation {generation}, {policy}: {label} {mean[generation]:.3g} ± {half[generation]:.2g}, where a "
            f"model of real names has {mean[0]:.3g}. It writes {written}."
        )

    return Explorer(
        name="six generations",
        controls=[
            Slider("generation", 0, count - 1, 1, start=count - 1),
            Choice("texts", list(POLICIES), start="replaced"),
            Choice("measure", list(MEASURES), start="bits"),
        ],
        create=create,
        update=update,
        presets={
            "accumulated": {"texts": "accumulated"},
            "a tenth real": {"texts": "a tenth real"},
            "without a cut": {"texts": "replaced, τ = 1", "measure": "rare pairs"},
        },
        size=(760, 370),
    )


def summary(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and half width of its 95 % interval, per column of one row per seed."""
    mean, half = np.array([mean_interval(column) for column in np.transpose(rows)]).T
    return mean, half


# ---- the mark --------------------------------------------------------------------------------------------------------

KEYS = {"the right key": "fair", "a wrong key": "wrong", "the right key, against γ": "naive"}
CERTAIN = 4.0


def mark_explorer() -> Explorer:
    """z over the number of letters read: who wrote them, and which key is tried."""
    lengths = np.array(stored.about()["marks"]["lengths"])
    writers = list(stored.runs("marks")[0]["writers"])

    def create(figure: Figure) -> SimpleNamespace:
        axes = figure.subplots()
        axes.set(xscale="log", xlim=(28, 11_000), ylim=(-9, 95), xlabel="letters read", ylabel="z")
        axes.set_yscale("symlog", linthresh=10, linscale=1.2)
        axes.set_yticks([-8, -4, 0, 4, 8, 20, 40, 80], ["−8", "−4", "0", "4", "8", "20", "40", "80"])
        axes.set_xticks([30, 100, 300, 1000, 3000, 10_000], ["30", "100", "300", "1,000", "3,000", "10,000"])
        axes.minorticks_off()
        axes.axhline(CERTAIN, **BASELINE.line, label="z = 4, by chance 3 times in 100,000")
        zeros = lengths * 0.0
        band = axes.fill_between(lengths, zeros, zeros, facecolor=STUDENT.color, alpha=0.25, linewidth=0)
        (line,) = axes.plot(lengths, zeros, **STUDENT.line, label="mean of five keys, 95 %")
        now = axes.axvline(1000, color=INK, linewidth=1)
        axes.legend(loc="upper left")
        return SimpleNamespace(band=band, line=line, now=now)

    def update(artists: SimpleNamespace, power: float, writer: str, key: str) -> str:
        mean, half = summary(stored.marks(writer, KEYS[key]))
        artists.line.set_ydata(mean)
        artists.band.set_data(lengths, mean - half, mean + half)
        at = int(np.abs(np.log(lengths) - power * np.log(10)).argmin())
        artists.now.set_xdata([lengths[at]] * 2)
        found = "found" if mean[at] - half[at] > CERTAIN else "not found"
        return (
            f"{lengths[at]:,} letters written by the {writer}, read with {key}: z = {mean[at]:.1f} ± {half[at]:.1f}. "
            f"The mark is {found}."
        )

    return Explorer(
        name="a mark that stays",
        controls=[
            Slider("letters read, 10 to the", 1.5, 4.0, 0.1, start=3.0),
            Choice("written by", writers, start="student of 100%"),
            Choice("read with", list(KEYS), start="the right key"),
        ],
        create=create,
        update=update,
        presets={
            "the teacher": {"written by": "marked teacher"},
            "a wrong key": {"letters read, 10 to the": 4.0, "read with": "a wrong key"},
            "10% marked": {"letters read, 10 to the": 4.0, "written by": "student of 10%"},
        },
        size=(760, 340),
    )
