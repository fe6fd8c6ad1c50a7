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
from kd_lab.models.speculative import Speculation, residual_logp
from kd_lab.viz.style import FAINT, INK, STUDENT, TEACHER
from kd_lab.worlds import surnames

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
    return "·" + surnames().vocabulary.symbols[1:]


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


def checked(text: Speculation) -> int:
    """The guesses that the target looked at: those that stand, and in a round the first that falls."""
    return sum(one.accepted + (one.accepted < len(one.guesses)) for one in text.rounds)


@dataclass(frozen=True)
class Fall:
    """The first guess of a text that fell."""

    before: str
    guess: int
    token: int  # that the target wrote instead
    draft: Float[Tensor, " V"]  # q
    target: Float[Tensor, " V"]  # p
    residual: Float[Tensor, " V"]


def first_fall(text: Speculation, target: GPT, draft: GPT) -> Fall | None:
    """The first guess that fell, with the three distributions at its place; None where all stand."""
    done = text.tokens[:1].tolist()
    for one in text.rounds:
        if one.accepted < len(one.guesses):
            seen = torch.tensor([[*done, *one.guesses[: one.accepted]]])
            with torch.no_grad():
                q, p = (sampling_logp(next_token_logp(model, seen)[0, -1]) for model in (draft, target))
            before = "".join(letters()[x] for x in seen[0, 1:])
            three = (logp.exp() for logp in (q, p, residual_logp(q, p)))
            return Fall(before, one.guesses[one.accepted], one.new[one.accepted], *three)
        done += one.new
    return None


# ---- the picture -----------------------------------------------------------------------------------------------------

FACES = {"stands": STUDENT.color, "target": TEACHER.color}


def draw_grid(axes: Axes, rows: int = LETTERS) -> SimpleNamespace:
    """An empty grid, a row per call of the target and a column per letter; `move_grid` fills it."""
    boxes, texts, corners = {}, {}, []
    for row in range(rows):
        for column in range(LETTERS):
            boxes[row, column] = axes.add_patch(Rectangle((column - 0.46, row - 0.42), 0.92, 0.84, visible=False))
            texts[row, column] = axes.text(column, row + 0.03, "", ha="center", va="center", fontsize=11)
        corners.append(axes.text(0, row, "", ha="center", va="center", fontsize=8, color="white"))
    axes.set(xlim=(-0.6, LETTERS - 0.4), ylim=(rows - 0.4, -0.6), ylabel="call of the target", xticks=[])
    axes.set_yticks(range(rows), range(1, rows + 1))
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    return SimpleNamespace(boxes=boxes, texts=texts, corners=corners)


def grid_legend() -> list[Patch]:
    """What the colours of a grid mean."""
    return [
        Patch(facecolor=FACES["stands"], hatch="////", edgecolor="white", label="guess that stands"),
        Patch(facecolor=FACES["target"], label="written by the target (x̶: the guess that fell)"),
        Patch(facecolor="white", edgecolor=FAINT, linestyle=":", label="guess behind it, never checked"),
    ]


def move_grid(grid: SimpleNamespace, text: Speculation) -> None:
    """Show a text in the grid."""
    for box, letter in zip(grid.boxes.values(), grid.texts.values(), strict=True):
        box.set_visible(False)
        letter.set_text("")
    for corner in grid.corners:
        corner.set_text("")
    for cell in cells(text):
        box, letter = grid.boxes[cell.row, cell.column], grid.texts[cell.row, cell.column]
        letter.set_text(cell.letter)
        letter.set_color("white" if cell.kind in FACES else FAINT if cell.kind == "before" else INK)
        letter.set_fontweight("bold" if cell.kind in FACES else "normal")
        box.set_visible(cell.kind != "before")
        box.set(facecolor=FACES.get(cell.kind, "white"), edgecolor=FAINT if cell.kind == "unchecked" else "white")
        box.set(linestyle=":" if cell.kind == "unchecked" else "-", hatch="////" if cell.kind == "stands" else "")
        if cell.fallen:
            grid.corners[cell.row].set_text(f"{cell.fallen}\u0336")
            grid.corners[cell.row].set_position((cell.column - 0.28, cell.row - 0.2))
