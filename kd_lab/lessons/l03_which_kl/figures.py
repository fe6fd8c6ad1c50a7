"""The still pictures of lesson 03."""

def draw_plane(
    axes: Axes,
    teacher: Float[np.ndarray, "N N"],
    extent: tuple[float, float, float, float],
    circles: Sequence[tuple[float, float, float]],
    look: Look,
) -> None:
    """A teacher's density on the plane in shades, and circular students over it.

    Args:
        axes: where to draw.
        teacher: p at [row y, column x].
        extent: left, right, bottom, top of the square.
        circles: (x, y, σ) of each student; drawn at one and at two standard deviations.
        look: of the students.
    """
    axes.imshow(teacher, extent=extent, origin="lower", cmap="Blues", interpolation="bilinear", aspect="equal")
    angle = np.linspace(0, 2 * np.pi, 90)
    for x, y, width in circles:
        for radius in (width, 2 * width):
            axes.plot(x + radius * np.cos(angle), y + radius * np.sin(angle), **look.line)
    axes.set(xlim=extent[:2], ylim=extent[2:], xlabel="x", ylabel="y")


def draw_token_tables(figure: Figure, tables: Mapping[str, Float[np.ndarray, "C V"]], *, top: float = 1.0) -> None:
    """Probability tables side by side on one scale of shades.

    Args:
        figure: an empty figure.
        tables: title → probabilities, one row per context.
        top: the probability of the darkest shade.
    """
    panels = figure.subplots(1, len(tables), sharey=True)
    for axes, (title, table) in zip(np.atleast_1d(panels), tables.items(), strict=True):
        image = axes.imshow(table, vmin=0, vmax=top, cmap="Blues", aspect="auto", interpolation="nearest")
        axes.set(title=title, xlabel="token")
        axes.spines[:].set(visible=True, color=FAINT)
    np.atleast_1d(panels)[0].set_ylabel("context")
    figure.colorbar(image, ax=panels, label="probability")
