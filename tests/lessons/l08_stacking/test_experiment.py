"""The stack: every rung is one of three choices, its file comes back, and the stored runs are whole."""

import torch

from kd_lab.compress.cost import bits_per_parameter, factors, token_cost
from kd_lab.lessons.l08_stacking.experiment import (
    BITS,
    FULL,
    PRUNED,
    RUNGS,
    STORED,
    Runs,
    Stages,
    cut,
    from_file,
    store,
    stored_runs,
    table,
)
from kd_lab.models import load_teacher
from kd_lab.worlds import surnames


def test_every_combination_is_a_rung_and_the_first_is_the_original():
    assert len(RUNGS) == 2 * len(PRUNED) * len(BITS) >= 8
    assert str(RUNGS[0]) == "original"
    assert str(Stages(*FULL)) == "distil + prune 50 % + 4 bits"
    assert not RUNGS[0].by_chance
    assert Stages(*FULL).by_chance


def test_a_rung_comes_back_from_its_file_with_the_size_that_was_predicted(tmp_path):
    world, teacher = surnames(), load_teacher("surnames")
    half = cut(teacher, 50, world)
    assert (half.config.heads, half.config.hidden_units, half.config.dropout) == (2, 256, 0.0)
    original = tmp_path / "original.safetensors"
    assert from_file(teacher, 16, original, 0, world, teacher).config == teacher.config
    for bits in (8, 4, 3):
        path = tmp_path / f"{bits}.safetensors"
        model = from_file(half, bits, path, 0, world, teacher)
        tokens = world.held_out.inputs[:4]
        apart = (model(tokens).log_softmax(-1) - half.eval()(tokens).log_softmax(-1)).abs().mean()
        assert 0 < apart < {8: 0.1, 4: 0.4, 3: 0.8}[bits]
        group = "channel" if bits == 8 else 32
        expected = factors(
            token_cost(half.config, bits=bits_per_parameter(half.config, bits, group)), token_cost(teacher, bits=16)
        ).size
        assert abs(path.stat().st_size / original.stat().st_size / expected - 1) < 0.02


def test_the_stored_runs_are_whole_and_say_where_they_come_from():
    runs = stored_runs()
    assert [(r.distilled, r.pruned, r.bits) for r in runs.rungs] == [(s.distilled, s.pruned, s.bits) for s in RUNGS]
    assert {"command", "seeds", "versions"} <= set(runs.about)
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
    assert (tmp_path / "q.safetensors").stat().st_size == rung.bytes
    assert sum(weight.numel() for weight in model.parameters()) == rung.parameters
    assert torch.isfinite(model(world.held_out.inputs[:2])).all()
