"""A few real prompts for explorers, and bars for what a real LLM and its students expect there.

The distributions ship with the library, in `kd_lab.worlds.next_tokens`. The teacher is SmolLM2-135M; its students have
20 of its 30 layers, "pruned" as they were left and "healed" after a distillation.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from types import SimpleNamespace

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes

from kd_lab.viz.controls import Choice
from kd_lab.viz.plots import letter_bars, root_scale, set_bars
from kd_lab.viz.style import Look
from kd_lab.worlds.next_tokens import NextTokens, load_next_tokens

PROMPTS = {
    "…all the way up to your": "The energy that you currently have is all the way up to your",
    "…overall health and": "proper sleep is essential for overall health and",
    "A harvest is a": "<|im_start|>assistant\nA harvest is a",
    "This is new in Python": "This is new in Python ",
    "This feature can be used": "This feature can be used",
}
"""Name on the button → end of the stored prompt. The last two are from Python's documentation."""

OTHERS = "others"
LONGEST_NAME = 10  # characters of a token under its bar
ROOM_FOR_NAMES = 48  # points between the bars and the axis's label, in which such a name fits at its slant


@dataclass(frozen=True, eq=False)
class RealNode:
    """One prompt of the stored distributions: its K tokens, and all others of the vocabulary as one event.

    The tokens stand in the teacher's order, its likeliest first. A divergence of these E = K + 1 events is at most that
    of the whole vocabulary.
    """

    stored: NextTokens
    row: int  # of the prompt

    @cached_property
    def pieces(self) -> list[str]:
        """The K tokens that are known one by one."""
        return [self.stored.pieces[i] for i in self.stored.ids[self.row].tolist() if i >= 0]

    @property
    def left_over(self) -> int:
        """The number of tokens that are known only together."""
        return self.stored.vocabulary - len(self.pieces)

    @property
    def actual(self) -> int:
        """The place of the token that comes next in the text."""
        return self.pieces.index(self.stored.actual[self.row])

    @property
    def author(self) -> str:
        """Who wrote the text: it is a sample of the teacher's, or a person's."""
        return "the teacher wrote" if "<|im_start|>assistant" in self.stored.prompts[self.row] else "a person wrote"

    def p(self, model: str, temperature: float = 1.0) -> Float[np.ndarray, " E"]:
        """Probabilities of the events at a temperature, that of all others last.

        Raises:
            ValueError: there is no such model, or nothing is known of the others at this temperature.
        """
        logp = self.stored.events(model, temperature)[self.row].double().numpy()
        p = np.exp(np.append(logp[: len(self.pieces)], logp[-1]))
        return p / p.sum()  # half-precision logarithms do not quite sum to 1


@cache
def real_node(button: str) -> RealNode:
    """The stored prompt behind one of the buttons of `prompt_choice`.

    Raises:
        ValueError: there is no such button, or no stored prompt ends like this.

    >>> node = real_node("This is new in Python")
    >>> node.pieces[:3], node.pieces[node.actual], node.p("teacher")[:3].round(2).tolist()
    (['3', '2', '1'], '2', [0.77, 0.21, 0.01])
    """
    if button not in PROMPTS:
        raise ValueError(f"the prompt is {button!r}; expected one of {list(PROMPTS)}")
    stored = load_next_tokens()
    rows = [row for row, prompt in enumerate(stored.prompts) if prompt.endswith(PROMPTS[button])]
    if not rows:
        raise ValueError(f"no stored prompt ends in {PROMPTS[button]!r}; expected one: take another into PROMPTS")
    return RealNode(stored, rows[0])


def prompt_choice() -> Choice:
    """The control that chooses a real prompt."""
    return Choice("real prompt", list(PROMPTS), start=next(iter(PROMPTS)))


def spelled(piece: str) -> str:
    r"""A token as it stands under a bar: without the space before it, line breaks as \n, long ones cut.

    >>> spelled(" fingertips"), spelled("\n"), spelled(" "), spelled(" understanding")
    ('fingertips', '\\n', '␣', 'understan…')
    """
    name = repr(piece[1:])[1:-1] if piece[:1] == " " and piece.strip() else repr(piece)[1:-1].replace(" ", "␣")
    name = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    return name.replace("$", r"\$")


def percent(share: float) -> str:
    """A share as a reader says it.

    >>> percent(0.1234), percent(0.0042), percent(0.00001)
    ('12 %', '0.4 %', 'less than 0.1 %')
    """
    return f"{100 * share:.0f} %" if share >= 0.0095 else f"{100 * share:.1f} %" if share >= 5e-4 else "less than 0.1 %"


def likeliest(weights: Float[np.ndarray, " E"], count: int) -> Int[np.ndarray, " count"]:
    """The places of the `count` tokens of most weight, in the order in which the tokens stand; never the others'.

    >>> likeliest(np.array([0.5, 0.1, 0.3, 0.1]), 2).tolist()
    [0, 2]
    """
    return np.sort(np.argsort(-weights[:-1], kind="stable")[:count])


def token_bars(axes: Axes, looks: Sequence[Look], count: int) -> SimpleNamespace:
    """Bars for `count` tokens and one for all that are not drawn, with names that move as the bars do.

    Args:
        axes: gets the limits 0 … 1 and a label.
        looks: who is compared, one bar each.
        count: of the tokens.

    Returns:
        The artists that `move_tokens` moves.
    """
    bars = letter_bars(axes, [""] * (count + 1), looks)
    below = {"rotation": 40, "ha": "right", "va": "top", "rotation_mode": "anchor", "fontsize": 9, "clip_on": False}
    axes.set_xlabel("next token", labelpad=ROOM_FOR_NAMES)
    place = axes.get_xaxis_transform()
    names = [axes.text(i + 0.25, -0.03, "", transform=place, **below) for i in range(count + 1)]
    return SimpleNamespace(bars=bars, names=names)


def root_axis(axes: Axes, top: float = 1.3) -> None:
    """A vertical axis on which rare tokens stay visible, with room above certainty for a legend."""
    root_scale(axes)
    axes.set(ylim=(0, top), ylabel="probability, root scale")
    axes.set_yticks([0, 0.01, 0.05, 0.2, 0.5, 1], ["0", "1 %", "5 %", "20 %", "50 %", "100 %"])


def move_tokens(
    artists: SimpleNamespace,
    node: RealNode,
    shown: Int[np.ndarray, " count"],
    *heights: Float[np.ndarray, " E"],
) -> None:
    """Move bars and names to the `shown` tokens of a prompt; the last bar is the sum over all other events.

    Args:
        artists: from `token_bars`.
        node: the prompt.
        shown: places of the tokens.
        heights: one number per event, for each look.
    """
    for bars, values in zip(artists.bars, heights, strict=True):
        set_bars(bars, [*values[shown], values.sum() - values[shown].sum()])
    for text, name in zip(artists.names, [*(spelled(node.pieces[i]) for i in shown), OTHERS], strict=True):
        text.set_text(name)
