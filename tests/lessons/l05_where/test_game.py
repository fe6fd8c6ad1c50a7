"""The labelling game: good labels correct a student, bad ones spoil it, and it can start again."""

import pytest
import torch

from kd_lab.lessons.l05_where.game import AT_FORKS, ELSEWHERE, ROUNDS, LabelGame
from kd_lab.lessons.l05_where.tunes import LOST, new_student, train, tunes, world_of
from kd_lab.methods import word_level


@pytest.fixture(scope="module")
def parts():
    teacher = tunes()
    world = world_of(teacher)
    return train(new_student(0), teacher, world, word_level(), 0), teacher, world


@pytest.fixture
def game(parts):
    return LabelGame(*parts, seed=0)


def play(game, label):
    while not game.over:
        game.answer(label(game))
    return game.rows


def test_good_labels_bring_the_student_back_and_bad_ones_lead_it_astray(game):
    good = play(game, LabelGame.expert)
    game.restart()
    bad = play(game, lambda game: 1)
    assert good[0] == bad[0], "both games begin alike"
    assert good[1]["nats"] < 0.5 * good[0]["nats"], "one round of good labels"
    assert good[-1]["off"] < 0.5 * good[0]["off"]
    assert bad[-1]["nats"] > bad[0]["nats"]


def test_questions_are_the_students_own_prefixes_most_of_them_at_forks(game):
    assert len(game.questions) == AT_FORKS + ELSEWHERE
    lost = [game.teacher.states(prefix)[0] == LOST for prefix in game.questions]
    assert sum(bool(states[-1]) for states in lost) == AT_FORKS
    assert not any(states[:-1].any() for states in lost), "a fork is the first prefix off the road"
    notes = {int(prefix[0, -1]) for prefix, states in zip(game.questions, lost, strict=True) if states[-1]}
    assert len(notes) == 3, "each of the three notes, if the student has repeated it"


def test_the_same_answers_give_the_same_game_and_the_student_that_came_is_left_alone(game, parts):
    before = parts[0].table.detach().clone()
    once = play(game, LabelGame.expert)
    game.restart()
    assert play(game, LabelGame.expert) == once
    assert torch.equal(parts[0].table, before)


def test_it_is_played_with_buttons(game, monkeypatch):
    shown = []
    monkeypatch.setattr("kd_lab.lessons.l05_where.game.display", shown.append)
    game.show()
    (form,) = shown
    assert "Run this cell" in repr(form)
    board, row, said, table = form.widget.children
    assert [button.description for button in row.children] == ["a", "b", "c", "!", "Start again"]
    assert "Label 1 of 6." in board.value
    for _ in range(ROUNDS * (AT_FORKS + ELSEWHERE)):
        row.children[game.expert() - 1].click()
        assert 'role="status"' in said.value
    assert game.over
    assert all(button.disabled for button in row.children[:4])
    assert table.value.count("<tr>") == 2 + ROUNDS
    row.children[-1].click()
    assert table.value.count("<tr>") == 2
    assert "Label 1 of 6." in board.value
    assert not row.children[0].disabled
