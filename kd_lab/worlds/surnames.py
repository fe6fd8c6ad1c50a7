"""Real text small enough to study: surnames of the 1990 United States census (public domain).

The data file and its source stand in `data/surnames_1990.tsv`.
"""

import hashlib
import unicodedata
from functools import cache, lru_cache
from importlib.resources import files

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from kd_lab.arguments import checked
from kd_lab.worlds.batch import Batch, Vocabulary
from kd_lab.worlds.world import World

VOCABULARY = Vocabulary(".abcdefghijklmnopqrstuvwxyz")
NAMES_ON_FILE = 20_000
ROUNDING = 0.0005  # the census prints percentages with three decimals


@cache
def census_table() -> tuple[tuple[str, float], ...]:
    """Each surname in lower case with its share of the population in percent, in order of rank.

    The census prints shares rounded to 0.001 %, which is coarser than most of them: 11,339 names read 0.001 and the
    rarest 0.000. The file holds the finer figure all the same. Names with equal counts stand in reverse alphabetical
    order, so a run of descending names has one count, and the rise of the cumulative column over the run divided by
    the run's length is that count's share. The printed figure bounds it, to within its rounding.

    >>> census_table()[0]
    ('smith', 1.006)
    >>> name, percent = census_table()[-1]
    >>> name, round(percent, 5)
    ('rodkey', 0.00046)
    """
    text = (files("kd_lab.worlds") / "data" / "surnames_1990.tsv").read_text(encoding="ascii")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")]
    names = [name for name, _, _ in rows]
    printed = [float(percent) for _, percent, _ in rows]
    cumulative = [0.0, *(float(total) for _, _, total in rows)]

    table, start = [], 0
    for stop in range(1, len(rows) + 1):
        if stop < len(rows) and printed[stop] == printed[start] and names[stop] < names[stop - 1]:
            continue
        share = (cumulative[stop] - cumulative[start]) / (stop - start)
        share = min(max(share, printed[start] - ROUNDING), printed[start] + ROUNDING)
        table += [(name.lower(), round(share, 7)) for name in names[start:stop]]
        start = stop
    return tuple(table)


def is_held_out(text: str) -> bool:
    """Whether a text belongs to the held-out tenth. The text alone decides, so no seed can leak one into training.

    >>> [is_held_out(name) for name in ("smith", "jones")]
    [False, True]
    """
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % 10 == 0


@lru_cache(maxsize=4)  # 2 MB each; a slider that asks for the world has no time to hash and encode all names
def _encoded(top: int) -> tuple[Int[Tensor, "N L"], Bool[Tensor, " N"]]:
    """The tokens of the most frequent names, and which of them are held out; callers copy and do not write."""
    names = [name for name, _ in census_table()[:top]]
    return VOCABULARY.encode(names), torch.tensor([is_held_out(name) for name in names])


@checked
def surnames(top: int = NAMES_ON_FILE, weighted: bool = False) -> World:
    """The world of real surnames: 27 symbols, at most 13 letters, nine tenths for training and one tenth held out.

    Names are split by name and not by row, so a held-out name never occurs in training, and a name stays on its side
    whatever `top` is. Rows keep the order of the census, most frequent first.

    Args:
        top: the number of names, the most frequent first.
        weighted: draw training rows by census frequency (Smith is 2,000 times as likely as the rarest name) instead
            of uniformly over names. The held-out set is the same in both cases and counts each name once.

    Returns:
        a `World` whose prompt is the bare end mark.

    Raises:
        ValueError: `top` is below 100 or above the number of names on file.

    >>> world = surnames()
    >>> len(world.train) + len(world.held_out), world.context
    (20000, 14)
    >>> world.vocabulary.decode(world.train.tokens[:3])
    ['smith', 'johnson', 'williams']

    Source: U.S. Census Bureau, 1990 Census Name Files, dist.all.last.
    """
    if not 100 <= top <= NAMES_ON_FILE:
        raise ValueError(
            f"top is {top}; expected 100 … {NAMES_ON_FILE}, the number of names on file. "
            "For fewer training names take surnames().subset(rows), which keeps the held-out set whole"
        )
    tokens, held_out = _encoded(top)
    return World(
        name="surnames" if top == NAMES_ON_FILE else f"surnames[top {top}]",
        vocabulary=VOCABULARY,
        train=Batch.from_tokens(tokens[~held_out], end=VOCABULARY.end),
        held_out=Batch.from_tokens(tokens[held_out], end=VOCABULARY.end),
        weights=torch.tensor([share for _, share in census_table()[:top]])[~held_out] if weighted else None,
    )


# ---- names as people write them --------------------------------------------------------------------------------------

SPELT_OUT = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i"}
"""Letters that no accent can be taken off."""


def letters_of(name: str) -> str:
    """A name in lower case, without accents, and without apostrophes, hyphens, dots and spaces.

    Raises:
        ValueError: what is left holds something other than a to z, such as a digit or another script.

    >>> [letters_of(name) for name in ("O'Neill", "Núñez", "Weiß-Łukasz", "de la Cruz")]
    ['oneill', 'nunez', 'weisslukasz', 'delacruz']
    """
    plain = "".join(SPELT_OUT.get(one, one) for one in name.casefold())
    parts = unicodedata.normalize("NFKD", plain)
    kept = "".join(one for one in parts if not unicodedata.combining(one) and unicodedata.category(one)[0] not in "PZS")
    if strange := sorted(set(kept) - set("abcdefghijklmnopqrstuvwxyz")):
        raise ValueError(
            f"the name {name!r} holds {strange}; expected letters that can be written with a to z, since the model "
            "has read no others: spell the name in Latin letters"
        )
    return kept
