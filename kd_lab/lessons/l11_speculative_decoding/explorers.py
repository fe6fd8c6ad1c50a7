"""The explorers of lesson 11: a text call by call, and the speed that acceptance and cost promise."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
from matplotlib.figure import Figure

from kd_lab.classroom.progress import number as counted
from kd_lab.lessons.l11_speculative_decoding.results import DRAFTS, stored_draft
from kd_lab.lessons.l11_speculative_decoding.rounds import (
    checked,
    deciding_place,
    draw_grid,
    grid_legend,
    letters,
    move_grid,
    write,
)
from kd_lab.measure.acceptance import speedup
from kd_lab.models import GPT
from kd_lab.viz import Choice, Explorer, Slider
from kd_lab.viz.plots import letter_bars, set_bars
from kd_lab.viz.style import BASELINE, DIVERGENCES, INK, STUDENT, TEACHER

GREEN = DIVERGENCES["forward_kl"].color


def rounds_explorer(target: GPT) -> Explorer:
    """A text call by call: the guesses ahead, the text's number, and the draft."""
    return Explorer(
        name="a text call by call",
        controls=[
            Slider("guesses ahead γ", 1, 8, 1, start=4),
            Slider("text", 1, 40, 1, start=6),
            Choice("draft learned from", list(DRAFTS), start="forward KL"),
        ],
        create=_create_rounds,
        update=lambda *arguments: _rounds(target, *arguments),
        presets={
            "one guess ahead": {"guesses ahead γ": 1},
            "eight guesses ahead": {"guesses ahead γ": 8},
            "the poorer draft": {"draft learned from": "text only"},
        },
        size=(760, 560),
    )


def _create_rounds(figure: Figure) -> SimpleNamespace:
    upper, lower = figure.subplots(2, 1, height_ratios=(3, 2))
    artists = draw_grid(upper)
    looks = (replace(STUDENT, label="draft q"), replace(TEACHER, label="target p"))
    artists.bars = letter_bars(lower, letters(), looks)
    (artists.residual,) = lower.plot(
        range(len(letters())), np.zeros(len(letters())), "^", color=GREEN, label="residual r"
    )
    lower.legend(loc="upper right")
    lower.set_title("at the first guess that falls (or the last that stands)")
    figure.legend(handles=grid_legend(), loc="outside upper center", ncols=3)
    return artists


def _rounds(target: GPT, artists: SimpleNamespace, guesses: int, number: int, source: str) -> str:
    draft = stored_draft(source)
    text = write(target, draft, guesses, number)
    move_grid(artists, text)
    place, symbols = deciding_place(text, target, draft), letters()
    for bars, heights in zip(artists.bars, (place.draft, place.target), strict=True):
        set_bars(bars, heights.numpy())
    artists.residual.set_ydata(place.residual.numpy())
    name, x = "".join(symbols[y] for y in text.tokens[1:]), place.guess
    after = f"after “{place.before}”" if place.before else "at the beginning"
    said = (
        f"With γ = {guesses} the {counted(len(text.tokens) - 1, 'token')} of “{name}” took "
        f"{counted(text.calls, 'call')} of the target; guesses that stand: {text.accepted} of "
        f"{sum(map(checked, text.rounds))} that it checked."
    )
    odds = f"“{symbols[x]}” {after}, with q = {place.draft[x]:.2f} and p = {place.target[x]:.2f}"
    if place.token is None:
        return f"{said} None falls; the bars are those of the last guess, {odds}."
    return f"{said} The first to fall is {odds}; the target wrote “{symbols[place.token]}” from the residual."


MOST = 16


def speed_explorer() -> Explorer:
    """The speed-up against γ: acceptance α, cost c of a guess, and what each token more costs the target to read."""
    return Explorer(
        name="the speed that is promised",
        controls=[
            Slider("acceptance α", 0.3, 0.95, 0.01, start=0.8),
            Slider("cost of a guess c", 0.0, 0.5, 0.01, start=0.05),
            Slider("reading one token more", 0.0, 0.3, 0.01, start=0.0),
        ],
        create=_create_speed,
        update=_speed,
        presets={
            "the draft costs a quarter": {"cost of a guess c": 0.25},
            "a poor draft for nothing": {"acceptance α": 0.3, "cost of a guess c": 0.0},
            "checking is not free": {"reading one token more": 0.15},
        },
        size=(760, 360),
    )


def _create_speed(figure: Figure) -> SimpleNamespace:
    axes = figure.subplots()
    (curve,) = axes.plot([], [], **TEACHER.points, label="speed-up")
    (tokens,) = axes.plot([], [], **BASELINE.line, label="tokens per call of the target")
    (best,) = axes.plot([], [], "o", markersize=14, markerfacecolor="none", color=STUDENT.color, label="best γ")
    axes.axhline(1, color=INK, linewidth=0.8)
    axes.set(xlabel="guesses ahead γ (0: the target alone)", ylabel="times as fast", yscale="log")
    axes.set(xlim=(-0.5, MOST + 0.5), ylim=(0.3, 16))
    axes.set_yticks([0.5, 1, 2, 4, 8, 16], ["½", "1", "2", "4", "8", "16"])
    axes.set_yticks([], minor=True)
    axes.legend(loc="upper left")
    return SimpleNamespace(curve=curve, tokens=tokens, best=best)


def _speed(artists: SimpleNamespace, acceptance: float, cost: float, more: float) -> str:
    guesses = np.arange(MOST + 1)
    speeds = [1.0] + [speedup(acceptance, g, cost, 1 + more * g) for g in range(1, MOST + 1)]
    artists.curve.set_data(guesses, speeds)
    artists.tokens.set_data(guesses, [1.0] + [speedup(acceptance, g, 0.0) for g in range(1, MOST + 1)])
    best = int(np.argmax(speeds))
    artists.best.set_data([best], [speeds[best]])
    said = f"At α = {acceptance:.2f}, c = {cost:.2f} and {more:.2f} for reading one token more,"
    if best == 0:
        return f"{said} no γ pays: plain decoding is the fastest."
    edge = " or beyond" if best == MOST else ""
    return f"{said} γ = {best}{edge} is best and {speeds[best]:.2f} times as fast as the target alone."
