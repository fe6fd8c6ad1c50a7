"""Languages so small that every text can be listed: their joint is a table, and sequence-level KL a number.

A language is a tree. `logp[t]` holds one row for each of the V^t prefixes of t tokens, also for those that no text of
the language begins with, because a student may well visit them.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kd_lab.arguments import checked
from kd_lab.worlds.batch import Batch, Vocabulary
from kd_lab.worlds.world import World

Rule = Callable[[str], dict[str, float]]
"""From a prefix to the weights of the symbols that may follow; an empty dict means that the prefix is off the rails."""

MOST_TEXTS = 4_000_000


@checked
@dataclass(frozen=True, eq=False)
class Language:
    """An autoregressive distribution over texts of at most L tokens, given by all of its conditionals.

    Prefix number i of length t is Σ_k y_k V^(t−k), k = 1 … t: the tokens y_1 … y_t read as a number in base V. The
    leading end mark that every row of a batch begins with is not part of the prefix. A text ends at its first end mark
    or with its L-th token; after an end mark only end marks follow.

    Args of the constructor: `logp[t]`, [V**t, V], in nats and float64, each row a distribution (−inf is probability 0).

    Raises:
        ValueError: a table has the wrong shape, a row does not sum to 1, holds NaN or leaves the end mark.
    """

    name: str
    vocabulary: Vocabulary
    logp: tuple[Float[Tensor, "..."], ...]

    def __post_init__(self) -> None:
        size = len(self.vocabulary)
        if not self.logp or size ** len(self.logp) > MOST_TEXTS:
            raise ValueError(
                f"a language of {size} symbols and length {len(self.logp)} has {size ** len(self.logp):,} texts; "
                f"expected a length of at least 1 and at most {MOST_TEXTS:,} texts, so that all can be listed"
            )
        for t, table in enumerate(self.logp):
            if table.shape != (size**t, size):
                raise ValueError(
                    f"the table for prefixes of length {t} has shape {tuple(table.shape)}; "
                    f"expected ({size**t}, {size}), one row per prefix and one column per symbol"
                )
            off = (~(table.logsumexp(-1).abs() <= 1e-9)).nonzero().flatten()
            if len(off):
                prefix = self.text_of(t, int(off[0]))
                raise ValueError(
                    f"the probabilities after {prefix!r} sum to {table[off[0]].exp().sum():.6g}; expected 1: "
                    "normalise with log_softmax in float64"
                )
            if t and (table[ended(size, t, self.vocabulary.end), self.vocabulary.end] < -1e-9).any():
                raise ValueError(
                    f"a prefix of length {t} goes on after its end mark; expected probability 1 on the end mark there"
                )

    @property
    def length(self) -> int:
        """L, the most tokens of a text, its end mark included."""
        return len(self.logp)

    def text_of(self, length: int, number: int) -> str:
        """The symbols of prefix `number` among those of `length` tokens."""
        size = len(self.vocabulary)
        return "".join(self.vocabulary.symbols[number // size**k % size] for k in reversed(range(length)))

    def joint(self) -> Float[Tensor, " N"]:
        """log p(y) of each of the N = V^L sequences, in nats, by the chain rule; its exponentials sum to 1.

        >>> lists = language("echo")
        >>> round(lists.joint().exp().sum().item(), 9)
        1.0
        """
        total = self.logp[0].flatten()
        for table in self.logp[1:]:
            total = (total[:, None] + table).flatten()
        return total

    def sequences(self) -> Int[Tensor, "N L"]:
        """All N = V^L sequences of tokens in the order of `joint`, each after the leading end mark."""
        size = len(self.vocabulary)
        number = torch.arange(size**self.length)
        digits = [number // size**k % size for k in reversed(range(self.length))]
        return torch.stack([torch.full_like(number, self.vocabulary.end), *digits], dim=1)

    def most_likely(self, count: int) -> list[tuple[str, float]]:
        """The `count` most probable texts and their probabilities.

        >>> language("echo").most_likely(1)[0][0]
        'cxc'
        """
        logp, number = self.joint().topk(count)
        return [
            (self.text_of(self.length, int(i)).split(self.vocabulary.symbols[self.vocabulary.end])[0], math.exp(value))
            for i, value in zip(number, logp.tolist(), strict=True)
        ]

    def sample(self, rows: int, generator: torch.Generator) -> Int[Tensor, "B L"]:
        """`rows` independent texts with a leading end mark, padded with end marks to length + 1 tokens."""
        number = torch.zeros(rows, dtype=torch.long)
        tokens = [torch.full((rows,), self.vocabulary.end)]
        for table in self.logp:
            tokens.append(torch.multinomial(table[number].exp(), 1, generator=generator)[:, 0])
            number = number * len(self.vocabulary) + tokens[-1]
        return torch.stack(tokens, dim=1)

    def world(self, rows: int, seed: int = 0) -> World:
        """A `World` of `rows` training texts and as many held-out ones, both drawn from the language itself.

        The two sets are independent draws and share frequent texts: taking those out of one would change its
        distribution. Against an exact language, generalisation is measured by enumeration and not by disjointness.

        >>> len(language("brackets").world(rows=100, seed=0).train)
        100
        """
        if rows < 1:
            raise ValueError(f"rows is {rows}; expected at least one training text")
        tokens = self.sample(2 * rows, torch.Generator().manual_seed(seed))
        train, held_out = (Batch.from_tokens(half, end=self.vocabulary.end) for half in tokens.split(rows))
        return World(self.name, self.vocabulary, train, held_out)


def ended(vocab_size: int, length: int, end: int = 0) -> Bool[Tensor, " N"]:
    """Of the N = V^length prefixes by number, those that hold an end mark.

    >>> ended(2, 2)  # of the prefixes 00, 01, 10 and 11 all but the last hold a 0
    tensor([ True,  True,  True, False])
    """
    number = torch.arange(vocab_size**length)
    holds = torch.zeros_like(number, dtype=torch.bool)
    for k in range(length):
        holds |= number // vocab_size**k % vocab_size == end
    return holds


def from_rule(name: str, symbols: str, length: int, rule: Rule, smoothing: float) -> Language:
    """The language whose every conditional is (1 − smoothing) · rule + smoothing · uniform.

    A prefix on which the rule is silent is followed by the end mark with probability ½ and by any letter otherwise: off
    the rails a text babbles until its end.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(
            f"smoothing is {smoothing}; expected 0 (hard zeros) up to below 1, the share of the uniform distribution"
        )
    vocabulary, size = Vocabulary(symbols), len(symbols)
    babble = torch.full((size,), 0.5 / (size - 1), dtype=torch.float64)
    babble[vocabulary.end] = 0.5
    over = torch.zeros(size, dtype=torch.float64)
    over[vocabulary.end] = 1

    def conditional(prefix: str) -> Tensor:
        if symbols[vocabulary.end] in prefix:
            return over
        weights = rule(prefix)
        row = torch.tensor([weights.get(symbol, 0.0) for symbol in symbols], dtype=torch.float64)
        row = row / row.sum() if weights else babble
        return (1 - smoothing) * row + smoothing / size

    prefixes, tables = [""], []
    for _ in range(length):
        tables.append(torch.stack([conditional(prefix) for prefix in prefixes]).log())
        prefixes = [prefix + symbol for prefix in prefixes for symbol in symbols]
    return Language(name, vocabulary, tuple(tables))


