"""The rule of thumb for what to cut first, held against a measurement."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """The first move, and why."""

    first: str
    reason: str
    agrees: bool | None  # whether the measurement ranks it first, too; None: nothing was measured


RULES = {
    "memory": (
        "quantize",
        "every byte of the weights crosses the bus for every token, and bits fall without any training",
    ),
    "latency": (
        "fewer layers",
        "layers run one after another, and a narrower layer takes as long to start",
    ),
    "arithmetic": (
        "narrower layers",
        "without whole heads and channels every product is smaller, and any kernel computes it faster",
    ),
    "text only": (
        "sequence-level distillation",
        "rounding and pruning need the weights, word-level distillation the logits; this needs neither",
    ),
    "size": (
        "the whole stack",
        "the three cut different factors, and factors multiply",
    ),
}
"""The first move and the reason, by bottleneck."""


def advise(bottleneck: str, measured: Mapping[str, float] | None = None) -> Advice:
    """The rule of thumb for a bottleneck, held against a measurement if there is one.

    Args:
        bottleneck: "memory", "latency", "arithmetic", "text only" (the teacher gives nothing else) or "size".
        measured: the gain of each move that was tried, in times as fast or times smaller; the rule's own move has to be
            among them, under its name here.

    Raises:
        ValueError: an unknown bottleneck, or a measurement without the rule's own move.

    >>> advise("memory").first
    'quantize'
    >>> advice = advise("latency", {"quantize": 0.9, "fewer layers": 2.0, "narrower layers": 1.3})
    >>> advice.agrees
    True
    >>> print(advice.reason)
    layers run one after another, and a narrower layer takes as long to start (measured: fewer layers 2.0 ×, narrower \
layers 1.3 ×, quantize 0.9 ×)
    """
    if bottleneck not in RULES:
        raise ValueError(f"bottleneck is {bottleneck!r}; expected one of {', '.join(map(repr, RULES))}")
    first, reason = RULES[bottleneck]
    if measured is None:
        return Advice(first, reason, None)
    if first not in measured:
        raise ValueError(
            f"measured holds {', '.join(map(repr, measured))}; expected {first!r} among them, which the rule for "
            f"{bottleneck!r} puts first"
        )
    ranking = sorted(measured, key=measured.__getitem__, reverse=True)
    numbers = ", ".join(f"{move} {measured[move]:.1f} ×" for move in ranking)
    return Advice(first, f"{reason} (measured: {numbers})", ranking[0] == first)
