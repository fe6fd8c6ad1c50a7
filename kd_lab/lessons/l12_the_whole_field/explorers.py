"""The explorers of lesson 12: a recipe composed of three words, and probabilities without their tokens."""

import textwrap
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from kd_lab.lessons.l12_the_whole_field import stored
from kd_lab.lessons.l12_the_whole_field.field import HOWS, WHATS, WHERES, compose, key_of, refusal
from kd_lab.lessons.l12_the_whole_field.figures import FADED, set_judges
from kd_lab.viz import STUDENT, TEACHER, Choice, Explorer, Slider
from kd_lab.viz.plots import letter_bars, set_bars
from kd_lab.viz.style import INK

JUDGED = {"forward": "KL(P‖Q)", "reverse": "KL(Q‖P)"}


def field_explorer(name: str = "the field") -> Explorer:
    """Any choice on the three knobs: its student among all stored ones, what it writes, or why it is refused."""
    keys = stored.field_keys()
    means = {judge: np.array([stored.marks_of(key, judge).mean() for key in keys]) for judge in JUDGED}

    def create(figure: Figure) -> SimpleNamespace:
        left, right = figure.subplots(1, 2, width_ratios=(5, 4))
        left.plot(means["forward"], means["reverse"], "o", **FADED)
        (here,) = left.plot([3], [3], STUDENT.marker, color=STUDENT.color, markersize=12, markeredgecolor=INK)
        set_judges(left)
        left.set_title("stored students, the chosen one large")
        right.set_axis_off()
        words = right.text(0, 0.98, "", va="top", fontsize=10, linespacing=1.5, transform=right.transAxes)
        return SimpleNamespace(here=here, words=words)

    def update(artists: SimpleNamespace, what: str, how: str, where: str) -> str:
        reason = refusal(what, how, where)
        artists.here.set_visible(reason is None)
        if reason is not None:
            artists.words.set_text("ValueError\n\n" + textwrap.fill(reason, 38))
            return f"Refused. {reason}."
        recipe = compose(what, how, where)
        key = key_of(recipe)
        spot = {judge: stored.marks_of(key, judge).mean() for judge in JUDGED}
        artists.here.set_data([spot["forward"]], [spot["reverse"]])
        ranks = {judge: int((means[judge] < spot[judge] - 1e-9).sum()) + 1 for judge in JUDGED}
        places = " and ".join(f"number {rank} under {JUDGED[judge]}" for judge, rank in ranks.items())
        written = textwrap.fill("   ".join(stored.samples(recipe)), 40)
        artists.words.set_text(f"It writes, after the dot:\n\n{written}")
        values = " and ".join(f"{JUDGED[judge]} = {stored.plus_minus(stored.marks_of(key, judge))}" for judge in JUDGED)
        return f"{recipe.terms[0]}: {values} nats per name. Of {len(keys)} students it is {places}, the nearest first."

    return Explorer(
        name=name,
        controls=[
            Choice("WHAT", list(WHATS), start="logits"),
            Choice("HOW", list(HOWS), start="forward KL"),
            Choice("WHERE", list(WHERES), start=next(iter(WHERES))),
        ],
        create=create,
        update=update,
        presets={
            "on-policy": {"HOW": "reverse KL", "WHERE": "the student's, λ = 1"},
            "GKD": {"HOW": "JSD", "WHERE": "half the student's, λ = ½"},
            "no name": {"HOW": "forward KL, τ = 2", "WHERE": "teacher's samples"},
            "refused: own tokens": {"WHAT": "tokens", "HOW": "likelihood", "WHERE": "the student's, λ = 1"},
            "refused: two kinds": {"WHAT": "features", "HOW": "reverse KL"},
        },
        size=(780, 380),
    )


SYMBOLS = "abcde"
HALVES = np.array([16.0, 8, 4, 2, 1]) / 31


def orders(symbols: int = 5) -> list[list[int]]:
    """From the first order to its reverse, one exchange of neighbours at a time.

    >>> orders(3)
    [[0, 1, 2], [1, 0, 2], [1, 2, 0], [2, 1, 0]]
    """
    order, found = list(range(symbols)), [list(range(symbols))]
    for last in range(symbols - 1, 0, -1):
        for i in range(last):
            order[i], order[i + 1] = order[i + 1], order[i]
            found.append(order.copy())
    return found


def gaps(p: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    """Σ|p_(i) − q_(i)| by rank, and KL(p‖q) in nats."""
    return float(np.abs(np.sort(p) - np.sort(q)).sum()), float((p * np.log(p / q)).sum())


def order_explorer(name: str = "order") -> Explorer:
    """A student with the teacher's probabilities on other tokens, and what two losses say of it."""
    steps = orders(len(SYMBOLS))

    def create(figure: Figure) -> SimpleNamespace:
        left, right = figure.subplots(1, 2)
        teacher, student = letter_bars(left, SYMBOLS, (TEACHER, STUDENT))
        left.set(ylim=(0, 0.85), title="by token")
        ranked = letter_bars(right, [f"{i}." for i in range(1, 6)], (TEACHER, STUDENT))
        right.set(ylim=(0, 0.85), title="by rank, as the sorted loss sees them")
        return SimpleNamespace(teacher=teacher, student=student, ranked=ranked)

    def update(artists: SimpleNamespace, exchanges: int, sharpness: float) -> str:
        p = HALVES**sharpness / (HALVES**sharpness).sum()
        q = p[np.argsort(steps[exchanges])]
        for bars, values in ((artists.teacher, p), (artists.student, q)):
            set_bars(bars, values)
        for bars, values in zip(artists.ranked, (p, q), strict=True):
            set_bars(bars, np.sort(values)[::-1])
        by_rank, kl = gaps(p, q)
        return (
            f"After {exchanges} exchange{'s' * (exchanges != 1)} of neighbours the gap by rank is {by_rank:.2f}, and "
            f"KL(p‖q) is {kl:.2f} nats."
        )

    return Explorer(
        name=name,
        controls=[
            Slider("exchanges", 0, len(steps) - 1, 1, start=4),
            Slider("sharpness", 0.5, 2.0, 0.25, start=1.0),
        ],
        create=create,
        update=update,
        presets={"equal": {"exchanges": 0}, "reversed": {"exchanges": 10}, "flat": {"exchanges": 10, "sharpness": 0.5}},
        size=(760, 320),
    )
