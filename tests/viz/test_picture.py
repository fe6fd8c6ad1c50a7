"""Pictures as bytes: the same pixels give the same bytes, and a page that shows none still reads."""

import io

import numpy as np
import pytest
from PIL import Image

from kd_lab.viz import new_figure, show
from kd_lab.viz.picture import as_img, encode_png, encode_png_fast, pixels, smallest_letter

NOISE = np.random.default_rng(0).integers(0, 256, (7, 5, 4), np.uint8)


def decoded(png):
    return np.asarray(Image.open(io.BytesIO(png)))


def test_both_encoders_keep_every_pixel():
    np.testing.assert_array_equal(decoded(encode_png_fast(NOISE)), NOISE)
    np.testing.assert_array_equal(decoded(encode_png(NOISE)), NOISE[..., :3])  # figures stand on white
    assert encode_png(NOISE) == encode_png(NOISE.copy())


def test_an_img_carries_its_picture_and_escapes_its_text():
    tag = as_img(b"png", 'p < q, "said"', 300)
    assert 'alt="p &lt; q, &quot;said&quot;" width="300"' in tag
    assert 'src="data:image/png;base64,' in tag


def test_a_figure_is_shown_with_its_caption_and_alt_text(monkeypatch):
    shown = []
    monkeypatch.setattr("kd_lab.viz.picture.display", lambda data, **more: shown.append((data, more)))
    figure = new_figure(300, 200)
    figure.subplots().plot([0, 1])
    show(figure, "It rises.", "a rising line")
    (picture, _), (caption, _) = shown
    assert picture["text/plain"] == "a rising line"
    assert '<img alt="a rising line" width="300"' in picture["text/html"]
    assert "It rises." in caption.data
    assert pixels(figure).shape == (400, 600, 4)


@pytest.mark.parametrize(("caption", "alt"), [("", "a line"), ("It rises.", " ")])
def test_a_figure_without_words_is_refused(caption, alt):
    with pytest.raises(ValueError, match="expected both to say something"):
        show(new_figure(), caption, alt)


def test_a_figure_with_tiny_letters_is_refused():
    figure = new_figure(300, 200)
    axes = figure.subplots()
    axes.tick_params(labelsize=6)
    with pytest.raises(ValueError, match=r"letters of 6 points; expected at least 7\.5"):
        show(figure, "It is small.", "an empty axis")
    axes.set_axis_off()  # what is not drawn may have any size
    assert smallest_letter(figure) == float("inf")
