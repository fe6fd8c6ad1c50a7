"""Claims of a lesson, found by words of their sentences."""

from collections.abc import Iterable

from kd_lab.classroom.claim import Claim


def those(claims: Iterable[Claim], *words: str) -> list[Claim]:
    """The claims whose sentences hold all of these words, in their order."""
    return [claim for claim in claims if all(word in claim.sentence for word in words)]


def one(claims: Iterable[Claim], *words: str) -> Claim:
    """The one claim whose sentence holds all of these words; a ValueError if there is none, or another."""
    (match,) = those(claims, *words)
    return match
