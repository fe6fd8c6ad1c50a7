"""The three kinds of control an explorer has: a number, a choice among few, a short text.

A control is a description without state; `widgets` builds what the page shows. ipywidgets' sliders have no accessible
name, so a slider here is paired with a number box that has one: both move together, and a reader on the keyboard or
with a screen reader uses the box.

The pair meets in the kernel and not through jslink in the browser: there a slider answers every new value with its own
rounding of it (4.25 comes back as 4.250000000000001, a typed 2.1 as 2.0), so a linked box loses key presses and cannot
hold a number between two steps. The slider here counts whole steps, which come back as they went.

A choice is a row of buttons and no menu: in JupyterLab a menu never gets its keys. The notebook takes the arrows, to go
to another cell, and a "b", to insert one; buttons keep Tab and Space.
"""

from dataclasses import dataclass
from typing import Any

import ipywidgets
from ipywidgets import Layout

NAME = "13em"
"""The width of a control's name, in which some twenty-five letters stand whole."""

LABEL = {"description_width": NAME}


@dataclass(frozen=True)
class Slider:
    """A number in `low` … `high`. Whole numbers throughout make a slider of whole numbers.

    >>> Slider("width", 1, 8, 1, start=2).extremes
    (1, 2, 8)
    """

    name: str
    low: int | float
    high: int | float
    step: int | float
    start: int | float

    def __post_init__(self):
        if not (self.low <= self.start <= self.high and self.low < self.high and self.step > 0):
            raise ValueError(
                f"slider {self.name!r} came with low={self.low}, high={self.high}, step={self.step}, "
                f"start={self.start}; expected low ≤ start ≤ high, low < high and step > 0"
            )
        if abs(self.at(self.position(self.high)) - self.high) > 1e-9:
            raise ValueError(
                f"slider {self.name!r} goes from {self.low} in steps of {self.step} and never meets its high, "
                f"{self.high}; expected a whole number of steps between: {self.at(self.position(self.high))} would do"
            )

    @property
    def whole(self) -> bool:
        return all(isinstance(x, int) for x in (self.low, self.high, self.step, self.start))

    @property
    def extremes(self) -> tuple[int | float, ...]:
        return self.low, self.start, self.high

    def position(self, value: int | float) -> int:
        """How many steps from the low end, to the nearest."""
        return round((value - self.low) / self.step)

    def at(self, position: int) -> int | float:
        """The value so many steps from the low end, without the dust of binary fractions.

        >>> Slider("β", 0.0, 1.0, 0.1, start=0.5).at(3)
        0.3
        """
        return round(self.low + position * self.step, 10)

    def check(self, value: Any) -> None:
        """Raises ValueError when the slider cannot take this value."""
        if not isinstance(value, int if self.whole else (int, float)) or not self.low <= value <= self.high:
            kind = "a whole number" if self.whole else "a number"
            raise ValueError(f"{self.name!r} was set to {value!r}; expected {kind} in {self.low} … {self.high}")

    def widgets(self) -> tuple[ipywidgets.Widget, ipywidgets.Widget]:
        """The widget that holds the value, and the row to show."""
        box_kind = ipywidgets.BoundedIntText if self.whole else ipywidgets.BoundedFloatText
        box = box_kind(
            min=self.low,
            max=self.high,
            step=self.step,
            value=self.start,
            description=self.name,
            style=LABEL,
            layout=Layout(width="20em"),
        )
        slider = ipywidgets.IntSlider(
            min=0,
            max=self.position(self.high),
            value=self.position(self.start),
            readout=False,
            layout=Layout(width="18em"),
        )

        def follow_box(_change: Any) -> None:
            slider.value = self.position(box.value)

        def follow_slider(_change: Any) -> None:
            if self.position(box.value) != slider.value:  # a box between two steps keeps its number
                box.value = self.at(slider.value)

        box.observe(follow_box, names="value")
        slider.observe(follow_slider, names="value")
        return box, ipywidgets.HBox([box, slider])


@dataclass(frozen=True)
class Choice:
    """One of a few named options, of any kind.

    >>> Choice("direction", ["forward", "reverse"], start="forward").extremes
    ('forward', 'reverse')
    """

    name: str
    options: tuple | list
    start: Any

    def __post_init__(self):
        self.check(self.start)

    @property
    def extremes(self) -> tuple:
        return tuple(self.options)

    def check(self, value: Any) -> None:
        """Raises ValueError when the value is no option."""
        if value not in self.options:
            raise ValueError(f"{self.name!r} was set to {value!r}; expected one of {list(self.options)}")

    def widgets(self) -> tuple[ipywidgets.Widget, ipywidgets.Widget]:
        """The widget that holds the value, and the row to show."""
        buttons = ipywidgets.ToggleButtons(
            options=[(str(option), option) for option in self.options],
            value=self.start,
            tooltips=[f"{self.name}: {option}" for option in self.options],
            style={"button_width": "auto"},
        )
        # a description of its own would stand above the buttons; this one lines up with those of sliders
        name = ipywidgets.Label(
            self.name, layout=Layout(flex=f"0 0 {NAME}", display="flex", justify_content="flex-end")
        )
        return buttons, ipywidgets.HBox([name, buttons], layout=Layout(max_width="760px"))


@dataclass(frozen=True)
class Text:
    """A short text, such as the prefix that walks a tree. The picture follows letter by letter.

    A text that is not legal is for `update` to refuse, with a ValueError that says how to fix it.

    >>> Text("prefix", start="ma").extremes
    ('', 'ma')
    """

    name: str
    start: str = ""

    @property
    def extremes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(("", self.start)))

    def check(self, value: Any) -> None:
        """Raises ValueError when the value is no text."""
        if not isinstance(value, str):
            raise ValueError(f"{self.name!r} was set to {value!r}; expected a text in quotes")

    def widgets(self) -> tuple[ipywidgets.Widget, ipywidgets.Widget]:
        """The widget that holds the value, and the row to show (the same one)."""
        field = ipywidgets.Text(
            value=self.start,
            description=self.name,
            style=LABEL,
            layout=Layout(width="28em"),
            continuous_update=True,
        )
        return field, field


Control = Slider | Choice | Text
