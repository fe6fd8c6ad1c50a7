"""The runs of lesson 05: every recipe goes on from the same student, and is read on the texts of both."""

import math

import torch

from kd_lab.lessons.l05_where import experiment
from kd_lab.lessons.l05_where.tunes import L, tunes, world_of
from kd_lab.methods import on_policy, word_level
from kd_lab.models import load_teacher
from kd_lab.worlds import surnames

RECIPES = {"one": word_level(), "the same": word_level(), "own prefixes": on_policy()}


def test_networks_go_on_from_one_beginning_and_are_read_on_the_same_lost_prefixes(monkeypatch):
    monkeypatch.setattr(experiment, "READ", 200)
    tune = tunes()
    found = experiment.continue_network(tune, world_of(tune), RECIPES, seed=0)
    assert torch.equal(found["one"].theirs, found["the same"].theirs)
    assert found["one"].off_road == found["the same"].off_road > found["own prefixes"].off_road > 0
    for gaps in found.values():
        assert gaps.own.shape == gaps.theirs.shape == (L,)
        assert (torch.stack([gaps.own, gaps.theirs]) >= 0).all()


def test_pupils_of_surnames_go_on_from_one_beginning():
    world, twice = surnames(), {name: word_level() for name in ("one", "the same")}
    found = experiment.continue_surnames(load_teacher("surnames"), world, twice, world.held_out[slice(0, 100)], seed=0)
    one, same = found.values()
    assert 2 < one.bits == same.bits < math.log2(len(world.vocabulary))
    assert torch.equal(one.gaps.theirs, same.gaps.theirs)
    assert one.judged > 1
    assert len(one.seconds) == 32
    assert one.seconds == sorted(one.seconds)
