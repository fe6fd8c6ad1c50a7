"""The explorer that is timed is a sound one, and a median comes for each kind of move."""

from kd_lab.bench.explorer import milliseconds_per_move, two_panels
from kd_lab.viz import EXPLORERS
from kd_lab.viz.sweep import sweep


def test_the_explorer_stands_every_setting():
    explorer = two_panels()
    assert sweep(explorer) >= 3
    assert "the forward KL is" in explorer.sentence
    explorer.close()


def test_both_kinds_of_move_are_timed_and_nothing_is_left_behind():
    moving, whole = milliseconds_per_move(moves=2)
    assert moving > 0
    assert whole > 0
    assert "two panels" not in EXPLORERS
