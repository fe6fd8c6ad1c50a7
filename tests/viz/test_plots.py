import numpy as np
import pytest

from kd_lab.viz import BASELINE, DIVERGENCES, STUDENT, TEACHER, new_figure, show
from kd_lab.viz.plots import interval_curve, letter_bars, set_bars


def test_bars_of_two_stand_side_by_side_over_their_letter():
    axes = new_figure().subplots()
    teacher, student = letter_bars(axes, "abc", (TEACHER, STUDENT))
    set_bars(teacher, np.array([0.5, 0.3, 0.2]))
    assert [bar.get_height() for bar in teacher] == [0.5, 0.3, 0.2]
    assert [bar.get_height() for bar in student] == [0, 0, 0]
    for i, (left, right) in enumerate(zip(teacher, student, strict=True)):
        assert left.get_x() + left.get_width() == pytest.approx(right.get_x()) == pytest.approx(i)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="2 heights came for 3 bars"):
        set_bars(teacher, [0.5, 0.5])


def test_the_band_reaches_from_mean_minus_to_mean_plus_half_width():
    axes = new_figure().subplots()
    line = interval_curve(axes, np.array([0.0, 1.0]), np.array([2.0, 3.0]), np.array([0.5, 1.0]), TEACHER)
    box = axes.collections[0].get_paths()[0].get_extents()
    assert (box.y0, box.y1) == (1.5, 4.0)
    assert line.get_ydata().tolist() == [2.0, 3.0]


def test_looks_stay_apart_in_lightness_or_hue_for_every_kind_of_eye():
    """Distances in CIELAB after Machado's simulations of full protanopia, deuteranopia and tritanopia."""
    machado = {
        "protanopia": [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        "deuteranopia": [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
        "tritanopia": [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ],
        "full": np.eye(3),
    }
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])

    def lab(color, matrix):
        srgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
        x, y, z = np.cbrt(to_xyz @ np.clip(np.asarray(matrix) @ linear, 0, 1) / [0.9505, 1.0, 1.089])
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    for eye, matrix in machado.items():
        for group in ([TEACHER, STUDENT, BASELINE], list(DIVERGENCES.values())):
            places = [lab(look.color, matrix) for look in group]
            closest = min(np.linalg.norm(a - b) for i, a in enumerate(places) for b in places[:i])
            assert closest > 10, (eye, closest)  # 2.3 is just noticeable


def test_the_same_figure_has_the_same_bytes(monkeypatch):
    outputs = []
    monkeypatch.setattr("kd_lab.viz.picture.display", lambda data, **_: outputs.append(data))
    for _ in range(2):
        figure = new_figure(300, 200)
        figure.subplots().plot([0, 1])
        show(figure, "See how it rises.", alt="a rising line")
    first, _, second, _ = outputs
    assert first == second
