"""The still pictures of lesson 04b."""

import numpy as np
from matplotlib.figure import Figure

from kd_lab.lessons.l04b_bytes_and_instructions.ledger import Ledger, Step
from kd_lab.lessons.l04b_bytes_and_instructions.plain import ELEMENTS
from kd_lab.viz.style import BASELINE, DIVERGENCES, course_style, new_figure


def large_steps(ledger: Ledger) -> list[Step]:
    """The operations over all logits; the others touch a number per row."""
    return [step for step in ledger.steps if step.read + step.written > ELEMENTS]


def staircase_figure(ledger: Ledger) -> Figure:
    """The bytes that operations move per logit, one after another, over the 6 that are needed."""
    steps, look = large_steps(ledger), DIVERGENCES["forward_kl"]
    moved = np.cumsum([0] + [step.read + step.written for step in steps]) / ELEMENTS
    figure = new_figure(760, 360)
    with course_style():
        axes = figure.subplots()
        axes.stairs(moved[1:], range(len(moved)), fill=True, color=look.color, alpha=0.25)
        axes.stairs(moved[1:], range(len(moved)), baseline=None, color=look.color, linewidth=2)
        axes.axhline(6, **BASELINE.line)
        axes.text(len(steps) - 0.1, 9, "needed: 6", ha="right", color=BASELINE.color)
        axes.text(len(steps) - 0.1, moved[-1] + 3, f"{moved[-1]:.0f}", ha="right", weight="bold")
        axes.set_xticks(
            np.arange(len(steps)) + 0.5, map(name_of, steps), rotation=40, ha="right", rotation_mode="anchor"
        )
        axes.tick_params(axis="x", length=0)
        axes.set(ylabel="bytes moved per logit, so far", xlim=(0, len(steps)), ylim=(0, 138))
    return figure


def name_of(step: Step) -> str:
    """An operation's name for a reader.

    >>> name_of(Step("_log_softmax_backward_data", 0, 0, 0)), name_of(Step("_to_copy", 0, 0, 0))
    ('log softmax backward', 'convert')
    """
    return step.name.replace("_to_copy", "convert").strip("_").replace("_", " ").replace(" data", "")
