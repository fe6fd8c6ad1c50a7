"""The still pictures and tables of lesson 10b."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from kd_lab.lessons.l10b_what_is_passed_on import stored
from kd_lab.measure import mean_interval
from kd_lab.viz.plots import interval_curve
from kd_lab.viz.seeds import draw_seeds
from kd_lab.viz.style import BASELINE, DIVERGENCES, INK, STUDENT, TEACHER, course_style, new_figure


def families_figure(*policies: str) -> Figure:
    """Held-out bits of families of stored generations, and names that their first and last members write.

    Args:
        policies: the names of one or two of them.
    """
    looks = dict(zip(policies, (STUDENT, TEACHER), strict=False))
    figure = new_figure(760, 300)
    with course_style():
        left, right = figure.subplots(1, 2, width_ratios=(4, 6))
        for policy, look in looks.items():
            rows = stored.generations(policy, "bits")
            mean, half = np.array([mean_interval(column) for column in rows.T]).T
            interval_curve(left, np.arange(rows.shape[1]), mean, half, look, policy)
        left.set(xlabel="generation", ylim=(3.4, 5.8), title="bits per character of real names")
        left.legend(loc="upper left")
        right.set_axis_off()
        right.set(xlim=(0, 1 + len(policies)), ylim=(8.2, -1.6))
        last = rows.shape[1] - 1
        columns = [(policies[0], 0, "generation 0", INK)]
        columns += [(policy, last, f"{last}, {policy}", look.color) for policy, look in looks.items()]
        for column, (policy, generation, title, color) in enumerate(columns):
            letters = stored.generations(policy, "letters")[:, generation].mean()
            right.text(column + 0.05, -1.1, title, weight="bold", color=color, va="center")
            for row, name in enumerate(stored.samples(policy, generation)):
                right.text(column + 0.05, row, name, va="center")
            right.text(column + 0.05, 7.4, f"{letters:.0f} first letters", color=color, va="center")
    return figure


def silent_figure(results: Mapping[str, Sequence[float] | np.ndarray], teacher: float) -> Figure:
    """Held-out bits per letter gained by copying silent outputs: a dot per seed, and a line for the teacher's own gain.

    Args:
        results: by initial weights, one gain per seed.
        teacher: its gain over its own beginning.
    """
    looks = (STUDENT, BASELINE, DIVERGENCES["jsd"], DIVERGENCES["forward_kl"])[: len(results)]
    figure = new_figure(760, 130 + 42 * len(results))
    with course_style():
        axes = figure.subplots()
        draw_seeds(axes, results, looks)
        for value, label in ((0.0, "nothing"), (teacher, "the teacher")):
            axes.axvline(value, color=INK, linewidth=1.2, linestyle="--")
            axes.text(value, -0.62, label, ha="center", va="bottom", fontsize=9.5)
        axes.set(xlabel="held-out bits per letter gained")
    return figure


def crowd_figure(found: Sequence[float] | np.ndarray, crowds: Sequence[float] | np.ndarray, label: str) -> Figure:
    """z of a text under many wrong keys as a histogram, and under the right ones as lines.

    Args:
        found: z with the right key, one per seed.
        crowds: z with wrong keys, of all seeds.
        label: of the writer.
    """
    figure = new_figure(760, 250)
    with course_style():
        axes = figure.subplots()
        axes.hist(crowds, bins=60, label="wrong keys", **BASELINE.area)
        for i, value in enumerate(found):
            axes.axvline(value, color=STUDENT.color, linewidth=2, label="right keys" if i == 0 else None)
        axes.set(xlabel=f"z of the text of the {label}", ylabel="keys")
        axes.legend(loc="upper center")
    return figure


def plus_minus(values: Sequence[float] | np.ndarray, digits: int = 3) -> str:
    """Mean and half width of its 95 % interval, as a table holds them.

    >>> plus_minus([1.0, 2.0, 3.0], digits=1)
    '2.0 ± 2.5'
    """
    mean, half = mean_interval(np.asarray(values, dtype=float))
    return f"{mean:.{digits}f} ± {half:.{digits}f}"


def fidelity_table() -> str:
    """Markdown: the three students and the teacher, a row each."""
    heads = ("right letters", "agreement: training", "held-out", "random letters")
    lines = [
        "| student of | " + " | ".join(heads) + " | KL(p‖q): held-out | random letters | calibration error |",
        "|---|" + "---|" * (len(heads) + 3),
    ]
    cells = (
        ("held-out", "accuracy"),
        ("training", "agreement"),
        ("held-out", "agreement"),
        ("random letters", "agreement"),
        ("held-out", "kl"),
        ("random letters", "kl"),
        ("held-out", "calibration"),
    )
    for student in ("labels", "mimic", "distilled"):
        row = [plus_minus(stored.fidelity(student, *cell)) for cell in cells]
        lines.append(f"| {student} | " + " | ".join(row) + " |")
    return "\n".join(lines)


def collapse_table(policies: Sequence[str]) -> str:
    """Markdown: generation 0, and the last one under each policy, a row each."""
    lines = [
        "| the next generation reads | bits | distinct names | first letters | rare pairs, % |",
        "|---|---|---|---|---|",
    ]
    rows = [
        ("(generation 0: real names; it writes without the cut)", policies[0], 0),
        *((policy, policy, -1) for policy in policies),
    ]
    for title, policy, generation in rows:
        cells = [
            plus_minus(stored.generations(policy, key)[:, generation], digits)
            for key, digits in (("bits", 2), ("distinct", 2), ("letters", 1), ("rare", 2))
        ]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def strength_table() -> str:
    """Markdown: what a mark costs and how soon it is found, a row per strength δ."""
    rows = np.array([run["rows"] for run in stored.runs("strength")])  # [seed, δ, 3]
    lines = ["| δ | bits per character of real names | z of 1,000 letters |", "|---|---|---|"]
    for column in range(rows.shape[1]):
        strength = rows[0, column, 0]
        lines.append(f"| {strength:g} | {plus_minus(rows[:, column, 1], 2)} | {plus_minus(rows[:, column, 2], 1)} |")
    return "\n".join(lines)
