import pytest
import torch

from kd_lab.lessons.l00_the_map.figures import draw_tree, likely_paths, tree_figure
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
