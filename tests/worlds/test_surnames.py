"""Surnames: the table as the census printed it, a split by name, frequencies finer than the print."""

import sys
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from kd_lab.worlds import surnames
from kd_lab.worlds.surnames import NAMES_ON_FILE, ROUNDING, census_table, letters_of


def texts(world, batch):
    return world.vocabulary.decode(batch.tokens)


def test_the_file_is_the_census_table():
    table = census_table()
    assert len(table) == len({name for name, _ in table}) == NAMES_ON_FILE
    assert [name for name, _ in table[:5]] == ["smith", "johnson", "williams", "jones", "brown"]
    assert max(len(name) for name, _ in table) == 13


def test_shares_agree_with_the_printed_totals():
    shares = [share for _, share in census_table()]
    assert sum(shares) == pytest.approx(78.039, abs=0.01)  # the file's own cumulative percentage of rank 20,000
    assert sum(shares[:100]) == pytest.approx(18.826, abs=0.01)
    assert min(shares) > 0
    assert all(later <= earlier + 2 * ROUNDING for earlier, later in pairwise(shares))


def test_shares_are_finer_than_the_print_where_it_reads_0_001():
    shares = [share for _, share in census_table()]
    assert 0.0014 < shares[7_600] < 0.0015
    assert 0.0007 < shares[14_000] < 0.0008
    assert 0.0004 < shares[-1] < 0.0005


def test_no_held_out_name_is_trained_on():
    world = surnames()
    train, held_out = set(texts(world, world.train)), set(texts(world, world.held_out))
    assert not train & held_out
    assert len(train) + len(held_out) == NAMES_ON_FILE
    assert 0.09 < len(held_out) / NAMES_ON_FILE < 0.11


def test_a_name_keeps_its_side_whatever_the_size():
    small, large = surnames(top=2_000), surnames()
    assert set(texts(small, small.held_out)) <= set(texts(large, large.held_out))
    assert set(texts(small, small.train)) <= set(texts(large, large.train))


def test_weighted_rows_follow_the_census():
    world = surnames(top=1_000, weighted=True)
    drawn = texts(world, world.sample(20_000, torch.Generator().manual_seed(0)))
    trained = dict(census_table()[:1_000])
    total = sum(trained[name] for name in texts(world, world.train))
    for name in ("smith", "johnson"):
        expected = trained[name] / total
        assert drawn.count(name) / 20_000 == pytest.approx(expected, abs=5 * (expected / 20_000) ** 0.5)


def test_unweighted_rows_are_alike():
    world = surnames(top=1_000)
    drawn = texts(world, world.sample(20_000, torch.Generator().manual_seed(0)))
    assert drawn.count("smith") < 60  # about 22 expected; by frequency it would be 600


def test_a_subset_keeps_weights_beside_their_rows():
    world = surnames(top=1_000, weighted=True)
    subset = world.subset(50, seed=3)
    share = dict(zip(texts(world, world.train), world.weights.tolist(), strict=True))
    assert subset.weights.tolist() == [share[name] for name in texts(subset, subset.train)]
    assert torch.equal(subset.held_out.tokens, world.held_out.tokens)


def test_a_world_that_is_asked_for_again_is_encoded_once_and_shares_nothing(monkeypatch):
    first = surnames()
    monkeypatch.setattr(sys.modules[census_table.__module__], "is_held_out", None)  # hashing them again would fail
    second = surnames()
    first.train.tokens.zero_()
    assert second.vocabulary.decode(second.train.tokens[:2]) == ["smith", "johnson"]
    assert torch.equal(surnames().held_out.tokens, second.held_out.tokens)
    assert second.held_out.tokens.data_ptr() != first.held_out.tokens.data_ptr()


@pytest.mark.parametrize("top", [0, 99, NAMES_ON_FILE + 1])
def test_an_impossible_number_of_names_is_refused(top):
    with pytest.raises(ValueError, match=f"top is {top}; expected 100"):
        surnames(top=top)


@pytest.mark.parametrize(
    ("weights", "message"),
    [(torch.ones(3), "3 weights came for"), (-torch.ones(911), "negative"), (torch.zeros(911), "all are zero")],
)
def test_weights_that_are_no_frequencies_are_refused(weights, message):
    world = surnames(top=1_000)
    weights = weights if len(weights) == 3 else weights[:1].expand(len(world.train))
    with pytest.raises(ValueError, match=message):
        replace(world, weights=weights)


def test_a_name_loses_what_is_no_letter_and_keeps_what_is():
    assert letters_of("  D’Àngelo-Müller Jr. ") == "dangelomullerjr"
    with pytest.raises(ValueError, match="Latin letters"):
        letters_of("李")
