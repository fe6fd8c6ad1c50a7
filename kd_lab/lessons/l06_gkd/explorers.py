"""The two dials of generalised distillation: a grid of stored runs to walk through, and what a β does to the pull."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.patches import Rectangle
from torch import Tensor

from kd_lab.how import forward_kl, jsd, reverse_kl
from kd_lab.lessons.l06_gkd.configurations import PROJECTS, places, read_configuration
from kd_lab.measure.interval import mean_interval
from kd_lab.viz.explorer import Choice, Explorer, Slider, Text
from kd_lab.viz.plots import letter_bars, set_bars
from kd_lab.viz.style import BASELINE, DIVERGENCES, INK

KINDS = {"forward_kl": "KL(P‖Q)", "reverse_kl": "KL(Q‖P)"}
"""The measure that a cell of the grid is judged by, and how it is written."""

WORST = 2.0  # times the best cell: from here on all cells are equally dark
COLORS = "cividis_r"  # bright is good


@runtime_checkable
class StoredGrid(Protocol):
    """The members of a grid: its axes, and the measures of each cell."""

    @property
    def worlds(self) -> tuple[str, ...]: ...

    @property
    def divergences(self) -> tuple[str, ...]: ...

    @property
    def fractions(self) -> tuple[float, ...]: ...

    def points(self, world: str) -> list[int]: ...

    def final(self, world: str, measure: str) -> Float[np.ndarray, "D F S"]: ...

    def curves(self, world: str, divergence: str, fraction: float, measure: str) -> Float[np.ndarray, "S P"]: ...

    def samples(self, world: str, divergence: str, fraction: float) -> list[str]: ...


# ---- the heat map ----------------------------------------------------------------------------------------------------


def heat_map(axes: Axes, divergences: Sequence[str], fractions: Sequence[float]) -> SimpleNamespace:
    """An empty map with a row per divergence and a column per share λ, each cell with room for its number.

    Args:
        axes: gets its ticks and labels.
        divergences: names of `DIVERGENCES`, from top to bottom.
        fractions: λ, from left to right.

    Returns:
        The artists that `move_heat` moves.
    """
    shape = (len(divergences), len(fractions))
    image = axes.imshow(np.ones(shape), cmap=COLORS, norm=Normalize(1, WORST), aspect="auto")
    axes.set_xticks(range(shape[1]), [f"{fraction:g}" for fraction in fractions])
    axes.set_yticks(range(shape[0]), [DIVERGENCES[name].label for name in divergences])
    axes.tick_params(length=0)
    axes.set(xlabel="λ, share of the student's own texts")
    for side in axes.spines.values():
        side.set_visible(False)
    place = {"ha": "center", "va": "center", "fontsize": 9.5}
    texts = [[axes.text(j, i, "", **place) for j in range(shape[1])] for i in range(shape[0])]
    return SimpleNamespace(image=image, texts=texts)


def move_heat(artists: SimpleNamespace, values: Float[np.ndarray, "D F"]) -> None:
    """Colour a map by how many times as far as the best cell each cell is, and write its value into it."""
    ratio = values / values.min()
    artists.image.set_data(ratio)
    for row, numbers, ratios in zip(artists.texts, values, ratio, strict=True):
        for text, value, times in zip(row, numbers, ratios, strict=True):
            text.set_text(f"{value:.2f}")
            text.set_color("white" if times > (1 + WORST) / 2 else INK)


def _ends_of_the_grid(grid: StoredGrid) -> dict[str, dict[str, Any]]:
    """Presets: off-policy forward KL and on-policy reverse KL in each world, each judged by the other's KL."""
    ends = (("word level", 0.0, "forward_kl", "reverse_kl"), ("on-policy reverse KL", 1.0, "reverse_kl", "forward_kl"))
    return {
        f"{title} on {world}": {
            "λ": fraction,
            "divergence": DIVERGENCES[divergence].label,
            "judged": f"{world}, {KINDS[judge]}",
        }
        for title, fraction, divergence, judge in ends
        for world in grid.worlds
    }


