"""Every lesson's solved edition runs, and its explorers stand at their extremes.

The unsolved edition is run by tests/browser/test_lessons_in_browser.py, as a learner runs it.
"""

import json

from lesson_run import states


def test_every_cell_passes_nbval(lesson, run_of):
    run = run_of(lesson)
    assert not run.failures, run.failures


def test_the_solutions_are_right(lesson, run_of):
    said = states(run_of(lesson).solved)
    assert set(said.values()) == {"right"}
    assert len(said) >= 3


def test_explorers_stand_every_setting(lesson, run_of):
    """What the sweep complains of failed nbval above; here: that there was something to sweep."""
    outputs = run_of(lesson).sweep.outputs
    assert outputs, "this lesson has no explorer"
    assert [output.get("name") for output in outputs] == ["stdout"]


def test_no_callback_crashed_out_of_sight(lesson, run_of):
    run = run_of(lesson)
    text = json.dumps([run.solved, run.sweep])
    assert "Traceback (most recent call last)" not in text
    assert "No picture for" not in text  # what an explorer shows in the picture's place
