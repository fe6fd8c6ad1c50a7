"""The figures and explorers of lesson 03b show what they are given."""

import numpy as np

from kd_lab.how.divergences import DIVERGENCES
from kd_lab.lessons.l03b_between_the_kls.explorers import FAMILY, HEIGHTS, family_explorer, heat_explorer
from kd_lab.lessons.l03b_between_the_kls.figures import (
    cliffs_figure,
    contest_figure,
    distances_table,
    ends_figure,
    widths_table,
)


def test_all_six_divergences_are_drawn_on_both_sides():
    panels = cliffs_figure().axes
    assert [len(axes.lines) for axes in panels] == [len(DIVERGENCES)] * 2
    ends = [{line.get_label(): line.get_ydata()[0] for line in axes.lines} for axes in panels]
    assert ends[0]["forward KL"] > 6 > 1 > ends[0]["reverse KL"]
    assert ends[1]["reverse KL"] > 6 > 1 > ends[1]["forward KL"]
    assert all(max(end["JSD(0.5)"], end["total variation"]) < np.log(2) for end in ends)


def test_a_contest_has_a_curve_per_run():
    found = {"forward KL": np.array([0.3, 0.4, 0.5]), "reverse KL": np.array([0.0, 0.1, 0.2])}
    (axes,) = contest_figure((found, "one"), (found, "other")).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "other"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.4, 0.1])


def test_the_tangents_meet_the_curve_at_the_ends():
    betas = np.array([0.0, 1.0])
    figure = ends_figure(np.array([0.001, 0.999]), np.array([0.001, 0.001]), forward=1.0, reverse=1.0)
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    np.testing.assert_allclose(lines["β · KL(p‖q)"], np.array([0.001, 0.999]))
    assert betas.max() == 1


def test_tables_say_beyond_and_one_mode():
    assert distances_table([0.1, 0.5], {"jsd": [np.inf, 4.25]}).endswith("| JSD | beyond 8 | 4.25 |")
    key = ("reverse_kl", "the teacher only")
    table = widths_table([1, 2], [4.0], {key: np.array([[0.5, 0.7]])}, {key: np.array([[True, False]])})
    assert table.endswith("| 4 | 0.50 (one mode) | 0.70 |")


def test_each_divergence_has_a_scale_on_which_it_can_be_seen():
    explorer = family_explorer()
    for label, name in FAMILY.items():
        explorer.draw({"divergence": label, "second mode at": 3.0})
        curve = explorer._artists.integrands[name]
        low, high = curve.axes.get_ylim()
        inside = curve.get_ydata()
        assert low <= inside.min() and inside.max() <= high  # noqa: PT018
        assert inside.max() > 0.1 * high
    assert set(HEIGHTS) <= set(FAMILY.values())
    explorer.close()


def test_heat_unlocks_a_reverse_student():
    explorer = heat_explorer()
    assert "stands on one mode" in explorer.draw({}).sentence
    assert "stands between the modes" in explorer.draw({"temperature τ": 8.0}).sentence
    explorer.close()
