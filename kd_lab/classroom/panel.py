"""A short result shown in a notebook: as HTML where that renders, as plain text everywhere, as data for tools."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from IPython.display import display

TONES = {
    "good": "#1b7837",
    "plain": "#4d6a8a",
    "attention": "#b35806",
}  # told apart by words as well, never by colour alone


@dataclass(frozen=True)
class Panel:
    """A heading, paragraphs under it, and optionally lines in a fixed pitch and data in a MIME type of this course.

    >>> print(Panel("02.1 is right", ("Both cases agree.",)))
    02.1 is right
      Both cases agree.
    """

    heading: str
    paragraphs: Sequence[str] = ()
    listing: Sequence[str] = ()  # lines that keep their spacing, such as a counterexample
    tone: str = "plain"  # a key of TONES
    data: Mapping[str, Any] = field(default_factory=dict)  # MIME type -> JSON value
    style: str = ""  # CSS for the whole page

    def __str__(self) -> str:
        return "\n".join(
            [self.heading, *(f"  {line}" for line in self.paragraphs), *(f"    {line}" for line in self.listing)]
        )

    __repr__ = __str__

    def html(self) -> str:
        paragraphs = "".join(f"<div>{with_code(paragraph)}</div>" for paragraph in self.paragraphs)
        listing = html.escape("\n".join(self.listing))
        return (
            (f"<style>{self.style}</style>" if self.style else "")
            + f'<div style="border-left: 4px solid {TONES[self.tone]}; padding: 0.3em 0.9em; margin: 0.2em 0">'
            f"<strong>{with_code(self.heading)}</strong>{paragraphs}"
            + (f'<pre style="margin: 0.4em 0 0 1em">{listing}</pre>' if listing else "")
            + "</div>"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/plain": str(self), "text/html": self.html(), **self.data}


def with_code(text: str) -> str:
    """Text as HTML, what stands between backticks as code.

    >>> with_code("a < b, at the line `x = 1`")
    'a &lt; b, at the line <code>x = 1</code>'
    """
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def show(panel: Panel) -> None:
    """Display a panel in a notebook, or print its text where there is none."""
    display(panel)
