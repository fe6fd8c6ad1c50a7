"""The stored runs of lesson 10b: complete, resumable, small, and the same when they are made again."""

import json

import numpy as np
import pytest

from kd_lab.lessons.l10b_what_is_passed_on import collapse, experiment, stored
from kd_lab.lessons.l10b_what_is_passed_on.experiment import PARTS, RESULTS, SEEDS, write
from kd_lab.lessons.l10b_what_is_passed_on.fidelity import MEASURES, STUDENTS
from kd_lab.lessons.l10b_what_is_passed_on.marks import CROWD, LENGTHS, SHARES
from kd_lab.lessons.l10b_what_is_passed_on.subliminal import BEGINNINGS, GPT_CELLS


def test_an_interrupted_command_goes_on_where_it_stopped(tmp_path, monkeypatch):
    """Two parts, two seeds, stopped at the third run: nothing is made twice, and the file is in the order of parts."""
    output, made, interrupts = tmp_path / "results.json", [], [("gpt", 0), ("gpt", 1)]

    def part(name):
        def run(seed):
            if (name, seed) in interrupts:
                interrupts.remove((name, seed))
                raise KeyboardInterrupt
            made.append(f"{name}/{seed}")
            return {"seed": seed, "who": "ä"}

        return run

    monkeypatch.setattr(experiment, "PARTS", {name: part(name) for name in ("silent", "gpt")})
    monkeypatch.setattr(experiment, "SEEDS", (0, 1))
    monkeypatch.setattr("sys.argv", ["experiment", "--output", str(output)])
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            experiment.main()
        assert not output.exists()
    experiment.main()
    assert made == ["silent/0", "gpt/0", "silent/1", "gpt/1"], "every part's first seed comes first"
    assert list(json.loads(output.read_text(encoding="utf-8"))["runs"]) == ["silent/0", "silent/1", "gpt/0", "gpt/1"]
    assert [file.name for file in tmp_path.iterdir()] == ["results.json"]


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
