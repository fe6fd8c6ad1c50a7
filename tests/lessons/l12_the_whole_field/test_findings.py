"""The right answers to predictions follow from the stored runs, whatever these say."""

import numpy as np

from kd_lab.lessons.l12_the_whole_field import findings
from kd_lab.lessons.l12_the_whole_field.questions import PREDICTIONS


def test_the_nearest_and_by_how_much():
    found = {"a": np.array([1.0, 2.0]), "b": np.array([2.0, 2.5]), "c": np.array([3.0, 9.0])}
    assert findings.nearest(found) == "a"
    assert findings.first_place(found)[0] == "a"
    assert findings.ahead(found, "a").tolist() == [1.0, 0.5]
    assert findings.ahead(found, "b").tolist() == [-1.0, -0.5]


def test_spreads_by_hand():
    cells = np.array([[[1.0], [3.0]], [[2.0], [6.0]]])  # two HOWs, two WHEREs, one seed
    by_how, by_where = findings.spreads(cells)
    assert by_how.tolist() == [4.0 - 2.0]
    assert by_where.tolist() == [4.5 - 1.5]


def test_the_grid_is_every_choice_with_logits():
    cells = findings.grid("forward")
    assert cells.shape == (7, 4, len(findings.stored.seeds()))
    assert np.isfinite(cells).all()


def test_answers_to_predictions():
    low, high = np.array([0.1, 0.1]), np.array([0.6, 0.5])
    assert findings.after_a_wrong_hint(low, high) == PREDICTIONS["12.c"].options[2]
    assert findings.after_a_wrong_hint(high + 0.1, high) == PREDICTIONS["12.c"].options[1]
    assert findings.after_a_wrong_hint(high, high) == PREDICTIONS["12.c"].options[0]
    assert findings.merged_best(low, high, low) == PREDICTIONS["12.b"].options[1]
    assert findings.best_of_both() in PREDICTIONS["12.a"].options