def grid_explorer(grid: StoredGrid, name: str = "grid") -> Explorer:
    """An explorer that walks through stored runs: the whole map, and one cell's learning curve and texts.

    Left: what each cell ended with, judged by one of the two sequence-level KLs in one of the worlds; the chosen cell
    has a frame. Right: how it came there, with a 95 % interval over its seeds, beside word-level distillation.

    Args:
        grid: stored runs; `kd_lab.lessons.l06_gkd.results.load_grid` reads those of the course.
        name: of the explorer.
    """
    judges = {f"{world}, {kind}": (world, measure) for world in grid.worlds for measure, kind in KINDS.items()}
    labels = {DIVERGENCES[divergence].label: divergence for divergence in grid.divergences}
    means = {judge: grid.final(*key).mean(-1) for judge, key in judges.items()}

    def create(figure: Any) -> dict[str, Any]:
        panels = figure.subplot_mosaic(
            [["map", "curve"], ["words", "words"]], width_ratios=(5, 4), height_ratios=(10, 1)
        )
        left, right, words = panels["map"], panels["curve"], panels["words"]
        words.set_axis_off()
        heat = heat_map(left, grid.divergences, grid.fractions)
        left.set_title("nats per text at the end; bright is best")
        frame = left.add_patch(Rectangle((-0.5, -0.5), 1, 1, fill=False, edgecolor="#D55E00", linewidth=3))
        share = np.linspace(0, 100, len(grid.points(grid.worlds[0])))
        right.set(xlim=(-3, 103), yscale="log", ylim=(0.2, 16), xlabel="% of the training", title="nats per text")
        right.set_yticks([0.25, 0.5, 1, 2, 4, 8], ["0.25", "0.5", "1", "2", "4", "8"])
        right.minorticks_off()
        ones = np.ones_like(share)
        (baseline,) = right.plot(share, ones, **BASELINE.line, label="word level: forward KL, λ = 0")
        band = right.fill_between(share, ones, ones, facecolor="#D55E00", alpha=0.25, linewidth=0)
        (curve,) = right.plot(share, ones, color="#D55E00", marker="s", markersize=5, label="this cell")
        right.legend(loc="upper right")
        texts = words.text(0, 0.3, "", va="center", fontsize=10, color=INK)
        moving = {"heat": heat, "frame": frame, "baseline": baseline, "band": band, "curve": curve, "texts": texts}
        return moving | {"share": share}

    def update(artists: dict[str, Any], fraction: float, label: str, judge: str) -> str:
        divergence, (world, measure) = labels[label], judges[judge]
        row, column = grid.divergences.index(divergence), grid.fractions.index(fraction)
        values = means[judge]
        move_heat(artists["heat"], values)
        artists["frame"].set_xy((column - 0.5, row - 0.5))
        runs = grid.curves(world, divergence, fraction, measure)
        mean, half = np.transpose([mean_interval(point) for point in runs.T])
        artists["curve"].set_ydata(mean)
        artists["band"].set_data(artists["share"], np.maximum(mean - half, 0.01), mean + half)
        artists["baseline"].set_ydata(grid.curves(world, "forward_kl", 0.0, measure).mean(0))
        written = grid.samples(world, divergence, fraction)
        artists["texts"].set_text("It writes:  " + "   ".join(text or "(nothing)" for text in written))
        best = np.unravel_index(values.argmin(), values.shape)
        best_name = f"{DIVERGENCES[grid.divergences[best[0]]].label}, λ = {grid.fractions[best[1]]:g}"
        where = "the best cell" if best == (row, column) else f"{values[row, column] / values.min():.2f} × the best"
        tail = "" if best == (row, column) else f" ({best_name})"
        return (
            f"{label} with λ = {fraction:g} on {world} ends at {KINDS[measure]} = {mean[-1]:.2f} ± {half[-1]:.2f} nats "
            f"per text, {where}{tail}."
        )

    step = grid.fractions[1] - grid.fractions[0]
    return Explorer(
        name=name,
        controls=[
            Slider("λ", grid.fractions[0], grid.fractions[-1], step, start=0.5),
            Choice("divergence", list(labels), start=DIVERGENCES["jsd"].label),
            Choice("judged", list(judges), start=next(iter(judges))),
        ],
        create=create,
        update=update,
        presets=_ends_of_the_grid(grid),
        size=(780, 400),
    )


