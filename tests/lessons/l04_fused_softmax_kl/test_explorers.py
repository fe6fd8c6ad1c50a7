"""The online pass and the roofline: artists stand where the arrays say, and what cannot be had is hidden."""

import numpy as np
import pytest

from kd_lab.lessons.l04_fused_softmax_kl.explorers import (
    DESIGNS,
    cost_bars,
    draw_online,
    draw_roof,
    move_cost_bars,
    move_online,
    move_roof,
)
from kd_lab.viz import new_figure


@pytest.fixture
def online():
    limits = {"logit_limits": (-3, 3), "accumulator_limits": (0, 5), "value_limits": (0, 1)}
    return draw_online(new_figure(), columns=12, block=4, **limits)


def test_blocks_that_are_read_show_their_running_maximum_and_the_rest_is_veiled(online):
    teacher = np.array([0.0, 1.0, -1.0, 2.0, 1.0, 3.0, 0.0, 0.0, 9.0, 9.0, 9.0, 9.0])
    curves = {name: np.array([1.0, 2.0]) for name in ("total", "excess", "true", "given")}
    move_online(online, -teacher, teacher, curves)
    np.testing.assert_array_equal(online.student.get_ydata(), -teacher)
    np.testing.assert_array_equal(online.top.get_ydata(), [0, 1, 1, 2, 2, 3, 3, 3])
    assert online.unread.get_x() == 7.5
    assert online.unread.get_width() == 4
    np.testing.assert_array_equal(online.given.get_xydata(), [[1, 1], [2, 2]])


def test_all_blocks_read_leave_nothing_veiled(online):
    move_online(online, np.zeros(12), np.zeros(12), dict.fromkeys(("total", "excess", "true", "given"), np.ones(3)))
    assert online.unread.get_width() == 0


def test_bars_end_at_their_costs_and_name_them():
    bars = cost_bars(new_figure().subplots(), ("eager", "single tile"), (1.0, 1000.0), "ms")
    move_cost_bars(bars, {"eager": 250.0, "single tile": None}, "ms")
    assert [bar.get_x() + bar.get_width() for bar in bars.bars] == [250.0, 1.0]
    assert [text.get_text() for text in bars.texts] == ["250 ms", "row too wide"]
    move_cost_bars(bars, {"eager": 2.5, "single tile": 12.345}, "ms")
    assert [text.get_text() for text in bars.texts] == ["2.5 ms", "12.3 ms"]


def test_designs_stand_on_the_slope_or_under_the_ceiling():
    names = list(DESIGNS)
    limits = {"intensity_limits": (0.01, 10), "rate_limits": (0.01, 100), "time_limits": (0.01, 100)}
    roof = draw_roof(new_figure(), names, **limits)
    intensities = {"eager": 0.1, "chunked": 0.5, "streaming": 4.0, "single tile": None}
    move_roof(roof, bandwidth=2.0, peak=4.0, intensities=intensities, times=dict.fromkeys(names, 1.0))
    np.testing.assert_allclose(roof.line.get_xydata(), [[0.01, 0.02], [2, 4], [10, 4]])
    heights = {name: roof.points[name].get_ydata()[0] for name in names[:3]}
    assert heights == pytest.approx({"eager": 0.2, "chunked": 1.0, "streaming": 4.0})  # the last is held by the ceiling
    assert not roof.points["single tile"].get_visible()
    assert not roof.drops["single tile"].get_visible()
