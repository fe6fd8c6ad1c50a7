"""The still pictures of lesson 04."""

from collections.abc import Mapping, Sequence
from typing import Any, no_type_check

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.figure import Figure

from kd_lab.lessons.l04_fused_softmax_kl.explorers import by_step, draw_lanes, move_lanes
from kd_lab.lessons.l04_fused_softmax_kl.lanes import Access, accesses
from kd_lab.lessons.l04_fused_softmax_kl.triton_or_numpy import load_block, tl, triton
from kd_lab.viz.style import BASELINE, DIVERGENCES, INK, course_style, new_figure

ROWS, VOCABULARY, BLOCK = 2, 10, 4  # of the kernels whose lanes are drawn


def watch(kernels: Mapping[str, Any]) -> dict[str, list[Access]]:
    """The accesses of kernels to tensors of [ROWS, VOCABULARY] elements.

    Args:
        kernels: label → kernel, each label beginning with the number of its exercise: "04.1", "04.3" or "04.4".
    """
    student, teacher, out = torch.randn(3, ROWS, VOCABULARY, generator=torch.Generator().manual_seed(0))
    student, teacher, out = student.contiguous(), teacher.contiguous(), out.contiguous()
    numbers = torch.zeros(3, ROWS)
    calls = {
        "04.1": ((student, out, VOCABULARY), {"logits": student, "probabilities": out}),
        "04.3": ((student, teacher, *numbers, VOCABULARY, 1.0), {"student": student, "teacher": teacher}),
        "04.4": (
            (student, teacher, *numbers, out, VOCABULARY, 1.0),
            {"student": student, "teacher": teacher, "gradient": out},
        ),
    }
    found = {}
    for label, kernel in kernels.items():
        arguments, tensors = calls[label[:4]]
        found[label] = accesses(lambda k=kernel, a=arguments: k[(ROWS,)](*a, BLOCK=BLOCK), tensors)
    return found


@triton.jit
@no_type_check
def three_sweeps(logits, copy, vocabulary, BLOCK: tl.constexpr):
    """Read row n of logits [N, V] three times and write it once: a softmax without its arithmetic."""
    row = tl.program_id(0) * vocabulary
    for sweep in range(3):
        for start in range(0, vocabulary, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            x = load_block(logits + row, start, vocabulary, BLOCK)
            if sweep == 2:
                tl.store(copy + row + columns, x, mask=columns < vocabulary)


def hook_figure() -> Figure:
    """Every access of the softmax in three passes."""
    label = "04.1"
    steps = by_step(watch({label: three_sweeps})[label])
    figure = new_figure(760, 340)
    with course_style():
        artists = draw_lanes(figure.subplots(), ROWS, VOCABULARY, BLOCK, len(steps))
        move_lanes(artists, steps)
        artists.touched["student"].axes.get_legend().remove()
        artists.now.set_visible(False)
        axes = artists.touched["student"].axes
        axes.set_title("squares: loads · triangles: stores · hollow: masked lanes")
    return figure


def near_zero_figure(levels: Sequence[float], errors: Mapping[str, Float[np.ndarray, " K"]]) -> Figure:
    """The largest relative error of each way to compute a KL, against the KL itself, which falls to the right."""
    figure = new_figure(760, 320)
    looks = (BASELINE, DIVERGENCES["forward_kl"], DIVERGENCES["jsd"])
    with course_style():
        axes = figure.subplots()
        for (way, values), look in zip(errors.items(), looks, strict=True):
            axes.plot(levels, values, **look.points, label=way)
        axes.axhline(1, color=INK, linewidth=0.8)
        axes.set(xscale="log", yscale="log", xlabel="KL (nats)", ylabel="largest relative error", ylim=(1e-8, 1e3))
        axes.invert_xaxis()
        axes.legend(loc="upper left", ncols=3)
    return figure
