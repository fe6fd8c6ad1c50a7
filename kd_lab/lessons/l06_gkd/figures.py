"""The still pictures and tables of lesson 06."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from kd_lab.lessons.l06_gkd.experiment import arena
from kd_lab.lessons.l06_gkd.explorers import KINDS, heat_map, move_heat
from kd_lab.lessons.l06_gkd.results import Grid
from kd_lab.models import target_logp
from kd_lab.viz.style import DIVERGENCES, course_style, new_figure
from kd_lab.worlds import Batch


def two_judges(grid: Grid, world: str = "surnames") -> Figure:
    """The same students under two judges, as two heat maps."""
    figure = new_figure(780, 320)
    with course_style():
        for axes, (measure, kind) in zip(figure.subplots(1, 2, sharey=True), KINDS.items(), strict=True):
            move_heat(heat_map(axes, grid.divergences, grid.fractions), grid.final(world, measure).mean(-1))
            axes.set_title(f"judged by {kind}, nats per text")
    return figure


def worst_cases(grid: Grid, worst: Mapping[str, Float[np.ndarray, "D F S"]]) -> Figure:
    """The worst case of each cell, taken within each seed and averaged: one heat map per world and one for all."""
    figure = new_figure(780, 290)
    with course_style():
        for axes, (world, values) in zip(figure.subplots(1, len(worst), sharey=True), worst.items(), strict=True):
            move_heat(heat_map(axes, grid.divergences, grid.fractions), values.mean(-1))
            axes.set(title=f"{world}: worst case", xlabel="λ")
    return figure


def budget_table(grid: Grid) -> str:
    """The budget of each world, in markdown: a row per world."""
    head = ("world", "texts", "layers, heads, width", "steps on labels, then in the cell", "texts per step")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for world, budget in grid.about["worlds"].items():
        shape = ", ".join(map(str, budget["student"]))
        steps = f"{budget['label_steps']}, {budget['steps']}"
        lines.append(f"| {world} | {budget['texts']} | {shape} | {steps} | {budget['batch_size']} |")
    about = grid.about
    made = f"\n`{about['command']}`, {about['date']}, torch {about['torch']}, seeds 0 to {max(grid.seeds)}."
    return "\n".join(lines) + "\n" + made


def best_cells(grid: Grid) -> str:
    """The best cell of each world before each judge, as one sentence without its period."""
    found = []
    for world in grid.worlds:
        for measure, kind in KINDS.items():
            means = grid.final(world, measure).mean(-1)
            row, column = np.unravel_index(means.argmin(), means.shape)
            name = DIVERGENCES[grid.divergences[row]].label
            found.append(f"{world}, {kind}: {name}, λ = {grid.fractions[column]:g}")
    return "; ".join(found)


def coverage(world: str) -> tuple[int, int, float]:
    """The fixed texts of an arena, how many of them differ, and the share of the teacher's writing that they hold."""
    place = arena(world)
    different = Batch.from_tokens(place.world.train.tokens.unique(dim=0), end=place.world.vocabulary.end)
    held = (target_logp(place.teacher, different) * different.mask).sum(1).exp().sum().item()
    return len(place.world.train), len(different), held
