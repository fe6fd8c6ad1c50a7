"""The explorers and figures of lesson 10b say what the stored runs and the law say."""

import numpy as np
import pytest

from kd_lab.lessons.l10b_what_is_passed_on import stored
from kd_lab.lessons.l10b_what_is_passed_on.collapse import POLICIES, expected_diversity
from kd_lab.lessons.l10b_what_is_passed_on.explorers import (
    KEYS,
    MEASURES,
    generations_explorer,
    law_explorer,
    mark_explorer,
    summary,
)
from kd_lab.lessons.l10b_what_is_passed_on.figures import (
    collapse_table,
    crowd_figure,
    families_figure,
    fidelity_table,
    plus_minus,
    silent_figure,
    strength_table,
)
from kd_lab.viz.sweep import sweep

EVEN = np.full(26, 1 / 26)


@pytest.fixture
def opened():
    explorers = []
    yield explorers
    for explorer in explorers:
        explorer.close()


def test_the_mean_of_many_runs_is_drawn_beside_one(opened):
    explorer = law_explorer(EVEN)
    opened.append(explorer)
    sweep(explorer)
    explorer.draw({"draws per generation": 100, "generation": 60})
    np.testing.assert_allclose(explorer._artists.mean.get_ydata(), expected_diversity(100, 60, False), atol=0.01)
    assert explorer._artists.run.get_ydata()[0] == 1
    assert "26 of 26 letters are left and 100% of" in explorer.draw({"generation": 0}).sentence
    assert "for ever at least 0.946" in explorer.draw({"earlier draws are": "accumulated"}).sentence


def test_generations_show_every_policy_and_measure_inside_its_axis(opened):
    explorer = generations_explorer(EVEN)
    opened.append(explorer)
    sweep(explorer)
    for policy in POLICIES:
        for measure, (key, _, (low, high)) in MEASURES.items():
            frame = explorer.draw({"texts": policy, "measure": measure, "generation": 3})
            mean = stored.generations(policy, key).mean(0)
            np.testing.assert_allclose(explorer._artists["line"].get_ydata(), mean)
            assert low <= mean.min() and mean.max() <= high, f"{policy}, {measure} leaves the axis"  # noqa: PT018
            assert stored.samples(policy, 3)[0] in frame.sentence


def test_the_mark_is_found_with_the_right_key_only(opened):
    explorer = mark_explorer()
    opened.append(explorer)
    sweep(explorer)
    far = {"letters read, 10 to the": 4.0}
    assert "The mark is found" in explorer.draw(far | {"written by": "marked teacher"}).sentence
    assert "The mark is not found" in explorer.draw(far | {"written by": "teacher"}).sentence
    for key, kind in KEYS.items():
        explorer.draw({"read with": key})
        mean, _ = summary(stored.marks("student of 100%", kind))
        np.testing.assert_allclose(explorer._artists.line.get_ydata(), mean)
        low, high = explorer._artists.line.axes.get_ylim()
        assert low < mean.min() < mean.max() < high


def test_two_families_are_drawn_with_names_of_their_last_members():
    assert len(families_figure("replaced").axes[0].get_lines()) == 1
    left, right = families_figure("replaced", "accumulated").axes
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["replaced", "accumulated"]
    words = [text.get_text() for text in right.texts]
    for policy in ("replaced", "accumulated"):
        assert set(stored.samples(policy, 6)) <= set(words)
        assert f"{stored.generations(policy, 'letters')[:, 6].mean():.0f} first letters" in words


def test_tables_have_a_row_for_each_case():
    assert collapse_table(list(POLICIES)).count("\n") == len(POLICIES) + 2
    assert fidelity_table().count("\n") == 4
    assert strength_table().count("\n") == 1 + len(stored.runs("strength")[0]["rows"])
    assert plus_minus([2.0, 2.0, 2.0], 2) == "2.00 ± 0.00"


def test_dots_and_lines_stand_for_seeds():
    (axes,) = silent_figure({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]}, teacher=2.5).axes
    assert [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 3] == [[1, 2, 3], [4, 5, 6]]
    (axes,) = crowd_figure([9.0, 10.0], [0.0, 1.0, -1.0], "student").axes
    assert [line.get_xdata()[0] for line in axes.lines] == [9.0, 10.0]
