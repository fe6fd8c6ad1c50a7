"""One text written by speculative decoding, call by call, as a grid of cells."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Literal

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.patches import Patch, Rectangle
from torch import Tensor

from kd_lab.models import GPT, next_token_logp, sampling_logp, speculate
from kd_lab.models.speculative import Round, Speculation, residual_logp
from kd_lab.viz.style import FAINT, INK, TEACHER
from kd_lab.worlds.surnames import VOCABULARY

LETTERS = 9
"""The most letters of a text here, so that the grid has room for one call per letter."""

Kind = Literal["before", "stands", "target", "unchecked"]


@dataclass(frozen=True)
class Cell:
    """One place of one call."""

    row: int  # the call
    column: int  # the place in the text
    letter: str
    kind: Kind
    fallen: str = ""  # the guess in whose place the target wrote this


def letters() -> str:
    """The symbols of the vocabulary, with a dot for the end."""
    return "·" + VOCABULARY.symbols[1:]


def write(target: GPT, draft: GPT, guesses: int, number: int, **settings: float) -> Speculation:
    """The text of this number, of at most `LETTERS` letters."""
    generator = torch.Generator().manual_seed(number)
    start = torch.zeros(1, dtype=torch.long)
    return speculate(target, draft, start, LETTERS, guesses=guesses, generator=generator, **settings)


def cells(text: Speculation) -> list[Cell]:
    """Every place of every call: what stood before, guesses that stand, the target's token, guesses unchecked."""
    found, symbols, done = [], letters(), []
    for row, one in enumerate(text.rounds):
        found += [Cell(row, column, symbols[x], "before") for column, x in enumerate(done)]
        for i, x in enumerate(one.new):
            fell = i == one.accepted and i < len(one.guesses)
            kind = "stands" if i < one.accepted else "target"
            found.append(Cell(row, len(done) + i, symbols[x], kind, symbols[one.guesses[i]] if fell else ""))
        for i in range(one.accepted + 1, len(one.guesses)):
            found.append(Cell(row, len(done) + i, symbols[one.guesses[i]], "unchecked"))
        done += one.new
    return found


def checked(one: Round) -> int:
    """The guesses of a call that the target looked at: those that stand, and the first that falls."""
    return one.accepted + (one.accepted < len(one.guesses))


@dataclass(frozen=True)
class Place:
    """A guess of a text, with the distributions that decided about it."""

    before: str  # the text that it continues
    guess: int
    token: int | None  # that the target wrote in its place; None: it stands
    draft: Float[Tensor, " V"]  # q
    target: Float[Tensor, " V"]  # p
    residual: Float[Tensor, " V"]


def deciding_place(text: Speculation, target: GPT, draft: GPT) -> Place:
    """The first guess of a text that fell, or its last guess where all stand."""
    done, last = text.tokens[:1].tolist(), None
    for one in text.rounds:
        if one.guesses:
            fell = one.accepted < len(one.guesses)
            at = one.accepted if fell else len(one.guesses) - 1
            last = [*done, *one.guesses[:at]], one.guesses[at], one.new[at] if fell else None
            if fell:
                break
        done += one.new
    assert last is not None  # the first call has room for a guess
    seen, guess, token = last
    with torch.no_grad():
        q, p = (sampling_logp(next_token_logp(model, torch.tensor([seen]))[0, -1]) for model in (draft, target))
    before = "".join(letters()[x] for x in seen[1:])
    return Place(before, guess, token, q.exp(), p.exp(), residual_logp(q, p).exp())


# ---- the picture -----------------------------------------------------------------------------------------------------

FACES = {"stands": "#F6C9A8", "target": TEACHER.color, "unchecked": "white"}
INKS = {"before": FAINT, "stands": INK, "target": "white", "unchecked": FAINT}


def draw_grid(axes: Axes, rows: int = LETTERS) -> SimpleNamespace:
    """An empty grid, a row per call of the target and a column per letter; `move_grid` fills it."""
    boxes, texts = {}, {}
    for row in range(rows):
        for column in range(LETTERS):
            boxes[row, column] = axes.add_patch(Rectangle((column - 0.46, row - 0.42), 0.92, 0.84, visible=False))
            texts[row, column] = axes.text(column, row, "", ha="center", va="center", fontsize=10)
    axes.set(xlim=(-0.6, LETTERS - 0.4), ylim=(rows - 0.4, -0.6), ylabel="call of the target", xticks=[])
    axes.set_yticks(range(rows), range(1, rows + 1))
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return SimpleNamespace(boxes=boxes, texts=texts)


def grid_legend() -> list[Patch]:
    """The key to the colours of a grid."""
    return [
        Patch(facecolor=FACES["stands"], edgecolor=INK, label="guess that stands"),
        Patch(facecolor=FACES["target"], label="the target's (x→y: guess x fell)"),
        Patch(facecolor="white", edgecolor=FAINT, linestyle=":", label="guess never checked"),
    ]


def move_grid(grid: SimpleNamespace, text: Speculation) -> None:
    """Show a text in the grid."""
    for box, letter in zip(grid.boxes.values(), grid.texts.values(), strict=True):
        box.set_visible(False)
        letter.set_text("")
    for cell in cells(text):
        box, letter = grid.boxes[cell.row, cell.column], grid.texts[cell.row, cell.column]
        letter.set(text=f"{cell.fallen}→{cell.letter}" if cell.fallen else cell.letter, color=INKS[cell.kind])
        if cell.kind in FACES:
            edge = FAINT if cell.kind == "unchecked" else INK
            box.set(facecolor=FACES[cell.kind], edgecolor=edge, linestyle=":" if edge == FAINT else "-", visible=True)
