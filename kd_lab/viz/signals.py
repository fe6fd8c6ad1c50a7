"""What a teacher tells a student at each position of a text, as a map of numbers."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from kd_lab.viz.style import TEACHER

_PAPER_TO_TEACHER = LinearSegmentedColormap.from_list("paper_to_teacher", ["#ffffff", TEACHER.color])


def draw_targets(axes: Axes, targets: Float[np.ndarray, "T V"], text: Sequence[str], symbols: Sequence[str]) -> None:
    """One column a position of the text, one row a token of the vocabulary; the darker, the more probable.

    Args:
        axes: where to draw.
        targets: at each position, the probabilities that the student is given as its target.
        text: the T tokens that stand there, for the labels under the columns.
        symbols: the V tokens of the vocabulary, for the labels of the rows.
    """
    # the square root keeps small probabilities visible beside large ones
    axes.imshow(np.sqrt(targets.T), cmap=_PAPER_TO_TEACHER, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_xticks(range(len(text)), text)
    axes.set_yticks(range(len(symbols)), symbols, fontsize=7)
    axes.tick_params(length=0)
    for edge in np.arange(len(text) - 1) + 0.5:
        axes.axvline(edge, color="white", linewidth=1.5)
    axes.set_xlabel("the token that came next")
