"""Own share × number of fixed texts, the one picture in which this lesson and lesson 06 agree."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from kd_lab.measure import mean_interval
from kd_lab.viz.explorer import Choice, Explorer
from kd_lab.viz.style import BASELINE, INK, STUDENT


def own_share_explorer(
    stored: Mapping[int, Float[np.ndarray, "N K"]], shares: Sequence[float], name: str = "own share"
) -> Explorer:
    """An explorer of stored runs: how near a student comes, by the number of fixed texts and by its own share.

    Left: KL(P‖Q) against the share, for every number of texts. Right: each run against the one with the same beginning
    and no text of its own.

    Args:
        stored: number of fixed texts → a row per seed, a column per share; the first share is 0.
        shares: λ of the columns.
        name: of the explorer.
    """
    means = {size: np.array([mean_interval(column) for column in rows.T]).T for size, rows in stored.items()}
    gains = {size: rows - rows[:, :1] for size, rows in stored.items()}

    def create(figure: Figure) -> dict[str, Any]:
        left, right = figure.subplots(1, 2)
        for size, (mean, _) in means.items():
            left.plot(shares, mean, color=BASELINE.color, linestyle="-", linewidth=1, alpha=0.6)
            left.annotate(f"{size:,}", (0, mean[0]), (-8, 0), textcoords="offset points", ha="right", va="center")
        (curve,) = left.plot(shares, shares, **STUDENT.points)
        band = left.fill_between(shares, 0, 0, facecolor=STUDENT.color, alpha=0.2, linewidth=0)
        (here,) = left.plot([0], [0], "o", markersize=15, markerfacecolor="none", markeredgecolor=INK)
        left.set(xlim=(-0.3, 1.06), ylim=(2.5, 3.6), xticks=shares, xlabel="own share λ", title="by fixed names")
        left.set_ylabel("KL(P‖Q), nats per name")
        lines = [
            right.plot(shares, shares, color=STUDENT.color, marker="s", markersize=5, linewidth=1, linestyle="-")[0]
            for _ in next(iter(gains.values()))
        ]
        right.axhline(0, color=INK, linewidth=0.8)
        right.set(xlim=(-0.06, 1.06), ylim=(-0.6, 0.4), xticks=shares, xlabel="own share λ")
        right.set(ylabel="nats per name, − is nearer", title="each seed against its own λ = 0")
        return {"curve": curve, "band": band, "here": here, "lines": lines}

    def update(artists: dict[str, Any], size: int, share: float) -> str:
        (mean, half), place = means[size], list(shares).index(share)
        artists["curve"].set_ydata(mean)
        artists["band"].set_data(shares, mean - half, mean + half)
        artists["here"].set_data([share], [mean[place]])
        for line, row in zip(artists["lines"], gains[size], strict=True):
            line.set_ydata(row)
        said = f"{size:,} fixed names, λ = {share:g}: {mean[place]:.2f} nats per name from the teacher"
        if place == 0:
            return f"{said}, with no text of the student's own."
        change, width = mean_interval(gains[size][:, place])
        return f"{said}, {abs(change):.2f} ± {width:.2f} {'nearer' if change < 0 else 'farther'} than with λ = 0."

    sizes = list(stored)
    return Explorer(
        name=name,
        controls=[
            Choice("fixed names", sizes, start=sizes[0]),
            Choice("own share λ", list(shares), start=shares[0]),
        ],
        create=create,
        update=update,
        size=(760, 310),
    )
