"""The stored runs of lesson 10b: complete, resumable, small, and the same when they are made again."""

import json

import numpy as np
import pytest

from kd_lab.lessons.l10b_what_is_passed_on import collapse, experiment, stored
from kd_lab.lessons.l10b_what_is_passed_on.experiment import PARTS, RESULTS, SEEDS, missing, resumed, write
from kd_lab.lessons.l10b_what_is_passed_on.fidelity import MEASURES, STUDENTS
from kd_lab.lessons.l10b_what_is_passed_on.marks import CROWD, LENGTHS, SHARES
from kd_lab.lessons.l10b_what_is_passed_on.subliminal import BEGINNINGS, GPT_CELLS


def test_an_interrupted_command_goes_on_where_it_stopped(tmp_path):
    head, path = {"command": "x", "date": "2026-01-01"}, tmp_path / "results.partial"
    assert resumed(path, head) == {}
    run = {"silent/0": {"seed": 0, "teacher": 3.5}}
    with path.open("a") as file:
        file.write(json.dumps(run) + "\n" + '{"gpt/0": {"se')  # the second was cut off
    assert resumed(path, head | {"date": "2026-01-02"}) == run
    assert len(path.read_text().splitlines()) == 2
    jobs = list(missing(run))
    assert len(jobs) == len(PARTS) * len(SEEDS) - 1
    assert ("silent", 0) not in jobs
    assert jobs[0] == ("gpt", 0), "every part's first seed comes first"
    with pytest.raises(ValueError, match="other settings"):
        resumed(path, {"command": "y", "date": "2026-01-01"})


def test_what_is_written_is_what_is_read(tmp_path, monkeypatch):
    runs = {f"{part}/{seed}": {"seed": seed, "who": "ä"} for part in PARTS for seed in SEEDS}
    write(tmp_path / "results.json", {"seeds": list(SEEDS)}, runs)
    monkeypatch.setattr(stored, "RESULTS", tmp_path / "results.json")
    stored._file.cache_clear()
    try:
        assert [run["seed"] for run in stored.runs("gpt")] == list(SEEDS)
        assert stored.about() == {"seeds": list(SEEDS)}
        with pytest.raises(ValueError, match="no stored run is called 'collapse'"):
            stored.runs("collapse")
    finally:
        stored._file.cache_clear()


def test_the_runs_that_ship_are_complete_and_small():
    about = stored.about()
    assert about == experiment.about() | {key: about[key] for key in ("date", "python", "torch")}
    assert all(len(stored.runs(part)) == len(SEEDS) for part in PARTS)
    for policy in collapse.POLICIES:
        for measure in ("bits", "distinct", "pairs", "rare", "letters"):
            found = stored.generations(policy, measure)
            assert found.shape == (len(SEEDS), collapse.GENERATIONS + 1)
            assert np.isfinite(found).all()
        np.testing.assert_allclose(stored.first_letters(policy).sum(1), 1)
        assert (
            stored.generations(policy, "bits")[:, 0].tolist() == stored.generations("replaced", "bits")[:, 0].tolist()
        )
    for student in STUDENTS:
        assert all(len(stored.fidelity(student, "held-out", measure)) == len(SEEDS) for measure in MEASURES)
    assert all(stored.silent(beginning).shape == (len(SEEDS), 2) for beginning in BEGINNINGS)
    for writer in ("teacher", "marked teacher", *(f"student of {share:.0%}" for share in SHARES)):
        assert stored.marks(writer, "fair").shape == (len(SEEDS), len(LENGTHS))
        assert stored.marks(writer, "crowd").shape == (len(SEEDS), CROWD)
    cells = {f"{how} of {writer}, {start}" for how, writer, start in GPT_CELLS}
    assert all(cells < run.keys() for run in stored.runs("gpt"))
    assert RESULTS.stat().st_size < 300_000


def test_a_chain_is_the_same_when_it_is_made_again(monkeypatch):
    monkeypatch.setattr(collapse, "STEPS", 3)
    monkeypatch.setattr(collapse, "NAMES", 40)
    monkeypatch.setattr(collapse, "GENERATIONS", 1)
    collapse.first_model.cache_clear()
    try:
        one, other = (collapse.chain("a tenth real", seed=0) for _ in range(2))
    finally:
        collapse.first_model.cache_clear()
    assert one == other
    assert len(one["generations"]) == 2
