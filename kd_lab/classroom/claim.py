"""`claim(...)`: a sentence of the course beside what was just measured for it, and whether it holds."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from kd_lab.classroom.panel import Panel, show
from kd_lab.measure.interval import mean_interval

CLAIM_MIME = "application/vnd.kd-lab.claim+json"
"""The output in which an executed notebook carries a claim: the fields of `Claim` as JSON."""


@dataclass(frozen=True)
class Claim:
    """A measured claim."""

    id: str
    sentence: str
    values: tuple[float, ...]  # one per seed; a single exact number where chance does not enter
    unit: str
    holds: bool

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def half_width(self) -> float | None:
        """Half width of the 95 % interval of the mean; None for a single exact number."""
        return None if len(self.values) == 1 else mean_interval(self.values)[1]

    @property
    def low(self) -> float:
        return self.mean - (self.half_width or 0.0)

    @property
    def high(self) -> float:
        return self.mean + (self.half_width or 0.0)

    def measured(self) -> str:
        """The value with its interval and unit.

        >>> Claim("C00c", "", (0.40, 0.44, 0.45), "bits per character", True).measured()
        '0.43 ± 0.066 bits per character (95 %, 3 seeds)'
        """
        if self.half_width is None:
            return f"{self.mean:.4g} {self.unit}".rstrip()
        digits = 2 if self.half_width == 0 else int(np.clip(1 - np.floor(np.log10(self.half_width)), 0, 9))
        mean = f"{self.mean:.{digits}f}" if 1e-6 < abs(self.mean) < 1e6 else f"{self.mean:.4g}"
        mean = mean.rstrip("0").rstrip(".") if "." in mean else mean
        return f"{mean} ± {self.half_width:.2g} {self.unit} (95 %, {len(self.values)} seeds)".replace("  ", " ")

    def _ipython_display_(self) -> None:
        """Nothing: `claim` has shown its result, also where it is the last line of a cell."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"values": list(self.values)}

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Claim":
        return cls(**fields | {"values": tuple(fields["values"])})


def claim(
    identifier: str,
    sentence: str,
    values: float | int | Sequence[float | int] | np.ndarray | Tensor,
    *,
    holds: bool | np.bool_ | Tensor,
    unit: str = "",
) -> Claim:
    """Show a claim of the course beside what was measured for it.

    Args:
        identifier: its number, such as "C02f"; a claim with several measured parts is shown once per part.
        sentence: the claim, so that it can be read alone.
        values: one number per seed (at least three), or a single number where chance does not enter.
        holds: whether the claim holds, computed from the data in the same cell, so that the rule can be read.
        unit: of the values, such as "nats per position".

    Returns:
        The claim, as `make claims` will print it.

    Raises:
        ValueError: two values (too few for an interval), or values that are not finite.
    """
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
    result = Claim(identifier, sentence, tuple(float(number) for number in numbers), unit, bool(holds))
    verdict = "holds" if result.holds else "does not hold here"
    show(
        Panel(
            f"{identifier} · {sentence}",
            (f"Measured: {result.measured()} — {verdict}.",),
            tone="good" if result.holds else "attention",
            data={CLAIM_MIME: result.to_json()},
        )
    )
    return result
