"""A small tournament from files to the board, and what the budget forbids."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from kd_lab.lessons.l12_the_whole_field import arena, tournament
from kd_lab.lessons.l12_the_whole_field.board import board, board_table
from kd_lab.lessons.l12_the_whole_field.submission import Budget, Entry
from kd_lab.lessons.l12_the_whole_field.tournament import entries_in, generate, play, play_all

SMALL = Budget(steps=2, parameters=30_000, teacher_positions=20_000)
WORD = Entry("word", "word_level", steps=2)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Beginners of one step, and judges of eight prompts."""
    monkeypatch.setattr(arena, "LABEL_STEPS", 1)
    monkeypatch.setattr(arena, "JUDGED", 8)
    monkeypatch.setattr(tournament, "JUDGED", 8)
    for cached in (tournament.beginner, tournament.judges):
        cached.cache_clear()
    yield
    for cached in (tournament.beginner, tournament.judges):
        cached.cache_clear()


def test_generated_entries_play_and_are_placed(tmp_path):
    for entry in generate(5, seed=3, budget=SMALL):
        (tmp_path / f"{entry.name}.json").write_text(json.dumps(asdict(entry)), encoding="utf-8")
    (tmp_path / "bad.json").write_text('{"name": "bad", "method": "eval"}', encoding="utf-8")
    (tmp_path / "same.json").write_text(json.dumps(asdict(generate(5, seed=3, budget=SMALL)[0])), encoding="utf-8")
    entries, refused = entries_in(tmp_path, SMALL)
    assert len(entries) == 5
    assert [line.partition(":")[0] for line in refused] == ["bad.json", "team 1.json"]
    assert "is taken" in refused[1]
    scores = play_all(entries, SMALL, seeds=2)
    places, out = board(scores)
    assert len(places) + len(out) == 5
    assert places, out
    assert all(np.isfinite(one.totals).all() and len(one.totals) == 2 for one in places)
    assert "| place | name |" in board_table(places, out, {entry.name: entry.method for entry in entries})


def test_a_score_is_the_same_when_it_is_made_again_and_another_judge_has_other_texts():
    one, other = (play(WORD, 0, SMALL) for _ in range(2))
    assert (one.forward, one.reverse) == (other.forward, other.reverse)
    assert play(WORD, 0, SMALL, judge_seed=1).forward != one.forward
    assert one.teacher_positions == 2 * arena.BATCH * arena.world().context


def test_the_judge_s_prompts_are_those_of_no_lesson():
    hidden, seen = (judge.texts.tokens[:, : arena.GIVEN] for judge in (tournament.judges(0), arena.judges()))
    held_out = arena.world().held_out.tokens[:, : arena.GIVEN]
    assert (hidden == held_out[tournament.FIRST_PROMPT : tournament.FIRST_PROMPT + len(hidden)]).all()
    assert len(seen) <= tournament.FIRST_PROMPT


def test_the_budget_is_kept():
    big = play(replace(WORD, width=64), 0, SMALL)
    assert "parameters; the budget is 30,000" in big.failed
    asked = play(WORD, 0, replace(SMALL, teacher_positions=500))
    assert asked.failed == "the teacher was asked for more than 500 positions"
    wild = play(replace(WORD, learning_rate=0.1), 0, SMALL)
    assert wild.failed == "" or np.isnan(wild.forward)


def test_an_empty_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"holds no \.json and no \.toml"):
        entries_in(tmp_path, SMALL)


def test_generated_entries_are_legal():
    entries = generate(40)
    assert len({entry.name for entry in entries}) == 40
    assert all(entry.recipe and 30 <= entry.steps <= 60 for entry in entries)
