"""Every lesson runs: solved, again unsolved in the same kernel, and its explorers at their extremes."""

import json

from lesson_run import states


def test_every_cell_passes_nbval_solved_and_run_again_unsolved(lesson, run_of):
    run = run_of(lesson)
    assert not run.failures, run.failures


def test_the_solutions_are_right_and_unsolved_is_no_alarm(lesson, run_of):
    run = run_of(lesson)
    assert set(states(run.solved).values()) == {"right"}
    assert set(states(run.again).values()) == {"not started"}
    assert len(states(run.solved)) >= 3


def test_explorers_stand_every_setting(lesson, run_of):
    """What the sweep complains of failed nbval above; here: that there was something to sweep."""
    outputs = run_of(lesson).sweep.outputs
    assert outputs, "this lesson has no explorer"
    assert [output.get("name") for output in outputs] == ["stdout"]


def test_no_callback_crashed_out_of_sight(lesson, run_of):
    run = run_of(lesson)
    text = json.dumps([run.solved, run.again, run.sweep])
    assert "Traceback (most recent call last)" not in text
    assert "No picture for" not in text  # what an explorer shows in the picture's place
