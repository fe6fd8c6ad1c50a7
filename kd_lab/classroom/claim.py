"""`claim(...)`: a sentence of the course beside the numbers just measured for it, and a verdict that travels.

A verdict must be the same on another processor and with other seeds. A claim about chance therefore names its
threshold, and the verdict depends on how far the mean stands from it in half widths of its 95 % interval: two of them,
and the claim holds or does not hold; fewer, and it is open.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from kd_lab.classroom.panel import Panel, show
from kd_lab.measure.interval import mean_interval
from kd_lab.optional_torch import Tensor

CLAIM_MIME = "application/vnd.kd-lab.claim+json"
"""The output in which an executed notebook carries a claim: the fields of `Claim` as JSON."""

MARGIN = 2.0
"""Half widths of the 95 % interval between a mean and its threshold from which on a verdict is given."""

Verdict = Literal["holds", "does not hold", "open"]


@dataclass(frozen=True)
class Claim:
    """A measured claim."""

    id: str
    sentence: str
    values: tuple[float, ...]  # one per seed; a single exact number where chance does not enter
    unit: str
    verdict: Verdict
    margin: float | None = None  # half widths from the nearest threshold, negative beyond it; None without thresholds
    scale: Literal["linear", "log"] = "linear"  # "log" for ratios: geometric mean, and an interval of factors
    over: str = "seeds"  # what the values are one each of

    @property
    def holds(self) -> bool:
        return self.verdict == "holds"

    @property
    def mean(self) -> float:
        """The mean, which is the geometric one on a log scale."""
        return math.exp(np.mean(np.log(self.values))) if self.scale == "log" else float(np.mean(self.values))

    @property
    def half_width(self) -> float | None:
        """Half width of the 95 % interval of the mean, on a log scale of its logarithm; None for one exact number."""
        if len(self.values) == 1:
            return None
        return mean_interval(np.log(self.values) if self.scale == "log" else self.values)[1]

    @property
    def low(self) -> float:
        half = self.half_width or 0.0
        return self.mean / math.exp(half) if self.scale == "log" else self.mean - half

    @property
    def high(self) -> float:
        half = self.half_width or 0.0
        return self.mean * math.exp(half) if self.scale == "log" else self.mean + half

    def measured(self) -> str:
        """The value with its interval and unit.

        >>> Claim("C00c", "", (0.40, 0.44, 0.45), "bits per character", "holds").measured()
        '0.43 ± 0.066 bits per character (95 %, 3 seeds)'
        >>> Claim("C05a", "", (10.0, 20.0, 40.0), "times", "holds", scale="log").measured()
        '20 times (95 %: 3.57 to 112, 3 seeds)'
        """
        if self.half_width is None:
            return f"{self.mean:.4g} {self.unit}".rstrip()
        if self.scale == "log":
            return (
                f"{self.mean:.3g} {self.unit} (95 %: {self.low:.3g} to {self.high:.3g}, {len(self.values)} {self.over})"
            )
        digits = 2 if self.half_width == 0 else int(np.clip(1 - np.floor(np.log10(self.half_width)), 0, 9))
        rounded = round(self.mean, digits) + 0.0  # which makes 0 of -0
        mean = f"{rounded:.{digits}f}" if 1e-6 < abs(self.mean) < 1e6 else f"{self.mean:.4g}"
        mean = mean.rstrip("0").rstrip(".") if "." in mean and "e" not in mean else mean
        return f"{mean} ± {self.half_width:.2g} {self.unit} (95 %, {len(self.values)} {self.over})".replace("  ", " ")

    def _ipython_display_(self) -> None:
        """Nothing: `claim` has shown its result, also where it is the last line of a cell."""

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self) | {"values": list(self.values)}
        if self.margin is not None and math.isinf(self.margin):
            fields["margin"] = math.copysign(1e9, self.margin)  # JSON has no infinity
        return fields

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Claim":
        return cls(**fields | {"values": tuple(fields["values"])})


def claim(
    identifier: str,
    sentence: str,
    values: float | int | Sequence[float | int] | np.ndarray | Tensor,
    *,
    above: float | int | None = None,
    below: float | int | None = None,
    holds: bool | np.bool_ | Tensor | None = None,
    unit: str = "",
    scale: Literal["linear", "log"] = "linear",
    over: str = "seeds",
) -> Claim:
    """Show a claim of the course beside the numbers that were measured for it.

    Args:
        identifier: its number, such as "C02f"; a claim with several measured parts is shown once per part.
        sentence: the finding, so that it can be read alone.
        values: one number per seed (at least three), or a single number where chance does not enter.
        above, below: the thresholds that the mean must keep to, one or both. The verdict is "holds" where the mean
            stands two half widths of its 95 % interval inside, "does not hold" as far outside, and "open" between.
        holds: instead of thresholds, the verdict itself, computed from the data in the same cell: for identities,
            counts and everything that chance does not enter.
        unit: of the values, such as "nats per position".
        scale: "log" for ratios, whose mean is then geometric and whose interval is one of factors.
        over: what the values are one each of, where it is not seeds: "texts", for a model that was trained once.

    Returns:
        The claim, as `make claims` will print it.

    Raises:
        ValueError: two values (too few for an interval), values that are not finite, ratios that are not positive, or
            neither or both of thresholds and `holds`.
    """
    numbers = _numbers(identifier, values, scale)
    thresholds = [float(one) for one in (above, below) if one is not None]
    if bool(thresholds) == (holds is not None):
        raise ValueError(
            f"claim {identifier} came with above={above}, below={below} and holds={holds}; expected thresholds where "
            "chance enters, or holds= where it does not, and not both"
        )
    margin = _margin(numbers, above, below, scale) if thresholds else None
    if margin is None:
        verdict: Verdict = "holds" if bool(holds) else "does not hold"
    else:
        verdict = "holds" if margin >= MARGIN else "does not hold" if margin <= -MARGIN else "open"
    result = Claim(identifier, sentence, numbers, unit, verdict, margin, scale, over)
    said = {"holds": "holds", "does not hold": "does not hold here", "open": f"open: the {over} do not decide it"}
    show(
        Panel(
            f"{identifier} · {sentence}",
            (f"Measured: {result.measured()} — {said[verdict]}.",),
            tone="good" if result.holds else "attention",
            data={CLAIM_MIME: result.to_json()},
        )
    )
    return result


def _numbers(identifier: str, values: Any, scale: str) -> tuple[float, ...]:
    numbers = np.asarray(values, dtype=np.float64)
    numbers = numbers.reshape(1) if numbers.ndim == 0 else numbers
    if numbers.ndim != 1 or len(numbers) in (0, 2):
        raise ValueError(
            f"claim {identifier} came with values of shape {np.shape(values)}; expected one per seed from at least "
            "three seeds, so that an interval can be given, or one exact number"
        )
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"claim {identifier} came with {numbers.tolist()}; expected finite numbers: find what diverged"
        )
    if scale == "log" and not (numbers > 0).all():
        raise ValueError(f"claim {identifier} came with {numbers.tolist()} on a log scale; expected numbers above 0")
    return tuple(float(number) for number in numbers)


def _margin(numbers: tuple[float, ...], above: float | None, below: float | None, scale: str) -> float:
    """Half widths from the mean to the nearest threshold, negative beyond it; infinite where nothing varies."""
    seen = np.log(numbers) if scale == "log" else np.asarray(numbers)
    mean, half_width = mean_interval(seen) if len(numbers) > 1 else (float(seen[0]), 0.0)
    limits = [math.log(one) if scale == "log" else float(one) for one in (above, below) if one is not None]
    signs = [sign for sign, one in ((1, above), (-1, below)) if one is not None]
    distance = min(sign * (mean - limit) for sign, limit in zip(signs, limits, strict=True))
    if half_width == 0:
        return math.copysign(math.inf, distance) if distance else 0.0
    return distance / half_width
