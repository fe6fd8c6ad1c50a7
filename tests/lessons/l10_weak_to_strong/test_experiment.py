"""The stored runs of lesson 10: complete, resumable, and read as they were written."""

import numpy as np
import pytest

from kd_lab.lessons.l10_weak_to_strong import experiment, teachers
from kd_lab.lessons.l10_weak_to_strong.experiment import cells
from kd_lab.lessons.l10_weak_to_strong.results import FILE, load_results
from kd_lab.lessons.l10_weak_to_strong.teachers import bits, grown, student_of, weights_of


def test_what_ships_is_complete_and_small():
    stored = load_results()
    assert set(stored.runs) == set(cells())
    for cell, run in stored.runs.items():
        values = np.concatenate([np.atleast_1d(value) for value in run.values()])
        assert np.isfinite(values).all(), cell
    assert FILE.stat().st_size < 100_000


def test_a_result_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no run"):
        load_results().few("3M last")


def test_sizes_are_what_they_are_called():
    sizes = {size: weights_of(size) for size in teachers.SHAPES}
    assert 900 < sizes["1K"] < 1500
    assert 7_000 < sizes["8K"] < 9_000
    assert 95_000 < sizes["105K"] < 110_000
    assert 0.75e6 < sizes["0.8M"] < 0.85e6


def test_a_teacher_is_kept_at_its_best_and_a_student_follows_it(monkeypatch):
    monkeypatch.setattr(teachers, "READ", 60)
    teacher = grown.__wrapped__("8K", 300, 0)
    assert bits(teacher.best) <= bits(teacher.last)
    one, other = (student_of(teacher.last, 300, 5, seed=0, size="1K") for _ in range(2))
    assert bits(one) == bits(other)


def test_a_run_says_where_it_belongs(monkeypatch):
    monkeypatch.setattr(experiment, "few", lambda teacher, seed: {"bits": 1.0, "seed": seed})
    assert experiment.run(("few", "labels", "2")) == {"cell": ["few", "labels", "2"], "bits": 1.0, "seed": 2}
