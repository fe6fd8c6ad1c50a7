"""The rule of thumb for what to cut first, held against a measurement."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from kd_lab.lessons.l08_stacking.experiment import Rung, Runs


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
        "all three stages",
        "each of the three leaves a share of the bytes, and shares multiply",
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


SINGLE = {
    "quantize": lambda rung: not rung.distilled and not rung.pruned,
    "prune": lambda rung: not rung.distilled and rung.bits == 16,
    "distil": lambda rung: not rung.pruned and rung.bits == 16,
    "all three stages": lambda rung: rung.distilled and rung.pruned and rung.bits < 16,
}
"""Stage → whether a rung belongs to it."""


def smallest_rungs(runs: Runs, within: float) -> dict[str, Rung]:
    """Of each stage the rung with the smallest file within so many bits per character of the original's quality; the
    original itself, where there is none.
    """
    original = runs.at(False, 0, 16)
    limit = fmean(original.bits_per_character) + within
    good = [rung for rung in runs.rungs if fmean(rung.bits_per_character) < limit]
    return {
        stage: min([original, *filter(belongs, good)], key=lambda rung: rung.bytes) for stage, belongs in SINGLE.items()
    }


def smallest_files(runs: Runs, within: float) -> dict[str, float]:
    """How many times smaller than the original each stage gets, within so many bits per character of its quality."""
    original = runs.at(False, 0, 16)
    return {stage: original.bytes / rung.bytes for stage, rung in smallest_rungs(runs, within).items()}


def advice_table(advice: Mapping[str, Advice]) -> str:
    """Advice by bottleneck, in markdown: a row for each."""
    agrees = {True: "yes", False: "no", None: "–"}
    rows = [f"| {name} | {one.first} | {one.reason} | {agrees[one.agrees]} |" for name, one in advice.items()]
    return "\n".join(["| short of | first | because | measured so |", "|---|---|---|---|", *rows])
