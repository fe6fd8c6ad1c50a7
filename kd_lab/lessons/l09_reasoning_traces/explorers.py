"""The explorers of lesson 09: one problem's trace under every way of teaching, and pass@k."""

from types import SimpleNamespace

import numpy as np
from matplotlib.patches import Rectangle

from kd_lab.lessons.l09_reasoning_traces.figures import LOOKS, WAYS
from kd_lab.lessons.l09_reasoning_traces.results import Runs
from kd_lab.measure import mean_interval
from kd_lab.viz import Choice, Explorer, Slider
from kd_lab.viz.style import INK, TEACHER
from kd_lab.worlds import verify
from kd_lab.worlds.moves import EQUALS, FACTORS, solve, verified_steps

RIGHT, WRONG, NONE = "#cfe3f2", "#f6c9a8", "#ffffff"
STEPS = 5
SHORT = {"base": "base", "answers": "answers", "rl": "GRPO", "opd": "on-policy dist.", "traces": "traces"}


def trace_explorer(runs: Runs) -> Explorer:
    """One problem, a row per way of teaching and a column per move, each digit under the verifier's eyes."""
    points = len(runs.compute) - 1

    def create(figure):
        axes = figure.subplots()
        rows = len(WAYS)
        axes.set(xlim=(-0.1, STEPS + 1.3), ylim=(rows + 0.05, -1.15), xticks=[])
        axes.set_yticks(np.arange(rows) + 0.5, [SHORT[way] for way in WAYS])
        axes.tick_params(length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        middle = {"ha": "center", "va": "center", "color": INK}
        cells, digits, marks = [], [], []
        for row in range(rows):
            cells.append([axes.add_patch(Rectangle((k + 0.04, row + 0.06), 0.92, 0.88)) for k in range(STEPS)])
            digits.append([axes.text(k + 0.5, row + 0.5, "", fontsize=14, **middle) for k in range(STEPS)])
            marks.append(axes.text(STEPS + 0.65, row + 0.5, "", fontsize=11, **middle))
        moves = [axes.text(k + 0.5, -0.35, "", fontsize=14, fontweight="bold", **middle) for k in range(STEPS)]
        truth = [
            axes.text(k + 0.5, -0.85, "", fontsize=9.5, ha="center", va="center", color=TEACHER.color)
            for k in range(STEPS)
        ]
        axes.text(STEPS + 0.65, -0.35, "answer", fontsize=10.5, **middle)
        start = axes.text(-0.12, -0.35, "", fontsize=14, fontweight="bold", ha="right", va="center", color=INK)
        return SimpleNamespace(cells=cells, digits=digits, marks=marks, moves=moves, truth=truth, start=start)

    def update(artists, spent: int, number: int, base: str) -> str:
        problem = runs.problems[number - 1]
        trace = solve(problem)
        artists.start.set_text(f"problem: {problem[0]}")
        for k, move in enumerate(problem[1:]):
            artists.moves[k].set_text(f"× {FACTORS[move]}" if move in FACTORS else f"+ {move}")
            artists.truth[k].set_text(f"right: {trace[k]}")
        right = []
        for row, way in enumerate(WAYS):
            text = problem + EQUALS + runs.traces(base, way)[spent][number - 1]
            _fill(artists, row, text)
            if verify(text):
                right.append(LOOKS[way].label)
        said = ", ".join(right) if right else "none of them"
        return (
            f"{problem}, whose answer is {trace[-1]}. From the {base} base, after {runs.compute[spent]:.2f} million "
            f"token passes, the right answer comes from: {said}."
        )

    return Explorer(
        name="one problem under every way of teaching",
        controls=[
            Slider("sixths of the compute", 0, points, 1, start=0),
            Slider("problem", 1, len(runs.problems), 1, start=1),
            Choice("base", ["weak", "warm"], start="weak"),
        ],
        create=create,
        update=update,
        presets={
            "weak, half of it spent": {"sixths of the compute": points // 2},
            "weak, all of it": {"sixths of the compute": points},
            "warm, the beginning": {"base": "warm"},
            "warm, all of it": {"sixths of the compute": points, "base": "warm"},
        },
        size=(760, 330),
    )


def _fill(artists: SimpleNamespace, row: int, text: str) -> None:
    """One row: the digits that were written, blue where the step is right and orange where it is not."""
    answer, verdicts = text.split(EQUALS)[1], verified_steps(text)
    for k in range(STEPS):
        written = k < len(answer)
        good = written and k < len(verdicts) and verdicts[k]
        artists.cells[row][k].set_facecolor((RIGHT if good else WRONG) if written else NONE)
        artists.cells[row][k].set_edgecolor("#9a9a9a" if written else "#e4e4e4")
        artists.digits[row][k].set_text(answer[k] if written else "")
        artists.digits[row][k].set_fontweight("normal" if good else "bold")
    artists.marks[row].set_text("right" if verify(text) else "wrong")
    artists.marks[row].set_color(TEACHER.color if verify(text) else "#b35806")


def pass_explorer(runs: Runs) -> Explorer:
    """pass@k of the base and of its students, of whole traces or of answers; a line stands at the k of the slider."""
    ks = runs.about["ks"]
    of = {"whole traces": "trace", "answers": "answer"}
    ways = [way for way in WAYS if way != "answers"]

    def create(figure):
        axes = figure.subplots()
        lines = {way: axes.plot(ks, [0.0] * len(ks), **LOOKS[way].points, label=LOOKS[way].label)[0] for way in ways}
        axes.set(xscale="log", xlim=(0.9, 72), ylim=(0, 1.05), xlabel="k, texts per problem", ylabel="pass@k")
        axes.set_xticks(ks, [str(k) for k in ks])
        axes.minorticks_off()
        axes.legend(loc="lower right")
        return {"lines": lines, "at": axes.axvline(1, color="#9a9a9a", linewidth=1)}

    def update(artists, doublings: int, base: str, counted: str) -> str:
        found = {}
        for way in ways:
            passes = runs.passes(base, way, of[counted])
            artists["lines"][way].set_ydata(passes.mean(0))
            mean, half_width = mean_interval(passes[:, doublings])
            found[way] = f"{LOOKS[way].label} {mean:.3f} ± {half_width:.3f}"
        artists["at"].set_xdata([ks[doublings]] * 2)
        texts = "1 text" if ks[doublings] == 1 else f"{ks[doublings]} texts"
        return f"With {texts} per problem, counting {counted}, from the {base} base: " + "; ".join(found.values()) + "."

    return Explorer(
        name="pass at k",
        controls=[
            Slider("doublings of k", 0, len(ks) - 1, 1, start=0),
            Choice("base", ["weak", "warm"], start="warm"),
            Choice("counted", list(of), start="whole traces"),
        ],
        create=create,
        update=update,
        presets={
            "k = 64": {"doublings of k": len(ks) - 1},
            "weak base, k = 64": {"doublings of k": len(ks) - 1, "base": "weak"},
            "answers": {"doublings of k": len(ks) - 1, "base": "weak", "counted": "answers"},
        },
        size=(760, 330),
    )
