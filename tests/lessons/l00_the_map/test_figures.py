import math

import pytest
import torch

from kd_lab.lessons.l00_the_map.figures import (
    along,
    contest_figure,
    draw_tree,
    gap_trees,
    likely_paths,
    node_gaps,
    position_figure,
    tree_figure,
)
from kd_lab.measure import sequence_kl
from kd_lab.models import TabularModel
from kd_lab.viz import new_figure
from kd_lab.worlds import language


@pytest.fixture(scope="module")
def echo():
    return language("echo", smoothing=0)


def test_paths_are_the_joint_of_their_choices(echo):
    paths = likely_paths(TabularModel(echo.logp), echo.vocabulary, letters=6, width=200)
    whole = {text: p for text, p in paths.items() if text.endswith(".") or len(text) == 6}
    assert sum(whole.values()) == pytest.approx(1)
    assert whole["cxc."] == pytest.approx(dict(echo.most_likely(1))["cxc"])
    assert all(paths[text] <= paths[text[:-1]] + 1e-12 for text in paths if text)


def test_given_a_root_probabilities_are_those_of_the_rest(echo):
    paths = likely_paths(TabularModel(echo.logp), echo.vocabulary, start="ax", letters=1)
    assert paths["axa"] == pytest.approx(0.3)
    assert "ax" in paths
    assert "a" not in paths


def test_width_least_and_include(echo):
    model = TabularModel(echo.logp)
    narrow = likely_paths(model, echo.vocabulary, letters=3, width=1, include="zyy")
    assert list(narrow) == ["", "a", "z", "ax", "zy", "axx", "zyy"]
    assert "z" not in likely_paths(model, echo.vocabulary, letters=1, width=7, least=0.01)


def test_nothing_grows_after_an_end_mark(echo):
    paths = likely_paths(TabularModel(echo.logp), echo.vocabulary, start="cxc", letters=3)
    assert not [text for text in paths if ".." in text]


def test_every_branch_is_labelled_with_its_share(echo):
    paths = likely_paths(TabularModel(echo.logp), echo.vocabulary, letters=2, width=3)
    axes = tree_figure(paths, echo.vocabulary, highlight="cx").axes[0]
    labels = [text.get_text() for text in axes.texts]
    assert labels.count("start") == 1
    assert {"40%", "36%", "100%"} <= set(labels)
    bold = [text.get_text() for text in axes.texts if text.get_fontweight() == "bold"]
    assert bold == ["start", "c", "x"]


def test_a_path_without_its_parent_is_refused(echo):
    with pytest.raises(ValueError, match="no parent"):
        draw_tree(new_figure().subplots(), {"": 1.0, "ab": 0.5}, echo.vocabulary)


def test_the_model_is_left_in_the_mode_that_it_came_in(echo):
    model = TabularModel(echo.logp).train()
    likely_paths(model, echo.vocabulary, letters=1)
    assert model.training
    assert all(weight.grad is None for weight in model.parameters())
    assert torch.is_grad_enabled()


def test_the_gaps_of_all_nodes_add_up_to_the_sequence_level_kl():
    echo = language("echo")
    flawed = [table.clone() for table in echo.logp]
    flawed[1][1] = -math.log(len(echo.vocabulary))
    gaps = node_gaps(flawed, echo.logp, echo.vocabulary)
    assert sum(gaps.values()) == pytest.approx(sequence_kl(flawed, list(echo.logp)).item())
    assert {text for text, gap in gaps.items() if gap > 1e-12} == {echo.vocabulary.symbols[1]}


def test_both_trees_write_each_gap_and_their_own_shares(echo):
    paths = likely_paths(TabularModel(echo.logp), echo.vocabulary, letters=2, width=3)
    even = [torch.full_like(table, -math.log(len(echo.vocabulary))) for table in echo.logp]
    other = along(paths, even, echo.vocabulary)
    assert list(other) == list(paths)
    assert other["cx"] == pytest.approx(1 / 49)
    figure = gap_trees(paths, other, {"": 0.25, "a": 0.5, "never drawn": 9.0}, echo.vocabulary)
    shown = [{text.get_text() for text in axes.texts} for axes in figure.axes]
    assert all({"0.250", "0.500"} <= texts and "9.000" not in texts for texts in shown)
    assert "40%" in shown[0]
    assert "14%" in shown[1]
    assert "40%" not in shown[1]


def test_curves_and_bars_have_a_panel_and_a_group_each():
    curves = {"labels only": torch.rand(3, 2).numpy(), "word-level KD": torch.rand(3, 2).numpy()}
    figure = contest_figure({"many": curves, "few": curves}, every=40, teacher=3.0)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["many", "few"]
    assert len(position_figure([torch.rand(6)] * 3).axes[0].patches) == 18
