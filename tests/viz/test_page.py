"""An explorer on the page: the static twin, and an error in the picture's place."""

import io

import numpy as np
from PIL import Image

from kd_lab.viz import Explorer, Slider
from kd_lab.viz.page import describe, error_page, frame_page, montage
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
    monkeypatch.setattr("kd_lab.viz.picture.display", lambda data, **more: outputs.append((data, more)))
    monkeypatch.setattr("kd_lab.viz.page.display", lambda data: outputs.append((data, {})))
    explorer.filmstrip(*settings)
    return outputs


def test_the_filmstrip_is_a_png_with_its_sentences(monkeypatch):
    explorer = line_explorer()
    live = picture(explorer.frame)
    (strip, _), (sentences, _) = shown(explorer, monkeypatch, [{"height": 0.0}, "top", {}])
    alt = strip["text/plain"]
    assert alt.startswith("a. height = 0. The line is at 0. b. top: height = 10. The line is at 10. c.")
    assert f'alt="{alt}"' in strip["text/html"]
    assert sentences.data.count("\n\n") == 2
    assert np.array_equal(picture(explorer.draw({})), live)  # the live picture is as sharp and large as before


def test_a_text_from_outside_is_shown_and_not_run(monkeypatch):
    """JupyterLab runs the handler of an image that a Markdown output holds as HTML."""
    text = '<img src="x" onerror="window.fell = true"> *a*'
    (_, _), (sentences, _) = shown(line_explorer(presets={text: {"height": 1.0}}), monkeypatch, [text])
    assert "<img" not in sentences.data
    assert r"&lt;img src=\"x\" onerror" not in sentences.data
    assert "&lt;img src" in sentences.data
    assert r"\*a\*" in sentences.data


def test_the_filmstrip_chooses_start_and_presets_or_the_extremes(monkeypatch):
    assert "b. top: height = 10" in shown(line_explorer(), monkeypatch)[0][0]["text/plain"]
    extremes = shown(line_explorer(presets={}), monkeypatch)[0][0]["text/plain"]
    assert all(f"{mark}. height = {value}" in extremes for mark, value in zip("abc", (0, 2, 10), strict=True))


def test_a_montage_has_two_columns_and_a_label_over_each():
    white = np.full((40, 60, 4), 255, np.uint8)
    page = montage([white] * 3, ["a", "b", "c"])
    head, gap = 24 * SHARPNESS, 12 * SHARPNESS
    assert page.shape == (2 * (head + 40) + gap, 2 * 60 + gap, 4)


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
