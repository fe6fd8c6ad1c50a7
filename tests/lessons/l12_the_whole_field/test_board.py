"""The board: order, intervals, places that are shared, and entries without a place."""

import numpy as np
import pytest

from kd_lab.lessons.l12_the_whole_field.board import Score, board, board_table, shared_places
from kd_lab.lessons.l12_the_whole_field.exercises import tied_with_best
from kd_lab.measure import mean_interval

BEGINNINGS = np.array([0.0, 2.0, 0.4, 1.1, 0.7])  # how hard each is, for all alike
CHANCE = np.array([0.02, -0.03, 0.01, 0.0, -0.01])


def scores(name, above, noise=0.0, failed=""):
    return [
        Score(name, seed, 3 + hard + above + noise * CHANCE[seed], 3 + hard + above, 1.0, 1000, failed)
        for seed, hard in enumerate(BEGINNINGS)
    ]


def test_small_but_certain_differences_are_seen_where_beginnings_differ():
    """Each interval alone is a nat wide; the difference of a tenth is the same in every pair."""
    places, out = board([*scores("b", 0.1), *scores("a", 0.0, noise=1.0)])
    assert [(one.name, one.place) for one in places] == [("a", 1), ("b", 2)]
    assert mean_interval(places[0].totals)[1] > 0.5
    assert out == {}


def test_what_cannot_be_told_apart_shares_a_place_and_the_next_place_is_counted():
    totals = {
        "a": 3 + BEGINNINGS,
        "b": 3 + BEGINNINGS + CHANCE,
        "c": 3 + BEGINNINGS - CHANCE + 0.001,
        "d": 3 + BEGINNINGS + 0.5,
    }
    places = shared_places(totals)
    assert places["d"] == 4
    assert {places[name] for name in "abc"} == {1}
    tied = tied_with_best(np.array(list(totals.values())))
    assert tied.tolist() == [True, True, True, False], "the exercise and the board agree"


def test_an_entry_that_failed_once_has_no_place():
    one = scores("a", 0.0)
    one[3] = Score("a", 3, failed="the teacher was asked for more than 5 positions")
    places, out = board([*one, *scores("b", 0.1)])
    assert [one.name for one in places] == ["b"]
    assert out == {"a": "the teacher was asked for more than 5 positions"}
    table = board_table(places, out, {"a": "gkd", "b": "rkd"})
    assert "| 1 | b | rkd | 3.940 ± " in table
    assert "| – | a | gkd | the teacher was asked" in table


def test_ties_are_marked():
    table = board_table(*board([*scores("a", 0.0), *scores("b", 0.0, noise=1.0)]), {})
    assert table.count("| 1= |") == 2


def test_the_score_is_the_mean_of_both_judges():
    assert Score("a", 0, 2.0, 5.0).total == pytest.approx(3.5)
