"""Distributions over tokens as shaded tables: a row a context, a column a token."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from kd_lab.viz.style import FAINT


def draw_token_tables(figure: Figure, tables: Mapping[str, Float[np.ndarray, "C V"]], *, top: float = 1.0) -> None:
    """Probability tables side by side on one scale of shades.

    Args:
        figure: an empty figure.
        tables: title → probabilities, one row a context.
        top: the probability of the darkest shade.
    """
    panels = figure.subplots(1, len(tables), sharey=True)
    for axes, (title, table) in zip(np.atleast_1d(panels), tables.items(), strict=True):
        image = axes.imshow(table, vmin=0, vmax=top, cmap="Blues", aspect="auto", interpolation="nearest")
        axes.set(title=title, xlabel="token")
        axes.spines[:].set(visible=True, color=FAINT)
    np.atleast_1d(panels)[0].set_ylabel("context")
    figure.colorbar(image, ax=panels, label="probability")
