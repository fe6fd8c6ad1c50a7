"""Every explorer of every lesson draws a picture, a sentence and finite numbers at all its extremes."""

from pathlib import Path

import pytest

from kd_lab.viz.sweep import sweep_notebook

ROOT = Path(__file__).parents[2]
LESSONS = sorted((ROOT / "lessons").glob("*.ipynb"))


@pytest.mark.lesson
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_explorers_hold_at_their_extremes(lesson):
    report = sweep_notebook(lesson, ROOT / "build" / "explorers" / lesson.stem)
    assert "settings" in report, "the lesson has no explorer"
