"""The stored runs of lesson 11b: made by this command, whole, resumed where it stopped, and read as arrays."""

import json

import numpy as np
import pytest
import torch

from kd_lab.classroom.long_runs import write
from kd_lab.lessons.l11b_few_steps import experiment, students
from kd_lab.lessons.l11b_few_steps.experiment import (
    ARMS,
    MATCHED,
    SEEDS,
    STEPS,
    key_of,
    measured,
    noise_of,
    tasks,
    train_long,
    train_samplers,
)
from kd_lab.lessons.l11b_few_steps.matching import GRADIENTS, HIGH
from kd_lab.lessons.l11b_few_steps.results import load_results
from kd_lab.worlds.diffusion import NoisyMixture, ring, sample_path


def test_the_file_holds_every_run_of_the_command():
    results = load_results()
    held = {key_of(run) for run in [*results.samplers, *results.matching, *results.long]}
    assert held == {key for key, _ in tasks()}


def test_stored_numbers_are_those_of_the_exact_teacher():
    """What needs no training can be made again at once: the teacher's own steps on the stored seed's noise."""
    results, density = load_results(), ring(8)
    for steps in (1, 4):
        x = sample_path(NoisyMixture(density).velocity, noise_of(SEEDS[1]), steps)[-1]
        assert results.sampler("teacher", steps)[1] == pytest.approx(measured(x, density)["energy"], abs=2e-4)


def test_what_is_drawn_fits_what_was_measured():
    results = load_results()
    for name in ("teacher", "progressive", "consistency"):
        assert results.steps(name) == list(STEPS)
        for steps in STEPS:
            path = results.path(name, steps)
            assert path.shape == (steps + 1, experiment.PATHS, 2)
            np.testing.assert_array_equal(path[-1], results.cloud(name, steps)[: experiment.PATHS])
    np.testing.assert_array_equal(results.path("teacher", 1)[0], results.path("consistency", 8)[0])


def test_reading_says_what_there_is():
    results = load_results()
    assert results.sampler("progressive", 1).shape == (len(SEEDS),)
    assert results.exact(1, "stray").shape == results.miss("straight").shape == (len(SEEDS),)
    assert results.matched(MATCHED[0], next(iter(ARMS)), "shares").shape == (len(SEEDS), 4)
    assert all(results.given_time(gradient).shape == (4, len(SEEDS)) for gradient in GRADIENTS | HIGH)
    with pytest.raises(ValueError, match="no sampler 'straight' with 2 steps"):
        results.sampler("straight", 2)
    with pytest.raises(ValueError, match="no run of 'three'"):
        results.matched("three", "all noise levels", "modes")


def test_a_short_run_has_the_form_of_the_stored_ones(monkeypatch):
    for name, value in {"BUDGET": 3, "ROUND": 1, "PAIRS": 300}.items():
        monkeypatch.setattr(students, name, value)
    short = students.denoiser
    monkeypatch.setattr(students, "denoiser", lambda teacher, seed: short(teacher, seed, steps=2))
    halve = students.progressive
    monkeypatch.setattr(students, "progressive", lambda *a, **kw: halve(*a, **kw, steps=1))
    agree = students.consistency
    monkeypatch.setattr(students, "consistency", lambda *a, **kw: agree(*a, **kw, steps=2))
    monkeypatch.setattr(experiment, "POINTS", 60)
    run, stored = train_samplers(0), load_results().samplers[0]
    run = json.loads(json.dumps(run))  # keys become strings on the way to the file
    assert run.keys() == stored.keys()
    assert {name: set(found) for name, found in run["samplers"].items()} == {
        name: set(found) for name, found in stored["samplers"].items()
    }


def test_particles_given_time_are_looked_at_four_times(monkeypatch):
    monkeypatch.setattr(experiment, "LONG", (0, 2, 4, 6))
    run = train_long("reverse KL, little noise")
    assert np.shape(run["kept"]) == (4, len(SEEDS))
    assert run["kept"][0] == [1.0] * len(SEEDS)


def test_what_is_written_is_what_is_read(tmp_path):
    runs = [{"part": "matching", "density": "d", "arm": "a", "seed": seed, "modes": 3 + seed} for seed in (1, 0)]
    write(tmp_path / "results.json", {"seeds": [0, 1]}, runs)
    assert load_results(tmp_path / "results.json").matched("d", "a", "modes").tolist() == [3, 4]


def test_noise_is_one_per_seed():
    assert noise_of(0).equal(noise_of(0))
    assert not noise_of(0).equal(noise_of(1))
    assert isinstance(noise_of(0), torch.Tensor)
