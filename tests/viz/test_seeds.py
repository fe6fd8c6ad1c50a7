"""The plots of seeds and of targets show the numbers that they are given."""

import numpy as np
import pytest

from kd_lab.lessons.l02_word_and_sequence.figures import draw_targets
from kd_lab.viz import BASELINE, STUDENT, new_figure
from kd_lab.viz.seeds import draw_seeds


def test_every_seed_is_a_marker_in_the_row_of_its_group():
    axes = new_figure().subplots()
    draw_seeds(axes, {"labels": [1.0, 2.0, 3.0], "teacher": [0.5, 0.6, 0.7]}, [BASELINE, STUDENT])
    markers = [line for line in axes.lines if line.get_marker() in (BASELINE.marker, STUDENT.marker)]
    assert [list(line.get_xdata()) for line in markers] == [[1.0, 2.0, 3.0], [0.5, 0.6, 0.7]]
    assert [set(line.get_ydata()) for line in markers] == [{0}, {1}]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["labels", "teacher"]


def test_groups_and_looks_must_be_as_many():
    with pytest.raises(ValueError, match="zip"):
        draw_seeds(new_figure().subplots(), {"labels": [1.0, 2.0, 3.0]}, [BASELINE, STUDENT])


def test_a_target_stands_in_the_column_of_its_position_and_the_row_of_its_token():
    axes = new_figure().subplots()
    targets = np.array([[0.25, 0.75, 0.0], [0.0, 0.0, 1.0]])
    draw_targets(axes, targets, ["b", "c"], ["a", "b", "c"])
    (image,) = axes.images
    np.testing.assert_allclose(np.asarray(image.get_array()) ** 2, targets.T)
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
