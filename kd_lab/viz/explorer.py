"""The explorer: one picture, at most three controls, and a sentence that reads the picture out.

Redrawing on every move must keep up with a held arrow key. What costs time in matplotlib is building figures, laying
them out and drawing axes and text, none of which changes while a control moves. So the figure is built once, its layout
is computed once and frozen, everything that stands still is drawn once and kept as pixels, and a move draws only the
artists that `create` handed out, on top of those pixels.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import ipywidgets
import numpy as np
from IPython.display import display
from matplotlib.artist import Artist

from kd_lab.viz.aria import EXPLORER_CLASS, labels
from kd_lab.viz.controls import Choice, Control, Slider, Text
from kd_lab.viz.page import describe, error_page, frame_page, show_filmstrip
from kd_lab.viz.picture import encode_png_fast, pixels
from kd_lab.viz.style import DPI, SHARPNESS, course_style, new_figure

__all__ = ["EXPLORERS", "Choice", "Explorer", "Frame", "Slider", "Text"]

EXPLORERS: dict[str, "Explorer"] = {}
"""Every explorer of this session by its name, so that a test can sweep them all."""

Settings = Mapping[str, Any]  # control name → value


@dataclass(frozen=True)
class Frame:
    """One picture and the sentence that reads it out."""

    png: bytes
    sentence: str


class Explorer:
    """A picture that answers to at most three controls.

    Args:
        name: unique in the session. An explorer of the same name takes the place of the earlier one, so that a cell
            can be run again.
        controls: one to three of `Slider`, `Choice`, `Text`.
        create: `create(figure) -> artists`. Draws everything once, with its final axis limits, and returns the artists
            that will move, in any nest of lists, tuples, dicts or a SimpleNamespace.
        update: `update(artists, *values) -> sentence`. Moves the artists to the controls' values, in the order of
            `controls`, and returns what is to be seen, as one plain sentence with its numbers. Anything else it changes
            (a title, a limit, new artists) is noticed and drawn too, only more slowly.
        presets: name → settings (control name → value). A control that a preset leaves out returns to its start.
        size: of the picture, in CSS pixels.

    Raises:
        ValueError: more than three controls, two of one name, a preset that a control cannot take, an `update` that
            returns no sentence.

    >>> import numpy as np
    >>> logits = np.array([2.0, 1.0, 0.0, -1.0])
    >>> def create(figure):
    ...     axes = figure.subplots()
    ...     axes.set(ylim=(0, 1), xlabel="letter", ylabel="probability")
    ...     return axes.bar(["a", "b", "c", "d"], np.zeros(4))
    >>> def update(bars, temperature):
    ...     p = np.exp(logits / temperature)
    ...     p /= p.sum()
    ...     for bar, height in zip(bars, p):
    ...         bar.set_height(height)
    ...     return f"At τ = {temperature:g} the entropy is {-(p * np.log(p)).sum():.2f} nats."
    >>> explorer = Explorer(
    ...     name="temperature",
    ...     controls=[Slider("temperature τ", 0.25, 8.0, 0.25, start=1.0)],
    ...     create=create,
    ...     update=update,
    ...     presets={"sharp": {"temperature τ": 0.5}, "soft": {"temperature τ": 4.0}},
    ... )
    >>> explorer.sentence
    'At τ = 1 the entropy is 0.95 nats.'
    >>> explorer.set({"temperature τ": 4.0})
    >>> explorer.sentence
    'At τ = 4 the entropy is 1.35 nats.'

    In a notebook, `explorer.show()` puts it under the cell and `explorer.filmstrip()` a static twin under that.
    """

    def __init__(
        self,
        *,
        name: str,
        controls: Sequence[Control],
        create: Callable[..., Any],
        update: Callable[..., str],
        presets: Mapping[str, Settings] | None = None,
        size: tuple[int, int] = (760, 340),
    ):
        names = [control.name for control in controls]
        if not 1 <= len(names) <= 3 or len(set(names)) < len(names):
            raise ValueError(
                f"explorer {name!r} came with the controls {names}; expected one to three with different names: "
                "one idea per explorer, and another explorer for the next"
            )
        self.name, self.controls, self.size = name, tuple(controls), size
        self.presets = dict(presets or {})
        for preset in self.presets.values():
            self._complete(preset)

        self.figure = new_figure(*size)
        self._update = update
        with course_style():
            self._artists = create(self.figure)
            self._moving = sorted(_artists_in(self._artists), key=lambda artist: artist.get_zorder())
            self._update(self._artists, *(control.start for control in controls))
            self._freeze_layout()
        self._still = None  # pixels of what does not move
        self._redraws = True  # False while several controls are set as one move
        self.error: Exception | None = None  # what stands in the picture's place, if anything
        self.frame = self.draw({})
        self._build_widgets()

        if name in EXPLORERS:
            EXPLORERS[name].close()
        EXPLORERS[name] = self

    # ---- settings ------------------------------------------------------------------------------------------------

    @property
    def start(self) -> dict[str, Any]:
        return {control.name: control.start for control in self.controls}

    @property
    def values(self) -> dict[str, Any]:
        """The controls' settings now."""
        return {control.name: holder.value for control, holder in zip(self.controls, self._holders, strict=True)}

    @property
    def sentence(self) -> str:
        return self.frame.sentence

    def _complete(self, settings: Settings) -> dict[str, Any]:
        """Settings for every control: those given, checked, and the start of the others."""
        if strange := sorted(set(settings) - set(self.start)):
            raise ValueError(
                f"explorer {self.name!r} was set with {strange}, which it has no control for; "
                f"its controls are {list(self.start)}"
            )
        for control in self.controls:
            if control.name in settings:
                control.check(settings[control.name])
        return self.start | dict(settings)

    def set(self, settings: Settings) -> None:
        """Move the controls to these settings as one move; a control that is left out returns to its start."""
        complete = self._complete(settings)
        self._redraws = False
        try:
            for control, holder in zip(self.controls, self._holders, strict=True):
                holder.value = complete[control.name]
        finally:
            self._redraws = True
        self._refresh()

    def reset(self) -> None:
        """Back to where every control started."""
        self.set({})

    # ---- drawing -------------------------------------------------------------------------------------------------

    def draw(self, settings: Settings) -> Frame:
        """The picture and sentence for these settings. Leaves the controls where they are.

        Raises:
            ValueError: `update` returned no sentence. Whatever `update` itself raises passes through.
        """
        sentence = self._redraw(settings)
        return Frame(encode_png_fast(pixels(self.figure)), sentence)

    def _redraw(self, settings: Settings) -> str:
        canvas = self.figure.canvas
        sentence = self._update(self._artists, *self._complete(settings).values())
        if not isinstance(sentence, str) or not sentence.strip():
            raise ValueError(
                f"update of explorer {self.name!r} returned {sentence!r}; expected a sentence that reads the picture "
                'out, such as "At τ = 4 the entropy is 2.31 nats."'
            )
        if self._still is None or self.figure.stale:  # something beside the moving artists changed
            with course_style():
                canvas.draw()
            self._still = canvas.copy_from_bbox(self.figure.bbox)
        canvas.restore_region(self._still)
        for artist in self._moving:
            if artist.get_figure() is not None:  # update may have removed it
                artist.draw(canvas.renderer)
        return sentence

    def _freeze_layout(self) -> None:
        """Lay out once with the starting values, then never again: axes that jump cannot be compared."""
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")
        for axes in self.figure.axes:
            axes.set_autoscale_on(False)
        for artist in self._moving:
            artist.set_animated(True)  # matplotlib leaves these out of what it draws by itself

    # ---- the page ------------------------------------------------------------------------------------------------

    def _build_widgets(self) -> None:
        built = [control.widgets() for control in self.controls]
        self._holders = [holder for holder, _ in built]
        for holder in self._holders:
            holder.observe(self._on_move, names="value")
        buttons = [
            _button(name, lambda _, preset=preset: self.set(preset), f"Set the controls to: {describe(preset)}")
            for name, preset in self.presets.items()
        ]
        buttons.append(_button("Reset", lambda _: self.reset(), f"Back to {describe(self.start)}"))
        row = ipywidgets.Layout(flex_flow="row wrap")
        self._view = ipywidgets.HTML(frame_page(self.frame.png, self.sentence, self.size))
        shown = [labels(self.controls), ipywidgets.HBox(buttons, layout=row), self._view]
        self.box = ipywidgets.VBox([*(one for _, one in built), *shown])
        self.box.add_class(EXPLORER_CLASS)

    def _on_move(self, _change: Any) -> None:
        if self._redraws:
            self._refresh()

    def _refresh(self) -> None:
        """Draw what the controls say. An error takes the picture's place: an old picture would pass for the new one."""
        try:
            self.frame = self.draw(self.values)
            self.error = None
            self._view.value = frame_page(self.frame.png, self.sentence, self.size)
        except Exception as error:
            self._still = None  # update may have stopped halfway
            self.error = error
            self._view.value = error_page(error, describe(self.values), self.size)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        bundle = dict(self.box._repr_mimebundle_())
        bundle["text/plain"] = f"Explorer “{self.name}”: run this cell to move it. {self.sentence}"
        return bundle

    def show(self) -> None:
        """Put the explorer under the cell."""
        display(self)

    def close(self) -> None:
        """Take the explorer off the page and free its widgets."""
        EXPLORERS.pop(self.name, None)
        for widget in _widgets_in(self.box):
            widget.close()

    # ---- the static twin -----------------------------------------------------------------------------------------

    def filmstrip(self, settings: Sequence[Settings | str] | None = None) -> None:
        """Show a few settings one under the other, for a page that no kernel runs behind.

        Args:
            settings: three to five of them, each a dict or a preset's name. By default the start and the first presets,
                or the first control's extremes where there are no presets.
        """
        show_filmstrip(self, settings)

    def small_frame(self, settings: Settings, scale: float) -> tuple[np.ndarray, str]:
        """Pixels and sentence of a smaller frame: drawn at that size, so that its text stays sharp."""
        try:
            self.figure.dpi = DPI * SHARPNESS * scale
            sentence = self._redraw(settings)
            return pixels(self.figure).copy(), sentence
        finally:
            self.figure.dpi = DPI * SHARPNESS
            self._still = None


def _button(name: str, on_click: Callable, tooltip: str) -> ipywidgets.Button:
    button = ipywidgets.Button(description=name, tooltip=tooltip, layout=ipywidgets.Layout(width="auto"))
    button.on_click(on_click)
    return button


def _artists_in(nest: Any) -> Iterator[Artist]:
    """Every artist in a nest of lists, tuples (matplotlib's containers are tuples), dicts and namespaces."""
    if isinstance(nest, Artist):
        yield nest
    elif isinstance(nest, SimpleNamespace | Mapping | list | tuple):
        if isinstance(nest, SimpleNamespace):
            nest = vars(nest)
        for part in nest.values() if isinstance(nest, Mapping) else nest:
            yield from _artists_in(part)


def _widgets_in(widget: ipywidgets.Widget) -> Iterator[ipywidgets.Widget]:
    """A widget and all that lives with it: what it contains, and the widgets that hold its layout and style."""
    for part in (*getattr(widget, "children", ()), getattr(widget, "layout", None), getattr(widget, "style", None)):
        if isinstance(part, ipywidgets.Widget):
            yield from _widgets_in(part)
    yield widget
