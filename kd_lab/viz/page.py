"""An explorer's place on the page: picture and sentence, the error that takes their place, and the static twin."""

import html
import re
import traceback
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from IPython.display import Markdown, display
from PIL import Image, ImageDraw

from kd_lab.viz.picture import as_img, display_png, encode_png, label_font
from kd_lab.viz.style import INK, SHARPNESS

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
    """A few settings of an explorer side by side as one picture, with a sentence for each under it."""
    if settings is None:
        settings = [{}, *explorer.presets][:5] if explorer.presets else extremes_of_first(explorer)
    chosen = [explorer.presets[s] if isinstance(s, str) else s for s in settings]
    labels = [
        f"{s}: {describe(preset)}" if isinstance(s, str) else describe(s or explorer.start)
        for s, preset in zip(settings, chosen, strict=True)
    ]
    images, sentences = zip(*(explorer.small_frame(setting) for setting in chosen), strict=True)
    lines = [f"{chr(ord('a') + i)}. {label}. {s}" for i, (label, s) in enumerate(zip(labels, sentences, strict=True))]
    strip = montage(images, [f"{chr(ord('a') + i)}  {label}" for i, label in enumerate(labels)])
    display_png(encode_png(strip), " ".join(lines), strip.shape[1] // SHARPNESS)
    display(Markdown("\n\n".join(f"**{line[:2]}** {as_markdown(line[3:])}" for line in lines)))


def as_markdown(text: str) -> str:
    """A text, from wherever it comes, such that a Markdown cell shows it and runs nothing.

    >>> as_markdown("<img src=x> *p* < q")
    '&lt;img src=x&gt; \\\\*p\\\\* &lt; q'
    """
    return re.sub(r"([\\`*_\[\]$~|])", r"\\\1", html.escape(text, quote=False))


def extremes_of_first(explorer: "Explorer") -> list[Settings]:
    """The first control at its extremes, for an explorer without presets."""
    first = explorer.controls[0]
    return [{first.name: value} for value in dict.fromkeys(first.extremes)][:5]


def montage(images: Sequence[np.ndarray], labels: Sequence[str]) -> np.ndarray:
    """Pictures of one size in two columns, each under its label."""
    height, width, _ = images[0].shape
    head, gap = 24 * SHARPNESS, 12 * SHARPNESS
    rows = (len(images) + 1) // 2
    page = Image.new("RGBA", (2 * width + gap, rows * (head + height + gap) - gap), "white")
    pen = ImageDraw.Draw(page)
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        left, top = (i % 2) * (width + gap), (i // 2) * (head + height + gap)
        pen.text((left + 6, top + head // 2), label, fill=INK, font=label_font(11 * SHARPNESS), anchor="lm")
        page.paste(Image.fromarray(image), (left, top + head))
    return np.asarray(page)
