"""The online pass and the lanes: artists stand where the arrays say."""

import numpy as np
import pytest

from kd_lab.lessons.l04_fused_softmax_kl.explorers import (
    by_step,
    draw_lanes,
    draw_online,
    lanes_explorer,
    move_lanes,
    move_online,
    online_explorer,
)
from kd_lab.lessons.l04_fused_softmax_kl.lanes import Access
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


def test_a_kernel_that_forgets_nothing_gives_the_true_value_at_the_end():
    explorer = online_explorer(seed=0)
    explorer.set({"blocks read": 8})
    words = explorer.sentence.split()
    true, given = words[words.index("nats,") - 1], words[-1].rstrip(".")
    assert true == given
    explorer.set({"blocks read": 8, "forgets": "KL accumulator"})
    words = explorer.sentence.split()
    assert words[words.index("nats,") - 1] == true != words[-1].rstrip(".")


LOADS = [
    Access(program, "student", False, tuple(range(5 * program + start, 5 * program + start + 4)), touches)
    for program in (0, 1)
    for start, touches in ((0, (True,) * 4), (4, (True, False, False, False)))
]


def test_programs_take_their_steps_side_by_side():
    first, second = by_step(LOADS)
    assert [access.cells[0] for access in first] == [0, 5]
    assert [access.cells[0] for access in second] == [4, 9]


def test_touched_lanes_are_filled_and_masked_ones_hollow():
    artists = draw_lanes(new_figure().subplots(), rows=2, vocabulary=5, block=4, steps=2)
    move_lanes(artists, by_step(LOADS))
    np.testing.assert_array_equal(artists.touched["student"].get_xdata(), [0, 1, 2, 3, 5, 6, 7, 8, 4, 9])
    np.testing.assert_array_equal(artists.masked["student"].get_xdata(), [5, 6, 7, 10, 11, 12])
    assert set(artists.masked["student"].get_ydata()) == {2}
    assert len(artists.touched["teacher"].get_xdata()) == 0


def test_the_sentence_names_the_columns_and_the_masked_lanes():
    explorer = lanes_explorer({"a sum": LOADS}, rows=2, vocabulary=5, block=4)
    explorer.set({"access": 2})
    assert "access 2 of 2" in explorer.sentence
    assert "column 4 of its row of student" in explorer.sentence
    assert "3 lanes are masked" in explorer.sentence
