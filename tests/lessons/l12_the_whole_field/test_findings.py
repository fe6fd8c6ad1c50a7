"""The right answers to predictions follow from the stored runs, whatever these say."""

import numpy as np
import pytest

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


@pytest.mark.parametrize(
    ("identifier", "facts", "option"),
    [
        ("12.a", {"forward": "GKD, word level", "reverse": "GKD"}, 0),
        ("12.a", {"forward": "on-policy", "reverse": "MiniLLM, on-policy"}, 1),
        ("12.a", {"forward": "word level", "reverse": "on-policy"}, 2),
        ("12.b", {"expert": 0.1, "average": 0.6, "routed": 0.5}, 1),
        ("12.c", {"other": 0.1, "before": 0.6, "own": 0.9}, 2),
        ("12.c", {"other": 0.7, "before": 0.6, "own": 0.9}, 1),
        ("12.c", {"other": 0.6, "before": 0.6, "own": 0.9}, 0),
    ],
)
def test_answers_to_predictions(identifier, facts, option):
    entry = PREDICTIONS[identifier]
    assert entry.decided(entry.options, facts) == entry.options[option]


def test_the_threshold_of_the_spreads_lies_above_chance():
    """Seven means spread further than four without any cause; the lesson asks for twice the spread."""
    noise = np.random.default_rng(0).normal(size=(7, 4, 4000))
    by_how, by_where = findings.spreads(noise)
    by_chance = np.exp(np.log(by_how / by_where).mean())
    assert 1.5 < by_chance < 2
