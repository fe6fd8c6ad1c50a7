"""From a figure to what a page can hold: PNG bytes, an `<img>` with its alternative text, a figure with its caption."""

import base64
import html
import io
import math
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from IPython.display import Markdown, display
from jaxtyping import UInt8
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from kd_lab.viz.style import SHARPNESS, course_style

SMALLEST_LETTER = 7.5
"""Points at which a letter on the page can still be read."""


def pixels(figure: Figure) -> UInt8[np.ndarray, "height width 4"]:
    """The figure's pixels as they were last drawn, red, green, blue and opacity in 0 … 255."""
    return np.asarray(figure.canvas.buffer_rgba())


def encode_png(image: UInt8[np.ndarray, "height width 4"]) -> bytes:
    """Pixels to PNG as tightly as PNG can, without metadata: the same pixels give the same bytes.

    Their opacity is dropped, since figures stand on white.
    """
    packed = io.BytesIO()
    Image.fromarray(image).convert("RGB").save(packed, "PNG", compress_level=9)
    return packed.getvalue()


def encode_png_fast(image: UInt8[np.ndarray, "height width 4"]) -> bytes:
    """Pixels to PNG in a third of the time that Pillow takes at its fastest, for a picture that is looked at once.

    The time goes into choosing a filter for each row and into dropping the opacity. Flat drawings compress well without
    either: each row stands as it is, after the byte 0 that says so.

    Source: Portable Network Graphics (PNG) Specification, third edition, W3C 2025, sections 5 (chunks) and 9 (filters).

    >>> white = np.full((2, 3, 4), 255, np.uint8)
    >>> np.array_equal(np.asarray(Image.open(io.BytesIO(encode_png_fast(white)))), white)
    True
    """
    height, width, _ = image.shape
    rows = np.zeros((height, 1 + 4 * width), np.uint8)
    rows[:, 1:] = image.reshape(height, -1)
    eight_bits_rgba = (8, 6, 0, 0, 0)  # depth, colour type, and the standard's only compression, filters and order
    header = struct.pack(">II5B", width, height, *eight_bits_rgba)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def as_img(png: bytes, alt: str, width: int) -> str:
    """An `<img>` that carries its picture in itself, `width` CSS pixels wide and never wider than the page."""
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<img alt="{html.escape(alt)}" width="{width}" style="max-width:100%;height:auto" '
        f'src="data:image/png;base64,{data}">'
    )


def display_png(png: bytes, alt: str, width: int) -> None:
    """Put a PNG under the cell so that it lives in the saved notebook, with its alternative text and width in it.

    It goes as an `<img>`, since JupyterLab shows no alternative text for a bare PNG. Where a page shows no HTML, the
    text stands in for it.
    """
    display({"text/html": as_img(png, alt, width), "text/plain": alt}, raw=True)


def show(figure: Figure, caption: str, alt: str) -> None:
    """Show a static figure under the cell, with a caption that says what to see.

    Args:
        figure: from `new_figure` or one of the plots here.
        caption: Markdown; one or two sentences that point at what matters in the figure.
        alt: what the figure shows, for a reader who cannot see it.

    Raises:
        ValueError: the caption or the alternative text is empty, or letters are too small to read.
    """
    if not caption.strip() or not alt.strip():
        raise ValueError(
            f"a figure came with caption {caption!r} and alt {alt!r}; expected both to say something: "
            "the caption what to see, the alt text what is drawn"
        )
    with course_style():
        figure.canvas.draw()
    if (size := smallest_letter(figure)) < SMALLEST_LETTER:
        raise ValueError(
            f"a figure has letters of {size:g} points; expected at least {SMALLEST_LETTER:g}: name fewer things, or "
            "give them more room"
        )
    display_png(encode_png(pixels(figure)), alt, round(figure.bbox.width / SHARPNESS))
    display(Markdown(f"*{caption}*" if "*" not in caption else caption))


def drawn_texts(figure: Figure) -> Iterator[Text]:
    """The texts of a figure that a reader sees, without those of axes that are switched off.

    Ticks outside what their axis shows are left out as well: matplotlib keeps spare ones.
    """
    absent: set[Text] = set()
    for axes in figure.axes:
        for axis, interval in ((axes.xaxis, axes.viewLim.intervalx), (axes.yaxis, axes.viewLim.intervaly)):
            shown = axes.axison and axes.get_visible() and axis.get_visible()
            if not shown:
                absent.add(axis.label)
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if not shown or not min(interval) <= tick.get_loc() <= max(interval):
                    absent |= {tick.label1, tick.label2}
    for text in figure.findobj(Text):
        if text not in absent and text.get_text().strip() and text.get_visible():
            yield text


def smallest_letter(figure: Figure) -> float:
    """The size of the smallest text in a figure, in points; superscripts count as what they stand on.

    >>> from kd_lab.viz import new_figure
    >>> figure = new_figure()
    >>> _ = figure.text(0.1, 0.1, "small", fontsize=8), figure.text(0.1, 0.5, "large", fontsize=12)
    >>> smallest_letter(figure)
    8.0
    """
    return min((float(text.get_fontsize()) for text in drawn_texts(figure)), default=math.inf)
