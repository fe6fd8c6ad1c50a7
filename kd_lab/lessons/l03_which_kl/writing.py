"""Text that a table of next-token probabilities writes: each token is drawn after the one before."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

LETTERS = "abcdefghijklmnopqrst"


def write(logp: Float[np.ndarray, "V V"], length: int, generator: np.random.Generator) -> Int[np.ndarray, " L"]:
    """`length` tokens; row v of `logp` is the distribution after token v, and the text follows a token 0."""
    steps, tokens = np.exp(logp).cumsum(1), [0]
    for draw in generator.random(length):
        row = steps[tokens[-1]]
        tokens.append(int(np.searchsorted(row, draw * row[-1])))
    return np.array(tokens[1:])


def transitions(tokens: Int[np.ndarray, " L"]) -> tuple[Int[np.ndarray, " L"], Int[np.ndarray, " L"]]:
    """Each token's predecessor and the token itself; before the first stands token 0."""
    return np.r_[0, tokens[:-1]], tokens


def marked(tokens: Int[np.ndarray, " L"], plausible: Bool[np.ndarray, "V V"]) -> str:
    """The text in markdown: a letter that its predecessor makes implausible is a bold capital.

    >>> marked(np.array([0, 1]), np.array([[True, False], [True, True]]))
    'a **B**'
    """
    fine = plausible[transitions(tokens)]
    letters = [LETTERS[token] for token in tokens]
    return " ".join(one if good else f"**{one.upper()}**" for one, good in zip(letters, fine, strict=True))


def writing_table(
    writers: Mapping[str, Float[np.ndarray, "V V"]], plausible: Bool[np.ndarray, "V V"], seed: int
) -> str:
    """Markdown: per writer 24 letters of its text, and over 2,000 letters how many are implausible, and how many of the
    plausible pairs occur at all."""
    lines = [
        f"| who writes | a text | implausible letters | plausible pairs written, of {plausible.sum()} |",
        "|---|---|---|---|",
    ]
    for writer, logp in writers.items():
        tokens = write(logp, 2000, np.random.default_rng(seed))
        fine = plausible[transitions(tokens)]
        seen = np.zeros_like(plausible)
        seen[transitions(tokens)] = True
        lines.append(
            f"| {writer} | {marked(tokens[:24], plausible)} | {1 - fine.mean():.0%} | {(seen & plausible).sum()} |"
        )
    return "\n".join(lines)
