"""From a figure to what a page can hold: PNG bytes, an `<img>` with its alternative text, a figure with its caption."""

import base64
import html
import io

import matplotlib
import numpy as np
from IPython.display import Markdown, display
from jaxtyping import UInt8
from matplotlib.figure import Figure
from PIL import Image

from kd_lab.viz.style import SHARPNESS, course_style


def pixels(figure: Figure) -> UInt8[np.ndarray, "height width 4"]:
    """The figure's pixels as they were last drawn, red, green, blue and opacity in 0 … 255."""
    return np.asarray(figure.canvas.buffer_rgba())


def encode_png(image: UInt8[np.ndarray, "height width 4"], *, small: bool = False) -> bytes:
    """Pixels to PNG without metadata: the same pixels give the same bytes.

    Args:
        image: pixels; their opacity is dropped, since figures stand on white.
        small: pack tightly, for what is kept in a file; otherwise fast, for what is looked at once.
    """
    packed = io.BytesIO()
    Image.fromarray(image).convert("RGB").save(packed, "PNG", compress_level=9 if small else 1)
    return packed.getvalue()


def as_img(png: bytes, alt: str, width: int) -> str:
    """An `<img>` that carries its picture in itself, `width` CSS pixels wide and never wider than the page."""
    data = base64.b64encode(png).decode("ascii")
    return (
        f'<img alt="{html.escape(alt)}" width="{width}" style="max-width:100%;height:auto" '
        f'src="data:image/png;base64,{data}">'
    )


def display_png(png: bytes, alt: str, width: int) -> None:
    """Put a PNG under the cell so that it lives in the saved notebook, with its alternative text beside it.

    nbconvert reads the `alt` metadata; where a page shows no pictures, the text stands in for them.
    """
    bundle = {"image/png": base64.b64encode(png).decode("ascii"), "text/plain": alt}
    display(bundle, raw=True, metadata={"image/png": {"alt": alt, "width": width}})


def show(figure: Figure, caption: str, alt: str) -> None:
    """Show a static figure under the cell, with a caption that says what to see.

    Args:
        figure: from `new_figure` or one of the plots here.
        caption: Markdown; one or two sentences that point at what matters in the figure.
        alt: what the figure shows, for a reader who cannot see it.

    Raises:
        ValueError: the caption or the alternative text is empty.
    """
    if not caption.strip() or not alt.strip():
        raise ValueError(
            f"a figure came with caption {caption!r} and alt {alt!r}; expected both to say something: "
            "the caption what to see, the alt text what is drawn"
        )
    with course_style():
        figure.canvas.draw()
    display_png(encode_png(pixels(figure), small=True), alt, round(figure.bbox.width / SHARPNESS))
    display(Markdown(f"*{caption}*" if "*" not in caption else caption))


def label_font(size: int):
    """The course's bold typeface for text that is put on pixels, `size` pixels high."""
    from PIL import ImageFont

    return ImageFont.truetype(matplotlib.get_data_path() + "/fonts/ttf/DejaVuSans-Bold.ttf", size)
