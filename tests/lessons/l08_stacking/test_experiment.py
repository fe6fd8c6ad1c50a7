"""The stored runs are whole, and are written as they are read."""

import torch

from kd_lab.lessons.l08_stacking.experiment import STORED, Runs, store, stored_runs, table
from kd_lab.lessons.l08_stacking.stack import RUNGS, from_file
from kd_lab.models import load_teacher
from kd_lab.worlds import surnames


def test_the_stored_runs_are_whole():
    runs = stored_runs()
    assert [(r.distilled, r.pruned, r.bits) for r in runs.rungs] == [(s.distilled, s.pruned, s.bits) for s in RUNGS]
    assert set(runs.others) == {"text only", "labels only"}
    for rung in runs.rungs:
        assert len(rung.bits_per_character) == len(runs.about["seeds"]) >= 3
        assert len(rung.samples) >= 10
        assert abs(rung.measured_size / rung.predicted_size - 1) < 0.08, rung.name  # the header of the smallest file
    assert len(table(runs.rungs).splitlines()) == 1 + len(RUNGS)


def test_runs_are_written_as_they_are_read(tmp_path):
    runs = stored_runs()
    store(Runs(runs.rungs, runs.others, runs.about), tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == STORED.read_bytes()
    assert stored_runs(tmp_path / "again.json") == runs


def test_a_stored_size_is_that_of_the_file_today(tmp_path):
    world, teacher = surnames(), load_teacher("surnames")
    rung = stored_runs().at(distilled=False, pruned=0, bits=4)
    model = from_file(teacher, 4, tmp_path / "q.safetensors", 0, world, teacher)
    header = 64  # bytes by which the description of the model may have grown since
    assert abs((tmp_path / "q.safetensors").stat().st_size - rung.bytes) <= header
    assert sum(weight.numel() for weight in model.parameters()) == rung.parameters
    assert torch.isfinite(model(world.held_out.inputs[:2])).all()
