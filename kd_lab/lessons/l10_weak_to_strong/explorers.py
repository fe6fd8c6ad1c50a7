"""The explorers of lesson 10: what a strong model knows, teachers of all sizes, and rounds of self-distillation."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.container import ErrorbarContainer

from kd_lab.lessons.l10_weak_to_strong.results import Results
from kd_lab.lessons.l10_weak_to_strong.smoothing import Curve
from kd_lab.lessons.l10_weak_to_strong.spelling import WEAK
from kd_lab.lessons.l10_weak_to_strong.teachers import weights_of
from kd_lab.measure import mean_interval
from kd_lab.measure.quality import performance_gap_recovered
from kd_lab.viz import Choice, Explorer, Slider
from kd_lab.viz.style import BASELINE, DIVERGENCES, INK, STUDENT, TEACHER

KNOWN = {"nothing": "0", "for 120 steps": "120", "everything": "all"}
ARMS = {
    "weak": BASELINE,
    "student": STUDENT,
    "confident": DIVERGENCES["jsd"],
    "ceiling": TEACHER,
}
SAID = {
    "weak": "the weak teacher",
    "student": "student, α = 0",
    "confident": "student, α = 0.75",
    "ceiling": "ceiling: true labels",
}


def _move(marks: ErrorbarContainer, values: Sequence[Float[np.ndarray, " R"]]) -> Float[np.ndarray, " N"]:
    """Move markers to the means of these runs and their bars to the intervals; return the means."""
    line, caps, (bars,) = marks
    mean, half = np.array([mean_interval(one) for one in values]).T
    line.set_ydata(mean)
    bars.set_segments([[(p, m - h), (p, m + h)] for p, m, h in zip(line.get_xdata(), mean, half, strict=True)])
    for cap, sign in zip(caps, (-1, 1), strict=True):
        cap.set_ydata(mean + sign * half)
    return mean


def knowledge_explorer(stored: Results) -> Explorer:
    """Accuracy of teacher, students and ceiling over what the strong model has read, for each teacher and head."""
    x = np.arange(len(KNOWN))

    def create(figure) -> dict[str, Any]:
        axes = figure.subplots()
        axes.set(xlim=(-0.3, len(KNOWN) - 0.7), ylim=(0.45, 0.9), ylabel="share of right answers")
        axes.set_xticks(x, [f"has read {what}" for what in KNOWN])
        marks = {
            arm: axes.errorbar(x + 0.02 * i, 0.6 + 0 * x, 0.01 + 0 * x, capsize=3, label=SAID[arm], **look.points)
            for i, (arm, look) in enumerate(ARMS.items())
        }
        here = axes.plot([0], [0.463], "^", color=INK, markersize=9)[0]
        axes.legend(loc="upper left", ncols=2)
        return {"marks": marks, "here": here}

    def update(artists: dict[str, Any], known: str, teacher: str, head: str) -> str:
        rows = {arm: [stored.accuracies(KNOWN[one], teacher, head, arm) for one in KNOWN] for arm in ARMS}
        means = {arm: _move(artists["marks"][arm], values) for arm, values in rows.items()}
        place = list(KNOWN).index(known)
        artists["here"].set_xdata([place])
        weak, student, ceiling = (float(means[arm][place]) for arm in ("weak", "student", "ceiling"))
        what = f"A strong model that has read {known}, with a {head} head, is right in {student:.1%} of the texts"
        if ceiling <= weak:
            return f"{what}; true labels would give {ceiling:.1%}, no more than its teacher's {weak:.1%}: no gap."
        recovered = performance_gap_recovered(weak, student, ceiling)
        return f"{what}, between its teacher's {weak:.1%} and {ceiling:.1%} with true labels: PGR {recovered:.2f}."

    return Explorer(
        name="what the strong model knows",
        controls=[
            Choice("it has read", list(KNOWN), start="everything"),
            Choice("teacher", list(WEAK), start="weak"),
            Choice("head", ["narrow", "wide"], start="narrow"),
        ],
        create=create,
        update=update,
        presets={
            "wide head": {"head": "wide"},
            "half-read": {"it has read": "for 120 steps"},
            "knows nothing": {"it has read": "nothing"},
            "nearly a coin": {"teacher": "nearly a coin"},
        },
        size=(760, 380),
    )


SIZES = ("1K", "8K", "105K", "0.8M")


def capacity_explorer(stored: Results) -> Explorer:
    """Bits of a student of 8K weights over the size of its teacher, for two lengths of training."""
    x = np.array([weights_of(size) for size in SIZES], dtype=float)

    def create(figure) -> dict[str, Any]:
        axes = figure.subplots()
        axes.set(xscale="log", xlim=(800, 1.3e6), ylim=(2.9, 3.7), ylabel="held-out bits per character")
        axes.set_xlabel("weights of the teacher")
        own = [stored.capacity(size, 200, "teacher").mean() for size in SIZES]
        axes.plot(x, own, **TEACHER.points, label="teacher")
        student = axes.errorbar(x, 0 * x + 3.5, 0.01 + 0 * x, capsize=3, label="its student", **STUDENT.points)
        labels = axes.plot([800, 1.3e6], [3.5, 3.5], **BASELINE.line, label="student of labels")[0]
        here = axes.plot([x[0]], [2.925], "^", color=INK, markersize=9)[0]
        axes.legend(loc="lower left", bbox_to_anchor=(0, 0.08))
        return {"student": student, "labels": labels, "here": here}

    def update(artists: dict[str, Any], size: str, steps: str) -> str:
        number = int(steps)
        mean = _move(artists["student"], [stored.capacity(one, number) for one in SIZES])
        labels, place = stored.capacity("labels", number).mean(), SIZES.index(size)
        artists["labels"].set_ydata([labels, labels])
        artists["here"].set_xdata([x[place]])
        return (
            f"After {steps} steps the student of the teacher with {size} weights needs {mean[place]:.3f} bits per "
            f"character, {abs(labels - mean[place]):.3f} {'less' if mean[place] < labels else 'more'} than with "
            f"labels; the best teacher here has {SIZES[int(mean.argmin())]} weights."
        )

    return Explorer(
        name="teachers of all sizes",
        controls=[Choice("teacher", list(SIZES), start="1K"), Choice("steps", ["200", "600"], start="200")],
        create=create,
        update=update,
        presets={
            "largest": {"teacher": "0.8M"},
            "longer": {"teacher": "1K", "steps": "600"},
            "largest, longer": {"teacher": "0.8M", "steps": "600"},
        },
        size=(760, 340),
    )


def rounds_explorer(curve: Curve, seed: int = 0) -> Explorer:
    """Self-distillation of a smoother: how often and how strongly it is fitted, its answers, and its expected error."""
    readings, every = curve.read(seed), np.arange(1, 21)
    strengths = np.logspace(-3, 1, 81)
    best = min(curve.expected_error(strength) for strength in strengths)

    def create(figure) -> dict[str, Any]:
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        left.plot(curve.x, curve.truth, **BASELINE.line, label="truth")
        left.plot(curve.x, readings, "o", color="#9a9a9a", markersize=4, label="readings")
        teacher = left.plot(curve.x, readings, **TEACHER.line, label="first fit")[0]
        student = left.plot(curve.x, readings, **STUDENT.line, label="last fit")[0]
        left.set(xlim=(0, 1), ylim=(-2.1, 2.6), xlabel="place")
        left.legend(loc="upper right", ncols=2)
        errors = right.plot(every, 0 * every, **STUDENT.points | {"markersize": 4})[0]
        here = right.plot([1], [0], "o", color=STUDENT.color, markersize=10)[0]
        right.axhline(best, **TEACHER.line, label="best single fit")
        right.set(xlim=(0, 21), ylim=(0, 0.3), xlabel="fits in a row", title="expected squared error")
        right.legend(loc="upper right")
        return {"teacher": teacher, "student": student, "errors": errors, "here": here}

    def update(artists: dict[str, Any], fits: int, exponent: float) -> str:
        strength = 10**exponent
        artists["teacher"].set_ydata(curve.fit(readings, strength))
        artists["student"].set_ydata(curve.fit(readings, strength, fits))
        errors = np.array([curve.expected_error(strength, int(one)) for one in every])
        artists["errors"].set_ydata(np.minimum(errors, 0.4))
        artists["here"].set_data([fits], [min(errors[fits - 1], 0.4)])
        return (
            f"At λ = {strength:.3g} the first fit has an expected error of {errors[0]:.3f}, fit {fits} one of "
            f"{errors[fits - 1]:.3f}; the best single fit at any λ has {best:.3f}."
        )

    return Explorer(
        name="rounds of self-distillation",
        controls=[Slider("fits", 1, 20, 1, start=1), Slider("log₁₀ λ", -2.5, 0.5, 0.25, start=-1.5)],
        create=create,
        update=update,
        presets={
            "five fits": {"fits": 5},
            "twenty fits": {"fits": 20},
            "smooth enough already": {"fits": 5, "log₁₀ λ": 0.0},
        },
        size=(760, 340),
    )
