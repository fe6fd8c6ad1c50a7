import gc
import io
import re
import weakref

import numpy as np
import pytest
from ipywidgets.widgets.widget import _instances  # every widget that has not been closed
from matplotlib import pyplot
from PIL import Image

from kd_lab.viz import EXPLORERS, TEACHER, Choice, Explorer, Slider, Text


def create(figure):
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 10), xlabel="x", ylabel="y")
    (line,) = axes.plot([0, 1], [0, 0], **TEACHER.line)
    return {"line": line, "axes": [axes.text(0.1, 9, "")]}


def update(artists, height):
    artists["line"].set_ydata([height, height])
    artists["axes"][0].set_text(f"{height:g}")
    return f"The line is at {height:g}."


def line_explorer(**changes):
    settings = {
        "name": "line",
        "controls": [Slider("height", 0.0, 10.0, 0.5, start=2.0)],
        "create": create,
        "update": update,
        "presets": {"top": {"height": 10.0}},
        "size": (300, 200),
    }
    return Explorer(**(settings | changes))


def picture(frame):
    return np.asarray(Image.open(io.BytesIO(frame.png)))


def page(explorer):
    return explorer.box.children[-1].value


def buttons(explorer):
    return {button.description: button for button in explorer.box.children[-2].children}


def test_a_move_changes_picture_sentence_and_alt_text():
    explorer = line_explorer()
    before = picture(explorer.frame)
    assert before.shape == (400, 600, 4)  # two device pixels a CSS pixel
    explorer.set({"height": 8.0})
    assert not np.array_equal(picture(explorer.frame), before)
    assert explorer.sentence == "The line is at 8."
    assert 'alt="The line is at 8."' in page(explorer)
    assert re.search(r'role="status" aria-live="polite"[^>]*>The line is at 8\.<', page(explorer))


def test_what_is_drawn_on_kept_pixels_equals_a_drawing_from_scratch():
    explorer = line_explorer()
    for height in (0.0, 7.5, 10.0):
        explorer.set({"height": height})
    fresh = line_explorer(name="fresh", controls=[Slider("height", 0.0, 10.0, 0.5, start=10.0)])
    assert np.array_equal(picture(explorer.frame), picture(fresh.frame))


def test_what_update_changes_beside_the_moving_artists_is_drawn_too():
    def retitle(artists, height):
        artists["line"].axes.set_title("high" if height > 5 else "low")
        return update(artists, height)

    explorer = line_explorer(update=retitle)
    low = picture(explorer.draw({"height": 1.0}))
    high = picture(explorer.draw({"height": 9.0}))
    top = 30
    assert not np.array_equal(low[:top], high[:top])
    assert np.array_equal(picture(explorer.draw({"height": 1.0})), low)


def test_artists_that_update_adds_and_removes_are_drawn_and_gone():
    def replace(artists, height):
        artists["line"].remove()
        (artists["line"],) = artists["axes"][0].axes.plot([0, 1], [height, height], **TEACHER.line)
        return f"The line is at {height:g}."

    explorer = line_explorer(update=replace)
    low = picture(explorer.draw({"height": 1.0}))
    assert not np.array_equal(picture(explorer.draw({"height": 9.0})), low)
    assert np.array_equal(picture(explorer.draw({"height": 1.0})), low)


def test_axes_do_not_move():
    explorer = line_explorer()
    axes = explorer.figure.axes[0]
    before = axes.get_position().bounds, axes.get_xlim(), axes.get_ylim()
    explorer.set({"height": 10.0})
    assert (axes.get_position().bounds, axes.get_xlim(), axes.get_ylim()) == before


def test_the_number_box_presets_and_reset_move_it():
    explorer = line_explorer()
    box, slider = explorer.box.children[0].children
    box.value = 3.0
    assert explorer.sentence == "The line is at 3."
    slider.value = 8
    assert explorer.sentence == "The line is at 4."
    buttons(explorer)["top"].click()
    assert (explorer.sentence, box.value) == ("The line is at 10.", 10.0)
    buttons(explorer)["Reset"].click()
    assert (explorer.sentence, box.value) == ("The line is at 2.", 2.0)


def test_a_preset_is_one_move_and_returns_other_controls_to_their_start():
    seen = []

    def watch(artists, height, case, prefix):
        seen.append((height, case, prefix))
        return update(artists, height)

    explorer = line_explorer(
        controls=[
            Slider("height", 0.0, 10.0, 0.5, start=2.0),
            Choice("case", ["lower", "upper"], start="lower"),
            Text("prefix", start="ma"),
        ],
        update=watch,
    )
    explorer.set({"case": "upper", "prefix": "x"})
    seen.clear()
    buttons(explorer)["top"].click()
    assert seen == [(10.0, "lower", "ma")]
    assert explorer.values == {"height": 10.0, "case": "lower", "prefix": "ma"}


def test_an_error_takes_the_pictures_place_until_the_next_good_move():
    def picky(artists, height):
        if height == 9.0:
            raise ValueError("9 is <not> a height; expected any other")
        if height == 8.0:
            return [][0]
        return update(artists, height)

    explorer = line_explorer(update=picky)
    explorer.set({"height": 9.0})
    assert "<img" not in page(explorer)
    assert 'role="alert"' in page(explorer)
    assert "9 is &lt;not&gt; a height; expected any other" in page(explorer)
    assert "height = 9" in page(explorer)
    explorer.set({"height": 8.0})
    assert "IndexError" in page(explorer)
    assert "return [][0]" in page(explorer)
    explorer.set({"height": 7.0})
    assert "<img" in page(explorer)
    assert explorer.error is None
    assert np.array_equal(picture(explorer.frame), picture(line_explorer(name="other").draw({"height": 7.0})))


def test_errors_while_the_cell_runs_are_raised():
    with pytest.raises(ZeroDivisionError):
        line_explorer(update=lambda artists, height: 1 / 0)
    with pytest.raises(ValueError, match="returned None; expected a sentence"):
        line_explorer(update=lambda artists, height: None)
    assert "line" not in EXPLORERS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"controls": []}, "expected one to three"),
        ({"controls": [Slider(name, 0, 9, 1, start=0) for name in "abcd"]}, "expected one to three"),
        ({"controls": [Slider("a", 0, 9, 1, start=0), Text("a")]}, "different names"),
        ({"presets": {"far": {"hieght": 1.0}}}, r"no control for; its controls are \['height'\]"),
        ({"presets": {"far": {"height": 11.0}}}, "'height' was set to 11.0; expected a number in 0.0 … 10.0"),
    ],
)
def test_what_cannot_work_is_refused_at_once(changes, message):
    with pytest.raises(ValueError, match=message):
        line_explorer(**changes)


def test_running_the_cell_again_replaces_the_explorer_and_frees_the_old_one():
    old = line_explorer()
    widgets = len(_instances)
    gone = weakref.ref(old)
    del old
    new = line_explorer()
    gc.collect()
    assert EXPLORERS["line"] is new
    assert gone() is None
    assert len(_instances) == widgets
    buttons(new)["top"].click()
    assert new.sentence == "The line is at 10."
    assert pyplot.get_fignums() == []


def test_the_page_without_a_kernel_reads_as_a_sentence():
    bundle = line_explorer()._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "Explorer “line”: run this cell to move it. The line is at 2."
