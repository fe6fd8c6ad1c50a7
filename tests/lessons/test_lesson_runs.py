"""Every lesson's solved edition runs, and its explorers stand at their extremes.

The unsolved edition is run by tests/browser/test_lessons_in_browser.py, as a learner runs it.
"""

import json

from lesson_run import states

from kd_lab.classroom.diagnosis import exercises_of


def test_every_cell_passes_nbval(lesson, run_of):
    run = run_of(lesson)
    assert not run.failures, run.failures


def test_the_solutions_are_right_and_no_unusual_answer_stops_a_later_cell(lesson, run_of):
    """A failing cell is nbval's to find; here: that the reference never had to answer in a learner's place."""
    said = states(run_of(lesson).solved)
    answers = {name: 1 + bool(one.unusual) for name, one in exercises_of(lesson.number).items()}
    assert said == {name: ["right"] * count for name, count in answers.items()}


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
