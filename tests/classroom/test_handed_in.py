"""What a notebook carries to the teacher: answers and mistakes, and neither solutions nor names."""

import json

import pytest

from kd_lab.classroom import handed_in, progress
from kd_lab.classroom.handed_in import ANSWERS_MIME, hand_in


@pytest.fixture
def shown(monkeypatch, tmp_path):
    monkeypatch.setenv("KD_LAB_PROGRESS", str(tmp_path / "progress.json"))
    panels = []
    monkeypatch.setattr(handed_in, "show", panels.append)
    return panels


def test_answers_and_mistakes_of_one_lesson_are_carried(shown):
    progress.record("03.a", "the valley")
    progress.record("03.quiz.1", "KL(p‖q)")
    progress.record("04.a", "another lesson")

    def solve(x):
        return x

    progress.attempt("03.1", "not there yet", solve, "bits")
    progress.attempt("03.1", "not there yet", solve, "sign")
    progress.attempt("03.1", "not there yet", solve, "bits")
    progress.attempt("03.1", "right", solve)
    hand_in("03")
    (panel,) = shown
    assert panel.data[ANSWERS_MIME] == {
        "lesson": "03",
        "answers": {"03.a": "the valley", "03.quiz.1": "KL(p‖q)"},
        "mistakes": {"03.1": ["bits", "sign"]},
    }
    assert "return x" not in json.dumps(panel.data)
    assert "03.1, mistakes on the way: bits, sign" in str(panel)


def test_nothing_answered_is_said(shown):
    hand_in("03")
    assert "no answers yet" in str(shown[0])