# ---- one number, three meanings --------------------------------------------------------------------------------------

READINGS = ("β: GKD, TRL, DistiLLM-2", "λ: DistiLLM's jsd", "β, outer weights swapped")
"""The meanings that a number beside "JSD" may have."""


def read_as(
    reading: str, number: float, student_logp: Float[Tensor, "... V"], teacher_logp: Float[Tensor, "... V"]
) -> Float[Tensor, "..."]:
    """The divergence that a number means in one of the READINGS, for 0 < number < 1.

    The third belongs to no paper: it is what a reader builds who takes β for a dial from forward to reverse KL and
    makes the ends meet them, (1−β)·KL(p‖m) + β·KL(q‖m).

    Raises:
        ValueError: there is no such reading.
    """
    if reading not in READINGS:
        raise ValueError(f"reading is {reading!r}; expected one of {READINGS}")
    if reading == READINGS[0]:
        return jsd(student_logp, teacher_logp, number)
    if reading == READINGS[1]:
        return jsd(student_logp, teacher_logp, 1 - number)
    mixture_logp = (number * teacher_logp.exp() + (1 - number) * student_logp.exp()).log()
    return (1 - number) * forward_kl(mixture_logp, teacher_logp) + number * forward_kl(mixture_logp, student_logp)


def pull(divergence: Any, student_logits: Float[Tensor, " V"], teacher_logp: Float[Tensor, " V"]) -> np.ndarray:
    """−∇ of a divergence by the student's logits: where it pushes each of them."""
    z = student_logits.detach().clone().requires_grad_()
    return -torch.autograd.grad(divergence(z.log_softmax(-1), teacher_logp), z)[0].numpy()


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


LOOKS = (
    {"color": "#E69F00", "linestyle": "-"},
    {"color": "#0072B2", "linestyle": (0, (5, 2))},
    {"color": "#6b6b6b", "linestyle": (0, (1, 1.5))},
)
"""One per reading."""


