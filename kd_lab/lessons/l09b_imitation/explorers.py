"""The explorers of lesson 09b: an imitator's answers under two judges, and the evolution of problems."""

from types import SimpleNamespace

import numpy as np

from kd_lab.lessons.l09b_imitation.figures import JUDGES, TITLES
from kd_lab.lessons.l09b_imitation.judges import in_style, strong_judge, weak_judge
from kd_lab.lessons.l09b_imitation.pupils import split
from kd_lab.lessons.l09b_imitation.recipes import MOST_MOVES, ROUNDS, evol_instruct, seed_problems
from kd_lab.lessons.l09b_imitation.results import Runs
from kd_lab.viz import Choice, Explorer, Slider
from kd_lab.viz.plots import letter_bars, set_bars
from kd_lab.viz.style import INK, STUDENT, TEACHER
from kd_lab.worlds.moves import FACTORS

KINDS = {"additions": "covered", "multiplications too": "uncovered"}


def imitation_explorer(runs: Runs) -> Explorer:
    """One answer of an imitator and what two judges say of it, beside how often each accepts."""
    first = runs.texts(runs.sizes[0])
    count = len(first["covered"])

    def create(figure):
        left, right = figure.subplots(1, 2, width_ratios=(1, 1))
        left.set(xlim=(0, 1), ylim=(0, 1))
        left.axis("off")
        words = ("the problem", "the teacher writes", "the imitator writes", "weak judge", "strong judge")
        rows = {}
        for row, word in enumerate(words):
            y = 0.92 - 0.2 * row
            left.text(0, y, word, color=INK, fontsize=10)
            rows[word] = left.text(0.46, y, "", color=INK, fontsize=13, family="DejaVu Sans Mono")
        zeros = [0.0] * len(runs.sizes)
        lines = {
            judge: right.plot(runs.sizes, zeros, **look.points, label=look.label)[0] for judge, look in JUDGES.items()
        }
        right.set(xscale="log", ylim=(-0.03, 1.05), xlabel="examples", ylabel="share of its answers")
        right.set_xticks(runs.sizes, [f"{size:,}" for size in runs.sizes])
        right.minorticks_off()
        right.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.2))
        title = right.text(0, 1.03, "", transform=right.transAxes, color=INK, fontsize=11)
        at = right.axvline(runs.sizes[0], color="#9a9a9a", linewidth=1)
        return SimpleNamespace(rows=rows, lines=lines, title=title, at=at)

    def update(artists, power: int, kind: str, number: int) -> str:
        size, problems = runs.sizes[power - 1], KINDS[kind]
        text = runs.texts(size)[problems][number - 1]
        problem, answer = split(text)
        verdicts = {"weak judge": weak_judge(text), "strong judge": strong_judge(text)}
        artists.rows["the problem"].set_text(problem)
        artists.rows["the teacher writes"].set_text(in_style(problem))
        artists.rows["the imitator writes"].set_text(answer)
        for name, accepts in verdicts.items():
            artists.rows[name].set_text("accepts" if accepts else "refuses")
            artists.rows[name].set_color(TEACHER.color if accepts else STUDENT.color)
        artists.at.set_xdata([size, size])
        artists.title.set_text(TITLES[problems])
        for judge, line in artists.lines.items():
            line.set_ydata([runs.value("imitation", one, f"{judge} {problems}").mean() for one in runs.sizes])
        weak, strong = (runs.value("imitation", size, f"{judge} {problems}").mean() for judge in ("weak", "strong"))
        return (
            f"After {size:,} examples the imitator writes {answer} on {problem}: the weak judge "
            f"{'accepts' if verdicts['weak judge'] else 'refuses'}, the strong judge "
            f"{'accepts' if verdicts['strong judge'] else 'refuses'}. On such problems ({kind}) they accept {weak:.0%} "
            f"and {strong:.0%} of its answers."
        )

    return Explorer(
        name="an imitator under two judges",
        controls=[
            Slider("examples, power of ten", 1, len(runs.sizes), 1, start=1),
            Choice("problems", list(KINDS), start="additions"),
            Slider("answer", 1, count, 1, start=1),
        ],
        create=create,
        update=update,
        presets={
            "100 examples": {"examples, power of ten": 2},
            "1,000 examples": {"examples, power of ten": 3},
            "multiplications": {"examples, power of ten": 3, "problems": "multiplications too"},
        },
        size=(760, 340),
    )


def evolution_explorer(seed: int = 0) -> Explorer:
    """Rounds of Evol-Instruct: one problem's descent, and how many moves all problems have by then."""
    generator = np.random.default_rng(seed)
    generations = evol_instruct(seed_problems(generator), 100 * (ROUNDS + 1), generator)
    shown = min(12, len(generations[0]))

    def create(figure):
        left, right = figure.subplots(1, 2, width_ratios=(1, 1))
        left.set(xlim=(0, 1), ylim=(0, 1))
        left.axis("off")
        left.text(0, 0.95, "one problem, round by round", color=INK, fontsize=11)
        lines = [
            left.text(0.05, 0.82 - 0.125 * number, "", color=INK, fontsize=13, family="DejaVu Sans Mono")
            for number in range(ROUNDS + 1)
        ]
        (bars,) = letter_bars(right, [str(moves) for moves in range(1, MOST_MOVES + 1)])
        right.set(xlabel="moves", ylabel="share of the problems so far", title="all problems so far")
        return {"lines": lines, "bars": bars}

    def update(artists, rounds: int, number: int) -> str:
        for place, line in enumerate(artists["lines"]):
            line.set_text(f"round {place}  {generations[place][number - 1]}" if place <= rounds else "")
        so_far = [problem for generation in generations[: rounds + 1] for problem in generation]
        counts = np.bincount([len(problem) - 1 for problem in so_far], minlength=MOST_MOVES + 1)[1:]
        set_bars(artists["bars"], counts / counts.sum())
        moves = [move for problem in so_far for move in problem[1:]]
        share = np.mean([move in FACTORS for move in moves])
        return (
            f"After round {rounds} the {len(so_far)} problems have {len(moves) / len(so_far):.1f} moves on average, "
            f"and "
            f"{share:.0%} of the moves multiply. This one is now {generations[rounds][number - 1]}."
        )

    return Explorer(
        name="evolution of problems",
        controls=[
            Slider("rounds", 0, ROUNDS, 1, start=0),
            Slider("problem", 1, shown, 1, start=1),
        ],
        create=create,
        update=update,
        presets={f"round {number}": {"rounds": number} for number in (1, 3, ROUNDS)},
        size=(760, 300),
    )
