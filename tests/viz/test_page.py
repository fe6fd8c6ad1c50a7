"""An explorer on the page: the static twin, and an error in the picture's place."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from kd_lab.viz import Explorer, Slider
from kd_lab.viz.page import describe, error_page, frame_page
from kd_lab.viz.style import SHARPNESS


def line_explorer(**changes):
    def update(line, height):
        line.set_ydata([height, height])
        return f"The line is at {height:g}."

    settings = {
        "name": "line",
        "controls": [Slider("height", 0.0, 10.0, 0.5, start=2.0)],
        "create": lambda figure: figure.subplots().plot([0, 1], [0, 10])[0],
        "update": update,
        "presets": {"top": {"height": 10.0}},
        "size": (300, 200),
    }
    return Explorer(**(settings | changes))


def picture(frame):
    return np.asarray(Image.open(io.BytesIO(frame.png)))


def shown(explorer, monkeypatch, *settings):
    outputs = []
    monkeypatch.setattr("kd_lab.viz.page.display", lambda data, **more: outputs.append(data))
    explorer.filmstrip(*settings)
    (strip,) = outputs
    return strip


def test_the_filmstrip_is_pictures_with_their_sentences(monkeypatch):
    explorer = line_explorer()
    live = picture(explorer.frame)
    strip = shown(explorer, monkeypatch, [{"height": 0.0}, "top", {}])
    assert strip["text/plain"].startswith("a. height = 0. The line is at 0.\nb. top. The line is at 10.\nc. height = 2")
    assert re.findall(r'<img alt="([^"]+)"', strip["text/html"]) == [f"The line is at {at}." for at in (0, 10, 2)]
    assert strip["text/html"].count("<p>The line is at") == 3
    assert np.array_equal(picture(explorer.draw({})), live)  # the live picture is as sharp and large as before


def test_a_text_from_outside_is_shown_and_not_run(monkeypatch):
    """JupyterLab runs the handler of an image that a Markdown output holds as HTML."""
    text = '<img src="x" onerror="window.fell = true"> *a*'
    page = shown(line_explorer(presets={text: {"height": 1.0}}), monkeypatch, [text])["text/html"]
    assert '<img src="x"' not in page
    assert "&lt;img src=&quot;x&quot; onerror" in page


def test_the_filmstrip_chooses_start_and_presets_or_the_extremes(monkeypatch):
    assert "\nb. top. The line" in shown(line_explorer(), monkeypatch)["text/plain"]
    extremes = shown(line_explorer(presets={}), monkeypatch)["text/plain"]
    assert all(f"{mark}. height = {value}" in extremes for mark, value in zip("abc", (0, 2, 10), strict=True))


@pytest.mark.parametrize(("points", "width"), [(6.0, 300), (7.5, 300), (9.5, 236), (15.0, 150)])
def test_the_letters_of_a_filmstrip_can_be_read(monkeypatch, points, width):
    """It is as small as its smallest letter allows at 7.5 points, and the pixels are drawn at that size."""

    def create(figure):
        axes = figure.subplots()
        axes.tick_params(labelsize=points)
        return axes.plot([0, 1], [0, 10])[0]

    html = shown(line_explorer(create=create), monkeypatch, ["top"])["text/html"]
    assert int(re.search(r'width="(\d+)"', html)[1]) == width
    png = base64.b64decode(re.search(r"base64,([^\"]+)", html)[1])
    assert Image.open(io.BytesIO(png)).width == pytest.approx(SHARPNESS * width, abs=1)


def test_picture_and_sentence_are_one_message():
    page = frame_page(b"png", "At τ = 1 it is < 2.", (300, 200))
    assert page.count("At τ = 1 it is &lt; 2.") == 2  # as the picture's text and under it
    assert 'role="status"' in page


def test_an_error_says_where_it_arose_unless_its_message_says_all():
    try:
        [][0]
    except IndexError as error:
        page = error_page(error, describe({"height": 9.0}), (300, 200))
    assert "No picture for height = 9." in page
    assert "<code>[][0]</code>" in page
    assert "It arose" not in error_page(ValueError("9 is too high"), "height = 9", (300, 200))