def beta_explorer(
    student_logits: Float[Tensor, " V"],
    teacher_logits: Float[Tensor, " V"],
    symbols: Sequence[str],
    name: str = "beta",
) -> Explorer:
    """An explorer of what one number does in three readings: how hard the loss pulls, and which way.

    Left: the length of the gradient against the number, as a share of forward KL's, for all three; both axes give room
    to their ends, and thin lines mark the two KLs. Right: the pull on
    each token's logit, scaled to one length, beside those of forward and reverse KL.

    Args:
        student_logits, teacher_logits: of one position, over V tokens.
        symbols: the tokens.
        name: of the explorer.
    """
    student_logits, teacher_logp = student_logits.double(), teacher_logits.double().log_softmax(-1)
    ends = {kind: pull(loss, student_logits, teacher_logp) for kind, loss in
            (("forward_kl", forward_kl), ("reverse_kl", reverse_kl))}  # fmt: skip
    unit = float(np.linalg.norm(ends["forward_kl"]))
    numbers = 1 / (1 + np.exp(-np.linspace(-5, 5, 101)))  # evenly spaced on the axis below

    def pulled(reading: str, number: float) -> np.ndarray:
        return pull(lambda q, p: read_as(reading, number, q, p), student_logits, teacher_logp)

    sizes = {reading: [np.linalg.norm(pulled(reading, x)) / unit for x in numbers] for reading in READINGS}
    highest = max(max(map(max, sizes.values())), np.linalg.norm(ends["reverse_kl"]) / unit)

    def create(figure: Any) -> dict[str, Any]:
        left, right = figure.subplots(1, 2, width_ratios=(4, 5))
        for (reading, values), look in zip(sizes.items(), LOOKS, strict=True):
            left.plot(numbers, values, linewidth=2, label=reading, **look)
        for kind in ("forward_kl", "reverse_kl"):
            height = np.linalg.norm(ends[kind]) / unit
            left.axhline(height, **(DIVERGENCES[kind].line | {"linewidth": 1}))
        (marker,) = left.plot([0.5], [0.5], marker="o", markersize=11, markerfacecolor="none",
                              markeredgecolor="#D55E00", markeredgewidth=2.5, clip_on=False)  # fmt: skip
        left.set(xscale="logit", xlim=(0.007, 0.993), yscale="log", ylim=(0.002, 15 * highest), xlabel="the number",
                 title="length of the gradient ÷ forward KL's")  # fmt: skip
        left.set_xticks([0.01, 0.1, 0.5, 0.9, 0.99], ["0.01", "0.1", "0.5", "0.9", "0.99"])
        left.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
        left.minorticks_off()
        left.legend(loc="upper center", fontsize=8.5)
        shown = (DIVERGENCES["forward_kl"], DIVERGENCES["jsd"], DIVERGENCES["reverse_kl"])
        forward, here, reverse = letter_bars(right, symbols, shown)
        here.set_label("this loss")
        right.legend(loc="upper right")
        right.axhline(0, color=INK, linewidth=0.8)
        right.set(ylim=(-1, 1.25), ylabel="pull on the logit, as a direction", title="which way it pulls")
        set_bars(forward, ends["forward_kl"] / unit)
        set_bars(reverse, ends["reverse_kl"] / np.linalg.norm(ends["reverse_kl"]))
        return {"marker": marker, "here": here}

    def update(artists: dict[str, Any], number: float, reading: str) -> str:
        force = pulled(reading, number)
        size = float(np.linalg.norm(force))
        artists["marker"].set_data([number], [size / unit])
        set_bars(artists["here"], force / size)
        return (
            f"{number:g} read as {reading}: the gradient is {size / unit:.2g} times as long as forward KL's; its "
            f"cosine with forward KL's is {cosine(force, ends['forward_kl']):.2f}, with reverse KL's "
            f"{cosine(force, ends['reverse_kl']):.2f}."
        )

    return Explorer(
        name=name,
        controls=[
            Slider("the number", 0.01, 0.99, 0.01, start=0.9),
            Choice("read as", list(READINGS), start=READINGS[0]),
        ],
        create=create,
        update=update,
        presets={
            "0.9 in DistiLLM": {"the number": 0.9, "read as": READINGS[1]},
            "0.1 in TRL": {"the number": 0.1},
            "0.99 in TRL": {"the number": 0.99},
        },
        size=(780, 330),
    )


# ---- somebody else's settings ----------------------------------------------------------------------------------------


def configuration_explorer(grid: StoredGrid, world: str = "surnames", name: str = "configuration") -> Explorer:
    """An explorer that reads the settings of a public trainer and frames the stored runs that stand nearest.

    Args:
        grid: stored runs.
        world: the one whose runs are shown, under both judges.
        name: of the explorer.
    """
    means = {kind: grid.final(world, measure).mean(-1) for measure, kind in KINDS.items()}

    def create(figure: Any) -> dict[str, Any]:
        artists: dict[str, Any] = {"frames": []}
        for axes, (kind, values) in zip(figure.subplots(1, 2, sharey=True), means.items(), strict=True):
            move_heat(heat_map(axes, grid.divergences, grid.fractions), values)
            axes.set_title(f"{kind}, nats per text")
            frame = {"fill": False, "edgecolor": "#D55E00", "linewidth": 3, "visible": False}
            artists["frames"].append([axes.add_patch(Rectangle((-0.5, -0.5), 1, 1, **frame)) for _ in range(2)])
        return artists

    def update(artists: dict[str, Any], project: str, settings: str) -> str:
        recipe, others = read_configuration(project, settings or PROJECTS[project][1])
        cells = places(recipe, grid.divergences, grid.fractions)
        for frames in artists["frames"]:
            for number, frame in enumerate(frames):
                frame.set_visible(number < len(cells))
                if number < len(cells):
                    frame.set_xy((cells[number][1] - 0.5, cells[number][0] - 0.5))
        said = f"{recipe}. The nearest stored runs are framed: " + " and ".join(
            f"{DIVERGENCES[grid.divergences[row]].label} with λ = {grid.fractions[column]:g}" for row, column in cells
        )
        ignored = f" Neither dial: {', '.join(others)}." if others else ""
        return f"{said}.{ignored}"

    return Explorer(
        name=name,
        controls=[Choice("project", list(PROJECTS), start=next(iter(PROJECTS))), Text("settings", start="")],
        create=create,
        update=update,
        presets={project: {"project": project, "settings": example} for project, (_, example) in PROJECTS.items()},
        size=(780, 330),
    )


