"""One look for the whole course: which colour, line and marker stand for what, and how figures are set.

The colours are Okabe and Ito's eight and a wine red of Paul Tol's, which stay apart under every common form of colour
blindness. Colour is never alone: each look has a line style and a marker of its own, so that a figure survives a
black-and-white printer.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 100  # one figure pixel is one CSS pixel at this resolution; text sizes below are chosen for it
SHARPNESS = 2  # device pixels per figure pixel, so that pictures stay crisp on dense screens and on paper

INK = "#222222"
FAINT = "#9a9a9a"


@dataclass(frozen=True)
class Look:
    """The look of one quantity, wherever it appears.

    >>> TEACHER.line
    {'color': '#0072B2', 'linestyle': '-', 'linewidth': 2.0}
    """

    label: str
    color: str
    linestyle: str | tuple[int, tuple[int | float, ...]]
    marker: str
    hatch: str = ""  # for bars and areas; stands in for the line style

    @property
    def line(self) -> dict:
        """Keyword arguments for `axes.plot` of a smooth curve."""
        return {"color": self.color, "linestyle": self.linestyle, "linewidth": 2.0}

    @property
    def points(self) -> dict:
        """Keyword arguments for `axes.plot` of measured points, joined by a line."""
        return self.line | {"marker": self.marker, "markersize": 6}

    @property
    def area(self) -> dict:
        """Keyword arguments for bars and filled areas."""
        return {"facecolor": self.color, "edgecolor": "white", "hatch": self.hatch, "linewidth": 0.0}


TEACHER = Look("teacher", "#0072B2", "-", "o")
STUDENT = Look("student", "#D55E00", (0, (5, 2)), "s", "////")
BASELINE = Look("baseline", "#6b6b6b", (0, (1, 1.5)), "x", "....")

DIVERGENCES = {
    "forward_kl": Look("forward KL", "#009E73", "-", "^"),
    "reverse_kl": Look("reverse KL", "#CC79A7", (0, (5, 2)), "v", "////"),
    "jsd": Look("JSD", "#E69F00", (0, (6, 2, 1, 2)), "D", "xxxx"),
    "skew_kl": Look("skew KL", "#56B4E9", (0, (3, 1.5, 1, 1.5, 1, 1.5)), "P", "...."),
    "skew_reverse_kl": Look("skew reverse KL", "#882255", (0, (8, 2, 2, 2)), "X", "\\\\\\\\"),
    "total_variation": Look("total variation", "#000000", (0, (1, 1.5)), "*", "++++"),
}
"""Looks by the name that `softmax_kl(divergence=…)` takes."""

SETTINGS = {
    "font.family": "DejaVu Sans",  # travels with matplotlib, so that a figure has the same pixels on every machine
    "font.size": 10.5,
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10.5,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.prop_cycle": matplotlib.cycler(
        color=["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
    )
    + matplotlib.cycler(linestyle=["-", "--", "-.", ":", (0, (6, 2, 1, 2)), (0, (3, 1.5)), (0, (1, 1.5))]),
    "hatch.linewidth": 0.6,
    "hatch.color": "white",
    "image.cmap": "cividis",  # monotone in lightness and readable without red or green
    "figure.facecolor": "white",
}


@contextmanager
def course_style() -> Iterator[None]:
    """The course's settings for what is drawn inside; the reader's own settings are back afterwards."""
    with matplotlib.rc_context(SETTINGS):
        yield


def new_figure(width: int = 760, height: int = 340) -> Figure:
    """An empty figure of a fixed size in CSS pixels, outside pyplot: nothing to close, nothing that piles up.

    >>> new_figure(760, 340).get_size_inches().tolist()
    [7.6, 3.4]
    """
    with course_style():
        figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI * SHARPNESS, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
