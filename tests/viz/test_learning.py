import numpy as np
import pytest

from kd_lab.measure.interval import mean_interval
from kd_lab.viz import BASELINE, STUDENT, new_figure
from kd_lab.viz.learning import draw_learning

RUNS = np.array([[3.0, 2.0, 1.0, 0.5], [3.2, 2.4, 1.4, 0.7], [3.1, 2.2, 1.5, 0.9]])


def test_a_curve_is_the_mean_over_seeds_at_its_steps():
    axes = new_figure().subplots()
    draw_learning(axes, {"labels": RUNS + 1, "teacher": RUNS}, every=40, looks=(BASELINE, STUDENT))
    labels, teacher = axes.lines
    assert labels.get_xdata().tolist() == [40, 80, 120, 160]
    assert teacher.get_ydata() == pytest.approx(RUNS.mean(0))
    assert labels.get_ydata() == pytest.approx(RUNS.mean(0) + 1)
    band = axes.collections[1].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(RUNS[:, 0].mean() + mean_interval(RUNS[:, 0])[1])


def test_the_teacher_is_a_level_line_with_its_name():
    axes = new_figure().subplots()
    draw_learning(axes, {"labels": RUNS}, every=10, looks=(BASELINE,), teacher=0.25)
    assert list(axes.lines[-1].get_ydata()) == [0.25, 0.25]
    assert [text.get_text() for text in axes.texts] == ["the teacher"]


def test_a_method_without_a_look_is_refused():
    with pytest.raises(ValueError, match="one each"):
        draw_learning(new_figure().subplots(), {"labels": RUNS}, every=10, looks=())