# ---- find the fault --------------------------------------------------------------------------------------------------


def fault_explorer(runs: Mapping[str, Sequence[Mapping[str, Any]]], name: str = "faults") -> Explorer:
    """An explorer of stored trainings, one of them healthy: the loss that each shows, its judges, and its writing.

    Args:
        runs: title → a run per seed, as `kd_lab.lessons.l06_gkd.faults.train` gives them; the first is the healthy one.
        name: of the explorer.
    """
    healthy = next(iter(runs))
    measures = {
        "shown": "the loss that the loop shows",
        **{key: f"{kind}, nats per name" for key, kind in KINDS.items()},
    }

    def mean(title: str, key: str) -> np.ndarray:
        return np.mean([run[key] for run in runs[title]], axis=0)

    def create(figure: Any) -> dict[str, Any]:
        panels = figure.subplot_mosaic([[*measures], ["words"] * 3], height_ratios=(8, 1))
        panels["words"].set_axis_off()
        artists: dict[str, Any] = {"words": panels["words"].text(0, 0.2, "", va="center", fontsize=10, color=INK)}
        for key, title in measures.items():
            steps = runs[healthy][0]["steps"]
            panels[key].plot(steps, mean(healthy, key), **BASELINE.line, label=healthy)
            (artists[key],) = panels[key].plot(
                steps, mean(healthy, key), color="#D55E00", marker="s", markersize=5, label="this run"
            )
            panels[key].set(yscale="log", xlabel="step", ylim=(0.05, 12) if key == "shown" else (1, 40))
            panels[key].set_title(title, fontsize=10)
            ticks = [0.1, 0.3, 1, 3, 10] if key == "shown" else [1, 3, 10, 30]
            panels[key].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
            panels[key].minorticks_off()
        panels["shown"].legend(loc="upper right")
        return artists

    def update(artists: dict[str, Any], title: str) -> str:
        for key in measures:
            artists[key].set_ydata(mean(title, key))
        artists["words"].set_text("It writes:  " + "   ".join(runs[title][0]["samples"][:5]))
        lengths = {one: np.mean([run["length"] for run in runs[one]]) for one in (title, healthy)}
        return (
            f"{title} ends with a loss of {mean(title, 'shown')[-1]:.2f}; the judges give it "
            f"{mean(title, 'forward_kl')[-1]:.2f} and {mean(title, 'reverse_kl')[-1]:.2f} nats per name (healthy: "
            f"{mean(healthy, 'shown')[-1]:.2f}, {mean(healthy, 'forward_kl')[-1]:.2f} and "
            f"{mean(healthy, 'reverse_kl')[-1]:.2f}). Its names have {lengths[title]:.1f} letters on average (healthy: "
            f"{lengths[healthy]:.1f})."
        )

    return Explorer(
        name=name,
        controls=[Choice("run", list(runs), start=list(runs)[1])],
        create=create,
        update=update,
        size=(780, 330),
    )
