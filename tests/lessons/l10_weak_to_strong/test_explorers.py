"""What the explorers and figures of lesson 10 say is what they show."""

import numpy as np
import pytest

from kd_lab.lessons.l10_weak_to_strong.explorers import (
    KNOWN,
    SIZES,
    capacity_explorer,
    knowledge_explorer,
    rounds_explorer,
)
from kd_lab.lessons.l10_weak_to_strong.figures import (
    accuracy_figure,
    confidence_figure,
    few_figure,
    few_table,
    misfit_figure,
)
from kd_lab.lessons.l10_weak_to_strong.results import load_results
from kd_lab.lessons.l10_weak_to_strong.smoothing import wave


@pytest.fixture(scope="module")
def stored():
    return load_results()


def test_a_model_that_knows_nothing_has_no_gap(stored):
    explorer = knowledge_explorer(stored)
    assert explorer.draw({"it has read": "nothing"}).sentence.endswith("no gap.")
    assert "PGR" in explorer.draw({}).sentence
    weak, *_ = explorer._artists["marks"]["weak"]
    expected = [stored.accuracies(KNOWN[one], "weak", "narrow", "weak").mean() for one in KNOWN]
    np.testing.assert_allclose(weak.get_ydata(), expected)
    explorer.close()


def test_the_student_is_drawn_at_its_bits(stored):
    explorer = capacity_explorer(stored)
    explorer.draw({"teacher": "8K", "steps": "600"})
    line, *_ = explorer._artists["student"]
    np.testing.assert_allclose(line.get_ydata(), [stored.capacity(size, 600).mean() for size in SIZES])
    explorer.close()


def test_rounds_help_a_rough_fit_and_harm_a_smooth_one():
    explorer = rounds_explorer(wave())
    errors = explorer._artists["errors"]
    explorer.draw({"fits": 5})
    assert errors.get_ydata()[4] < errors.get_ydata()[0]
    explorer.draw({"fits": 5, "log₁₀ λ": 0.0})
    assert errors.get_ydata()[4] > errors.get_ydata()[0]
    explorer.close()


def test_figures_show_what_they_are_given(stored):
    runs = np.array([0.6, 0.7, 0.8])
    (axes,) = accuracy_figure({"teacher": runs, "student": runs, "true labels": runs}).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["teacher", "student", "true labels"]
    left, right = confidence_figure({"one": (runs, runs + 0.1), "two": (runs, runs)}).axes
    np.testing.assert_allclose(left.lines[0].get_ydata(), [0.6, 0.7])
    assert right.get_title(loc="left") == "two"
    rows = np.array([[0.1, 0.1, 0.0], [0.2, 0.3, 0.05]])
    (axes,) = misfit_figure({"a": rows, "b": rows, "c": rows}).axes
    np.testing.assert_allclose(axes.lines[2].get_ydata(), rows[:, 0])
    assert len(few_figure(stored).axes) == 2
    assert few_table(stored).count("\n") == 7
