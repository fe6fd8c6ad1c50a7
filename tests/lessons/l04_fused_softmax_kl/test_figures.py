import numpy as np

from kd_lab.lessons.l04_fused_softmax_kl.exercises import EXERCISES
from kd_lab.lessons.l04_fused_softmax_kl.figures import hook_figure, near_zero_figure, three_sweeps, watch


def test_the_hook_shows_twelve_accesses_of_two_programs():
    (axes,) = hook_figure().axes
    points = {line.get_marker(): 0 for line in axes.lines}
    for line in axes.lines:
        points[line.get_marker()] += len(line.get_xdata())
    assert points["s"] == 2 * 3 * 3 * 4  # programs, sweeps, blocks, lanes
    assert points["^"] == 2 * 3 * 4


def test_the_student_gets_better_to_the_right():
    (axes,) = near_zero_figure([0.5, 5e-3], {"a": np.ones(2), "b": np.ones(2), "c": np.ones(2)}).axes
    left, right = axes.get_xlim()
    assert left > right
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b", "c"]


def test_the_hook_moves_as_the_softmax_that_the_exercise_asks_for():
    drawn, asked = watch({"04.1": three_sweeps}), watch({"04.1": EXERCISES["04.1"].reference})
    assert drawn == asked
