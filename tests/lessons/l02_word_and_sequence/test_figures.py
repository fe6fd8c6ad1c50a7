"""The drawn tree of a beam search says what the search did."""

import pytest
import torch

from kd_lab.lessons.l02_word_and_sequence.figures import beam_tree, create_beam_tree, update_beam_tree
from kd_lab.models import TabularModel
from kd_lab.viz import new_figure
from kd_lab.where import beam_search
from kd_lab.worlds import language

ECHO = language("echo")


def tree_of(width):
    trace = []
    found = beam_search(TabularModel(ECHO.logp), torch.tensor([0]), width, 6, trace=trace)
    return beam_tree([0], trace, found), found, trace


def drawn(tree, **options):
    artists = create_beam_tree(new_figure().subplots(), depth=6, **options)
    update_beam_tree(artists, tree, ECHO.vocabulary.symbols)
    return artists


def test_the_columns_are_the_number_of_tokens_and_every_node_hangs_on_its_parent():
    tree, _, _ = tree_of(3)
    for tokens, (x, y) in tree.place.items():
        assert x == len(tokens) - 1
        assert 0 <= y <= 1
        assert tokens == tree.root or tokens[:-1] in tree.place


def test_no_two_nodes_share_a_place():
    tree, _, _ = tree_of(4)
    assert len(set(tree.place.values())) == len(tree.place)


def test_what_grew_or_came_out_is_kept_and_a_text_that_was_displaced_is_not():
    tree, found, trace = tree_of(2)
    ended = {one.tokens for step in trace for one in step.kept if one.ended}
    out = {one.tokens for one in found}
    assert out <= tree.kept
    assert not (ended - out) & tree.kept
    assert {one.tokens for step in trace for one in step.kept if not one.ended} <= tree.kept


def test_the_best_text_is_drawn_as_one_path_with_its_letters():
    tree, found, _ = tree_of(2)
    artists = drawn(tree)
    assert artists.result.get_text() == "cxc"
    assert len(artists.best_edges.get_segments()) == len(found[0].tokens) - 1


def test_letters_of_a_larger_tree_do_not_stay_behind():
    artists = drawn(tree_of(4)[0])
    small, _, _ = tree_of(1)
    update_beam_tree(artists, small, ECHO.vocabulary.symbols)
    assert sum(text.get_visible() for text in artists.letters) == len(small.place)


def test_a_tree_that_does_not_fit_says_what_to_enlarge():
    with pytest.raises(ValueError, match="most_nodes"):
        drawn(tree_of(4)[0], most_nodes=5)
