"""An explorer's place on the page: picture and sentence, the error that takes their place, and the static twin."""

import html
import traceback
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from IPython.display import display

from kd_lab.viz.picture import SMALLEST_LETTER, as_img, encode_png, smallest_letter
from kd_lab.viz.style import SHARPNESS

if TYPE_CHECKING:
    from kd_lab.viz.explorer import Explorer

Settings = Mapping[str, Any]  # control name → value


def describe(settings: Settings) -> str:
    """Settings as a reader writes them down.

    >>> describe({"τ": 2.0, "case": "lower"})
    'τ = 2, case = lower'
    """
    return ", ".join(f"{name} = {f'{v:g}' if isinstance(v, float) else v}" for name, v in settings.items())


def frame_page(png: bytes, sentence: str, size: tuple[int, int]) -> str:
    """Picture and sentence in one message, so that the two never disagree on the page."""
    return (
        f'<figure style="margin:0;width:{size[0]}px;max-width:100%">{as_img(png, sentence, size[0])}'
        f'<figcaption role="status" aria-live="polite" style="line-height:1.4;min-height:2.8em">'
        f"{html.escape(sentence)}</figcaption></figure>"
    )


def error_page(error: Exception, settings: str, size: tuple[int, int]) -> str:
    """An error in the picture's place. A ValueError says all; for the rest the line where it arose helps."""
    where = ""
    if not isinstance(error, ValueError):
        last = traceback.extract_tb(error.__traceback__)[-1]
        code = f"<code>{html.escape(last.line or '')}</code>"
        where = f"<p>It arose in <code>{html.escape(last.name)}</code>, line {last.lineno}: {code}</p>"
    return (
        f'<div role="alert" style="width:{size[0] - 36}px;min-height:{size[1] - 36}px;max-width:100%;'
        f'padding:16px;border:2px solid #B00020;line-height:1.4">'
        f"<p><b>No picture for {html.escape(settings)}.</b></p>"
        f"<p><code>{type(error).__name__}</code>: {html.escape(str(error))}</p>{where}"
        f"<p>Choose another setting or press Reset. If every setting fails, fix the cell that builds "
        f"this explorer and run it again.</p></div>"
    )


def show_filmstrip(explorer: "Explorer", settings: Sequence[Settings | str] | None) -> None:
    """A few settings of an explorer, one under the other: each as a picture with its setting and sentence beside it.

    The pictures are as small as their smallest letter allows.
    """
    if settings is None:
        settings = [{}, *explorer.presets][:5] if explorer.presets else extremes_of_first(explorer)
    chosen = [explorer.presets[s] if isinstance(s, str) else s for s in settings]
    labels = [s if isinstance(s, str) else describe(s or explorer.start) for s in settings]
    smallest = []
    for setting in chosen:
        explorer.draw(setting)
        smallest.append(smallest_letter(explorer.figure))
    scale = min(1.0, SMALLEST_LETTER / min(smallest))
    frames = [explorer.small_frame(setting, scale) for setting in chosen]
    rows, lines = [], []
    for mark, label, (image, sentence) in zip("abcde", labels, frames, strict=False):
        rows.append(strip_row(encode_png(image), image.shape[1] // SHARPNESS, f"{mark}. {label}", sentence))
        lines.append(f"{mark}. {label}. {sentence}")
    display({"text/html": "\n".join(rows), "text/plain": "\n".join(lines)}, raw=True)


def strip_row(png: bytes, width: int, heading: str, sentence: str) -> str:
    """A picture and, where the page is wide enough beside it and else under it, what it shows."""
    return (
        f'<div style="display:flex;flex-wrap:wrap;column-gap:16px;margin-bottom:12px">{as_img(png, sentence, width)}'
        f'<div style="flex:1 1 200px;max-width:{width}px;line-height:1.4">'
        f"<p><strong>{html.escape(heading)}</strong></p><p>{html.escape(sentence)}</p></div></div>"
    )


def extremes_of_first(explorer: "Explorer") -> list[Settings]:
    """The first control at its extremes, for an explorer without presets."""
    first = explorer.controls[0]
    return [{first.name: value} for value in dict.fromkeys(first.extremes)][:5]
