"""Generations: the exact law against chance and its limit, what each policy keeps, and the look at a generation."""

import math

import numpy as np
import pytest
import torch

from kd_lab.lessons.l10b_what_is_passed_on.collapse import (
    POLICIES,
    RARE_MASS,
    Policy,
    diversity,
    drift,
    expected_diversity,
    joined,
    limit_of_accumulation,
    look_at,
    mean_diversity,
    next_texts,
    pair_counts,
    rare_pairs,
    write,
)
from kd_lab.models import TabularModel
from kd_lab.worlds import Batch, language

SPOKEN = language("brackets")
WORLD = SPOKEN.world(rows=40, seed=0)
V = len(SPOKEN.vocabulary)


def test_the_law_is_the_mean_of_chance():
    p = np.array([0.4, 0.3, 0.2, 0.1])
    for accumulate in (False, True):
        runs = drift(np.tile(p, (3000, 1)), 12, 6, accumulate, np.random.default_rng(0))
        seen = diversity(runs).mean(1) / diversity(p)
        np.testing.assert_allclose(seen, expected_diversity(12, 6, accumulate), atol=0.015)
        np.testing.assert_allclose(
            mean_diversity(p, 12, 6, accumulate), expected_diversity(12, 6, accumulate), atol=0.04
        )


def test_runs_side_by_side_are_runs_of_their_own():
    one = drift(np.full((2, 4), 0.25), 10, 3, True, np.random.default_rng(0))
    assert one.shape == (4, 2, 4)
    assert not np.array_equal(one[1, 0], one[1, 1])
    np.testing.assert_allclose(one.sum(-1), 1)


def test_accumulation_has_a_floor_and_replacement_has_none():
    for samples in (2, 10, 1000):
        long = expected_diversity(samples, 20_000, accumulate=True)[-1]
        assert long == pytest.approx(limit_of_accumulation(samples), rel=1e-4)
        assert 1 - limit_of_accumulation(samples) < math.pi**2 / 6 / samples
    assert expected_diversity(10, 1000, accumulate=False)[-1] < 1e-40


def test_generation_one_is_the_same_under_both():
    one, other = (drift(np.full(4, 0.25), 10, 1, way, np.random.default_rng(0)) for way in (False, True))
    assert one.tolist() == other.tolist()


@pytest.mark.parametrize(
    ("keeps", "sizes", "real"), [("newest", 40, 0), ("tenth", 40, 4), ("all", 120, 40), ("written", 80, 0)]
)
def test_each_policy_keeps_what_it_says(keeps, sizes, real):
    marked = [Batch(torch.full_like(WORLD.train.tokens, -n), WORLD.train.mask) for n in (1, 2)]
    texts = next_texts(Policy(keeps), WORLD.train, marked, seed=0)
    assert len(texts) == sizes
    assert (texts.tokens[:, 0] >= 0).sum() == real
    if keeps in ("newest", "tenth"):
        assert (texts.tokens[:, 0] == -2).sum() == sizes - real, "the newest author's, and no other's"


def test_a_policy_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="keeps 'everything'"):
        next_texts(Policy("everything"), WORLD.train, [WORLD.train], seed=0)
    assert {policy.keeps for policy in POLICIES.values()} == {"newest", "tenth", "all", "written"}


def test_rare_pairs_are_the_rarest_and_hold_no_more_than_their_share():
    texts = WORLD.train
    counts, rare = pair_counts(texts, V), rare_pairs(texts, V)
    assert counts.sum() == texts.mask.sum()
    assert counts[rare].sum() <= RARE_MASS * counts.sum()
    assert counts[rare].max(initial=0) <= counts[~rare].min()
    assert rare[counts == 0].all(), "a pair that never occurs is rare"


def test_a_look_reads_the_names_and_the_held_out_bits():
    model = TabularModel(SPOKEN.logp).float()
    probe = write(model, WORLD, 30, seed=1)
    seen = look_at(model, WORLD, rare_pairs(WORLD.train, V), probe)
    names = WORLD.vocabulary.decode(probe.tokens)
    assert seen["distinct"] == round(len(set(names)) / 30, 4)
    assert sum(seen["first"]) == sum(bool(name) for name in names)
    assert seen["samples"] == names[:7]
    assert 0 < seen["bits"] < math.log2(V)


def test_texts_are_joined_row_by_row():
    both = joined([WORLD.train, WORLD.train])
    assert both.tokens[40:].equal(WORLD.train.tokens)
    assert both.mask[:40].equal(WORLD.train.mask)