def echo_rule(prefix: str) -> dict[str, float]:
    """The first letter comes back as the last, across one to three letters x and y: axya, byb, cxc.

    After a and b the way forks at every step; after c there is one way only, so that greedy decoding (which opens with
    a) misses the most likely text (cxc). The letter z opens one text in 200, zyyyz.
    """
    if not prefix:
        return {"a": 0.400, "b": 0.235, "c": 0.360, "z": 0.005}
    first, middle = prefix[0], prefix[1:]
    if first not in "abcz" or len(prefix) > 5:
        return {}
    if first == "c":
        return {"": {"x": 1.0}, "x": {"c": 1.0}, "xc": {".": 1.0}}.get(middle, {})
    if first == "z":
        return {"": {"y": 1.0}, "y": {"y": 1.0}, "yy": {"y": 1.0}, "yyy": {"z": 1.0}, "yyyz": {".": 1.0}}.get(
            middle, {}
        )
    if middle.endswith(first) and 2 <= len(middle) <= 4 and set(middle[:-1]) <= set("xy"):
        return {".": 1.0}
    if not set(middle) <= set("xy") or len(middle) > 3:
        return {}
    close = (0.0, 0.3, 0.5, 1.0)[len(middle)]
    x = 0.6 if first == "a" else 0.3
    return {first: close, "x": (1 - close) * x, "y": (1 - close) * (1 - x)}


def brackets_rule(prefix: str) -> dict[str, float]:
    """Matched brackets of two, four or six symbols: (), ([]), ()[](). One text in 200 opens with <."""
    pairs = {"(": ")", "[": "]", "<": ">"}
    open_brackets: list[str] = []
    for symbol in prefix:
        if symbol in pairs:
            open_brackets.append(symbol)
        elif not open_brackets or pairs[open_brackets.pop()] != symbol:
            return {}
    remaining = 6 - len(prefix)
    if len(open_brackets) > remaining:
        return {}
    if not prefix:
        return {"(": 0.600, "[": 0.395, "<": 0.005}
    if not open_brackets:
        return {".": 0.6, "(": 0.3, "[": 0.1}
    close = pairs[open_brackets[-1]]
    if len(open_brackets) == remaining:
        return {close: 1.0}
    return {close: 0.6, "(": 0.25, "[": 0.15}


RULES = {"echo": (".abcxyz", 6, echo_rule), "brackets": (".()[]<>", 6, brackets_rule)}


@checked
def language(name: str, smoothing: float = 1e-3) -> Language:
    """An exact language by name: 7 symbols, 6 tokens, 7^6 = 117,649 sequences, a rare branch of probability 0.005.

    - "echo": the first letter decides the last (axya); the most likely text is not the greedy one.
    - "brackets": matched brackets of two kinds and, rarely, of a third.

    Args:
        name: "echo" or "brackets".
        smoothing: the share of the uniform distribution in every conditional before the end mark. With 0 the impossible
            has probability 0, and reverse KL from a student that tries it is infinite.

    Raises:
        ValueError: no language has this name, or smoothing is outside [0, 1).

    >>> [text for text, probability in language("brackets").most_likely(3)]
    ['()', '[]', '()()']
    """
    if name not in RULES:
        raise ValueError(f"no language is called {name!r}; expected one of {', '.join(map(repr, RULES))}")
    return from_rule(name, *RULES[name], smoothing)
