"""Every lesson runs to its end, unsolved and answered, and its explorers stand at their extremes."""

import json

import nbformat
from lesson_run import contradictions, errors, states

from kd_lab.classroom.diagnosis import exercises_of


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def test_unsolved_it_runs_to_its_last_cell_without_an_alarm(lesson, run_of):
    run = run_of(lesson)
    assert errors(run.unsolved.cells) == []
    assert [cell.source for cell in code_of(run.unsolved) if cell.execution_count is None] == []
    assert {said for state in states(run.unsolved.cells).values() for said in state} == {"not started"}


def test_answered_it_runs_without_an_error_and_no_answer_stops_a_cell(lesson, run_of):
    """Every answer is right, and the reference never had to answer in a learner's place."""
    cells = run_of(lesson).answered.cells.cells
    assert errors(cells) == []
    answers = {name: 1 + len(one.unusual) for name, one in exercises_of(lesson.number).items()}
    assert states(cells) == {name: ["right"] * count for name, count in answers.items()}


def test_another_answer_changes_no_claim(lesson, run_of):
    run = run_of(lesson)
    before = {cell.source: cell for cell in code_of(run.unsolved)}
    for cell in run.answered.cells.cells:
        if cell.source in before:
            one, other = (nbformat.from_dict({"cells": [cell]}) for cell in (before[cell.source], cell))
            assert contradictions(one, other) == []


def test_explorers_stand_every_setting(lesson, run_of):
    """Each was moved, and the sweep complained of none."""
    sweep = run_of(lesson).answered.sweep
    assert errors([sweep]) == []
    assert sweep.outputs, "this lesson has no explorer"
    assert {output.get("name") for output in sweep.outputs} == {"stdout"}


def test_no_callback_crashed_out_of_sight(lesson, run_of):
    run = run_of(lesson)
    text = json.dumps([run.unsolved, run.answered.cells, run.answered.sweep])
    assert "Traceback (most recent call last)" not in text
    assert "No picture for" not in text  # what an explorer shows in the picture's place
