"""Costs and the roofline: artists stand where the numbers say, and what cannot be had is hidden."""

import numpy as np
import pytest

from kd_lab.lessons.l04b_bytes_and_instructions.explorers import (
    KEEPING,
    SINGLE,
    bytes_held,
    bytes_moved,
    cost_dots,
    draw_roof,
    move_cost_dots,
    move_roof,
    roof_explorer,
    traffic_explorer,
)
from kd_lab.viz import new_figure


def test_dots_stand_at_their_costs_and_are_named():
    dots = cost_dots(new_figure().subplots(), ("eager", "single tile"), (1.0, 1000.0), "ms")
    move_cost_dots(dots, {"eager": 250.0, "single tile": None}, "ms")
    assert [list(dot.get_xdata()) for dot in dots.dots] == [[250.0], []]
    assert [text.get_text() for text in dots.texts] == ["250 ms", "row too wide"]
    move_cost_dots(dots, {"eager": 2.5, "single tile": 12.345}, "ms")
    assert [text.get_text() for text in dots.texts] == ["2.5 ms", "12.3 ms"]


def test_designs_stand_on_the_slope_or_under_the_ceiling():
    names = ["eager", "chunked", "streaming", "single tile"]
    limits = {"intensity_limits": (0.01, 10), "rate_limits": (0.01, 100), "time_limits": (0.01, 100)}
    roof = draw_roof(new_figure(), names, **limits)
    intensities = {"eager": 0.1, "chunked": 0.5, "streaming": 4.0, "single tile": None}
    move_roof(roof, bandwidth=2.0, peak=4.0, intensities=intensities, times=dict.fromkeys(names, 1.0))
    np.testing.assert_allclose(roof.line.get_xydata(), [[0.01, 0.02], [2, 4], [10, 4]])
    heights = {name: roof.points[name].get_ydata()[0] for name in names[:3]}
    assert heights == pytest.approx({"eager": 0.2, "chunked": 1.0, "streaming": 4.0})  # the last is held by the ceiling
    assert not roof.points["single tile"].get_visible()
    assert not roof.drops["single tile"].get_visible()


def test_bytes_of_the_designs():
    assert bytes_moved(8192, "bf16", 122.0) == {
        "eager": 122.0, "chunked": 122.0, "streaming": 10, SINGLE: 6, KEEPING: 6
    }  # fmt: skip
    assert bytes_moved(128_256, "fp32", 104.0)["streaming"] == 20
    assert bytes_moved(128_256, "fp32", 104.0)[SINGLE] is None
    assert bytes_held(8192, "bf16", 20.0) == {"eager": 20.0, "chunked": 2, "streaming": 2, SINGLE: 2}


def test_the_batch_of_the_lesson_in_gigabytes():
    explorer = traffic_explorer({"bf16": 122.0, "fp32": 104.0}, {"bf16": 20.0, "fp32": 20.0})
    assert "eager moves 128 GB" in explorer.sentence  # 8,192 · 128,256 · 122 bytes
    assert "moves 10.5 GB, 12 times less" in explorer.sentence


def test_past_the_corner_exponentials_are_the_limit():
    explorer = roof_explorer(122.0)
    assert explorer.sentence.endswith("Its limit there: memory.")
    explorer.set({"GPU": "B200", "V": "8,192"})
    assert explorer.sentence.endswith("Its limit there: exponentials.")
