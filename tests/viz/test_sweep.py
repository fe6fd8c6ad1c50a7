import sys
from contextlib import nullcontext

import nbformat
import numpy as np
import pytest

from kd_lab.viz import Choice, Explorer, Slider
from kd_lab.viz.sweep import extreme_settings, sweep, sweep_notebook


def explorer_with(update, create=None, **changes):
    def one_line(figure):
        axes = figure.subplots()
        axes.set(xlim=(0, 1), ylim=(0, 10), title="a line")
        return axes.plot([0, 1], [0, 0])[0], axes.text(0.1, 5, "")

    settings = {"name": "swept", "controls": [Slider("height", 0, 10, 1, start=2)], "size": (300, 200)}
    return Explorer(create=create or one_line, update=update, **(settings | changes))


def test_every_control_is_moved_to_its_ends_alone_and_together():
    explorer = explorer_with(
        lambda artists, *values: f"{values} it is.",
        controls=[Slider("a", 0, 10, 1, start=2), Choice("b", ["x", "y", "z"], start="y")],
        presets={"odd": {"a": 7}},
    )
    pairs = [tuple(setting.values()) for setting in extreme_settings(explorer)]
    assert pairs[0] == (2, "y")
    assert set(pairs) == {
        (2, "y"),
        (0, "y"),
        (10, "y"),
        (2, "x"),
        (2, "z"),
        (0, "x"),
        (0, "z"),
        (10, "x"),
        (10, "z"),
        (7, "y"),
    }
    assert len(pairs) == len(set(pairs)) == sweep(explorer)
    assert tuple(explorer.values.values()) == (2, "y")


@pytest.mark.parametrize("presets", [{"again": {"height": 2}}, {"up": {"height": 9}, "high": {"height": 9}}])
def test_two_buttons_for_one_picture_are_a_fault(presets):
    with pytest.raises(ValueError, match="set the same"):
        sweep(explorer_with(lambda artists, height: f"It is {height}.", presets=presets))


def test_pictures_are_written_one_a_setting(tmp_path):
    explorer = explorer_with(lambda artists, height: f"It is {height}.", name="a / b")
    assert sweep(explorer, tmp_path / "new") == len(list((tmp_path / "new").glob("a_b_*.png"))) == 3


def at_the_end(action):
    """An update that does what it should except at the slider's high end, where nothing else would look."""

    def update(artists, height):
        artists[0].set_ydata([height, height])
        artists[1].set_text("")
        return action(artists) or f"It is {height}." if height == 10 else f"It is {height}."

    return update


@pytest.mark.parametrize(
    ("action", "complaint"),
    [
        (lambda artists: 1 / 0, "update raised ZeroDivisionError"),
        (lambda artists: "It is nan nats.", "sentence holds a number that is not finite"),
        (lambda artists: "It is -inf.", "sentence holds a number that is not finite"),
        (lambda artists: artists[0].set_ydata([0, np.nan]), "drawn from numbers that are not finite"),
        (lambda artists: artists[1].set_text("much too long for this figure " * 5), "reaches over the edge"),
        (
            lambda artists: artists[1].update({"text": "tiny", "fontsize": 6}) and None,
            "letters of 6 points, smaller than 7.5",
        ),
    ],
)
def test_a_failure_at_the_end_of_a_slider_is_found_and_named(action, complaint):
    with pytest.raises(ValueError, match=rf"fails at 1 of its extremes:\n.*'height': 10.*{complaint}"):
        sweep(explorer_with(at_the_end(action)))


@pytest.mark.filterwarnings("ignore:invalid value")  # matplotlib says so too, on its way to drawing them
def test_numbers_behind_bars_areas_images_and_points_are_looked_at():
    def create(figure):
        axes = figure.subplots()
        axes.set(xlim=(0, 3), ylim=(0, 3))
        bar = axes.bar([1], [1])[0]
        area = axes.fill_between([0, 1], [0, 0], [1, 1])
        points = axes.scatter([1], [1])
        image = axes.imshow(np.ones((2, 2)), extent=(0, 1, 0, 1), aspect="auto")
        return {"bar": bar, "area": area, "points": points, "image": image}

    spoil = {
        "bar": lambda bar: bar.set_height(np.inf),
        "points": lambda points: points.set_offsets([[np.nan, 1]]),
        "image": lambda image: image.set_data([[np.nan, 1], [1, 1]]),
        "area": lambda area: area.set_verts([[(0, 0), (1, np.inf), (1, 0)]]),
    }
    for kind, action in spoil.items():

        def update(artists, height, kind=kind, action=action):
            if height == 10:
                action(artists[kind])
            return f"It is {height}."

        with pytest.raises(ValueError, match="not finite"):
            sweep(explorer_with(update, create))


def test_a_hidden_artist_may_hold_anything():
    def hide(artists):
        artists[0].set_ydata([np.nan, np.nan])
        artists[0].set_visible(False)

    assert sweep(explorer_with(at_the_end(hide))) == 3


GOOD = """
from kd_lab.viz import Explorer, Slider
explorer = Explorer(name="line", controls=[Slider("height", 0, 10, 1, start=2)],
    create=lambda figure: figure.subplots().plot([0, 1], [0, 0]),
    update=lambda artists, height: artists[0].set_ydata([height, height]) or f"It is {height}.")
"""


@pytest.mark.lesson
def test_a_notebook_is_swept_in_its_own_kernel(tmp_path):
    path = tmp_path / "lesson.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(GOOD)]), path)
    before = path.read_bytes()
    assert sweep_notebook(path, tmp_path / "pictures") == "line: 3 settings\n"
    assert len(list((tmp_path / "pictures").glob("*.png"))) == 3
    assert path.read_bytes() == before
    bad = nbformat.v4.new_code_cell(GOOD.replace("[height, height]", "[height, 1 / (height - 10)]"))
    nbformat.write(nbformat.v4.new_notebook(cells=[bad]), path)
    with pytest.raises(Exception, match="fails at 1 of its extremes"):
        sweep_notebook(path)
    assert sys.modules.get("nbclient")


@pytest.mark.parametrize(("deaths", "runs"), [(1, 2), (3, 3)])
def test_a_kernel_that_found_a_port_taken_is_started_again(tmp_path, monkeypatch, deaths, runs):
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "lesson.ipynb")
    tried = []

    def execute(client):
        tried.append(client.startup_timeout)
        if len(tried) <= deaths:
            raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr("nbclient.NotebookClient.execute", execute)
    with pytest.raises(RuntimeError) if deaths == runs else nullcontext():
        sweep_notebook(tmp_path / "lesson.ipynb")
    assert tried == [600] * runs
