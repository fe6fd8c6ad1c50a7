"""Names as people write them, read with the 26 letters that a model of the census knows."""

import unicodedata

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
