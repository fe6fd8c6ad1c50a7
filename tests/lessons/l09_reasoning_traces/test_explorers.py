"""The explorers, figures and tables of lesson 09 show the stored runs."""

import numpy as np
import pytest

from kd_lab.lessons.l09_reasoning_traces.explorers import RIGHT, WRONG, pass_explorer, trace_explorer
from kd_lab.lessons.l09_reasoning_traces.figures import (
    LOOKS,
    WAYS,
    ceiling_figure,
    ceiling_table,
    costs_table,
    ways_figure,
)
from kd_lab.lessons.l09_reasoning_traces.results import load_runs
from kd_lab.worlds import verify
from kd_lab.worlds.moves import solve, verified_steps


@pytest.fixture(scope="module")
def runs():
    return load_runs()


@pytest.fixture(scope="module")
def traces(runs):
    explorer = trace_explorer(runs)
    yield explorer
    explorer.close()


def test_the_base_stays_as_it_is_and_all_begin_there(runs, traces):
    for base in ("weak", "warm"):
        written = runs.traces(base, "base")
        assert written[0] == written[-1]
        assert all(runs.traces(base, way)[0] == written[0] for way in WAYS)
    assert "the right answer comes from:" in traces.sentence


def test_a_cell_is_blue_where_its_step_is_right(runs, traces):
    from matplotlib.colors import to_hex

    traces.draw({"sixths of the compute": 3, "problem": 2})
    problem = runs.problems[1]
    for row, way in enumerate(WAYS):
        text = f"{problem}={runs.traces('weak', way)[3][1]}"
        for k, good in enumerate(verified_steps(text)):
            assert to_hex(traces._artists.cells[row][k].get_facecolor()) == (RIGHT if good else WRONG)
        assert traces._artists.marks[row].get_text() == ("right" if verify(text) else "wrong")


def test_the_sentence_names_the_answer_and_who_has_it(runs, traces):
    sentence = traces.draw({"sixths of the compute": len(runs.compute) - 1, "problem": 1}).sentence
    assert f"whose answer is {solve(runs.problems[0])[-1]}" in sentence
    assert LOOKS["traces"].label in sentence


def test_pass_at_k_rises_with_k(runs):
    explorer = pass_explorer(runs)
    try:
        low, high = (explorer.draw({"doublings of k": k}).sentence for k in (0, 6))
        assert "With 1 text per problem" in low
        assert "With 64 texts" in high
        for way in ("base", "rl", "opd", "traces"):
            line = explorer._artists["lines"][way].get_ydata()
            assert (np.diff(line) >= 0).all()
    finally:
        explorer.close()


def test_each_base_has_a_curve_per_way(runs):
    for axes in (one for base in ("weak", "warm") for one in ways_figure(runs, base).axes):
        assert [line.get_label() for line in axes.get_lines()] == [LOOKS[way].label for way in WAYS[1:]]
        assert all(len(line.get_xdata()) == len(runs.compute) for line in axes.get_lines())


def test_tables_and_markers_hold_every_run(runs):
    assert costs_table(runs).count("\n") == 5
    assert ceiling_table(runs).count("\n") == 7
    (axes,) = ceiling_figure(runs).axes
    assert sum(len(line.get_xdata()) for line in axes.get_lines()) == 6 * len(runs.seeds)
