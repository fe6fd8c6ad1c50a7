"""The stored runs of lesson 12: complete, resumable, small, and the same when they are made again."""

from functools import partial

import numpy as np
import pytest

from kd_lab.lessons.l12_the_whole_field import arena, experiment, stored
from kd_lab.lessons.l12_the_whole_field.experiment import SEEDS, field_run, missing, parts, recipes
from kd_lab.lessons.l12_the_whole_field.field import METHODS, OTHER_TOKENS, compose, key_of, legal_cells
from kd_lab.lessons.l12_the_whole_field.stored import BEGINNER, OTHER, RESULTS, field_table, part_of


def test_what_the_table_shows_is_made_first():
    named = [part for part, _ in list(missing([]))[: 5 * 20]]
    assert set(map(part_of, METHODS)) < set(named)


def test_the_runs_that_ship_are_complete_and_small():
    assert [sorted(run["seed"] for run in stored.runs(part)) for part in parts()] == [list(SEEDS)] * len(parts())
    assert set(stored.field_keys()) == set(recipes())
    for row in (BEGINNER, OTHER, *METHODS, *OTHER_TOKENS):
        for judge in arena.JUDGES:
            assert np.isfinite(stored.marks(row, judge)).all()
            assert (stored.marks(row, judge) > 0).all()
        assert len(stored.samples(row)) == arena.SHOWN
    assert RESULTS.stat().st_size < 300_000


def test_every_legal_choice_has_its_runs():
    assert all(key_of(compose(*cell)) in stored.field_keys() for cell in legal_cells())


def test_costs_are_those_of_the_budget():
    texts = arena.STEPS * arena.BATCH * arena.world().context
    for name in ("labels only", "word level", "on-policy", "sequence level, beam"):
        assert (stored.cost(name, "trained") == texts).all()
    assert (stored.cost("word level", "teacher") == texts).all()
    assert (stored.cost("labels only", "teacher") == 0).all()
    assert (stored.cost("word level", "written") == 0).all()
    assert (stored.cost("on-policy", "written") > 0).all()
    assert stored.cost("MiniLLM", "teacher").mean() > 2 * texts


def test_the_table_is_made_of_recipes_and_runs(capsys, monkeypatch):
    lines = field_table().splitlines()
    assert len(lines) == 2 + 2 + len(METHODS) + len(OTHER_TOKENS)
    assert "| word level | logits | forward KL | fixed set |" in field_table()
    monkeypatch.setattr("sys.argv", ["experiment", "--table"])
    experiment.main()
    assert capsys.readouterr().out.strip() == field_table()


def test_a_strange_part_is_refused():
    with pytest.raises(ValueError, match="no stored run is called 'magic'"):
        stored.runs("magic")


def test_a_run_is_the_same_when_it_is_made_again(monkeypatch):
    monkeypatch.setattr(arena, "train", partial(arena.train, steps=2))
    monkeypatch.setattr(arena, "LABEL_STEPS", 1)
    monkeypatch.setattr(arena, "JUDGED", 8)
    for cached in (arena.beginner, arena.judges):
        cached.cache_clear()
    try:
        one, other = (field_run(part_of("word level"), 0) for _ in range(2))
    finally:
        for cached in (arena.beginner, arena.judges):
            cached.cache_clear()
    assert one["marks"] == other["marks"]
    assert one["samples"] == other["samples"]
