"""The drawn tree of a search says what the search did, at every step."""

import math

import pytest
import torch

from kd_lab.lessons.l02_word_and_sequence.trees import create_tree, greedy_steps, search_tree, update_tree, written
from kd_lab.models import TabularModel, generate, load_teacher
from kd_lab.viz import new_figure
from kd_lab.where import beam_search
from kd_lab.worlds import language, surnames

ECHO = language("echo")
NAMES = surnames().vocabulary
START = torch.tensor([0])


def tree_of(width):
    return search_tree(TabularModel(ECHO.logp), START, width, 6)


def drawn(tree, steps=6, **options):
    artists = create_tree(new_figure().subplots(), depth=6, **options)
    update_tree(artists, tree, steps, ECHO.vocabulary.symbols)
    return artists


def texts(group):
    return [text.get_text() for text in group if text.get_visible()]


def test_greedy_is_greedy_where_a_beam_of_one_is_not():
    """After "mar" the end mark is never the likeliest token before "martin"; a beam of width 1 returns "mart"."""
    teacher, mar = load_teacher("surnames"), NAMES.encode(["mar"])[0, :4]
    best = search_tree(teacher, mar, 1, 6).after(6).best
    assert written(best.tokens, NAMES.symbols) == "martin"
    assert NAMES.decode(generate(teacher, mar[None], 6, greedy=True)) == ["martin"]
    assert best.logp == pytest.approx(-5.26, abs=0.01)
    (beam_of_one,) = beam_search(teacher, mar, 1, 6)
    assert written(beam_of_one.tokens, NAMES.symbols) == "mart"


def test_each_greedy_step_keeps_the_likeliest_child_and_shows_its_rivals():
    for step in greedy_steps(TabularModel(ECHO.logp), START, 6, rivals=2):
        (kept,) = step.kept
        assert len(step.cut) <= 2
        assert all(one.logp <= kept.logp for one in step.cut)
        assert all(one.tokens[:-1] == kept.tokens[:-1] for one in step.cut)


def test_the_columns_are_the_number_of_tokens_and_every_node_hangs_on_its_parent():
    tree = tree_of(3)
    for tokens, (column, row) in tree.place.items():
        assert column == len(tokens) - 1
        assert 0 <= row < tree.rows
        assert tokens == tree.root or tokens[:-1] in tree.place


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_no_two_nodes_share_a_place(width):
    tree = tree_of(width)
    assert len(set(tree.place.values())) == len(tree.place)


def test_the_last_moment_is_what_the_search_returned():
    tree, found = tree_of(2), beam_search(TabularModel(ECHO.logp), START, 2, 6)
    last = tree.after(6)
    assert last.best.tokens == found[0].tokens
    assert {one.tokens for one in found} <= last.kept


def test_a_text_that_was_displaced_later_is_kept_until_then():
    tree = tree_of(2)
    empty = (0, 0)  # the text that ends at once; two better ones end later
    assert empty in tree.after(2).kept
    assert empty in tree.after(6).cut


def test_a_search_grows_with_its_steps_and_no_node_moves():
    tree = tree_of(2)
    sizes = [len(tree.after(step).nodes) for step in range(1, 6)]
    assert sizes == sorted(set(sizes))
    assert tree.after(1).best.tokens == (0, 1)  # "a", the likeliest first letter
    assert tree.after(2).best.tokens == (0, 3, ECHO.vocabulary.symbols.index("x"))  # "cx" has overtaken it


def test_the_numbers_are_the_tokens_probability_and_log_p_so_far():
    artists = drawn(tree_of(2))
    assert artists.result.get_text() == "cxc"
    assert "36%" in texts(artists.shares)
    assert "−1.02" in texts(artists.totals)
    assert math.log(0.36) == pytest.approx(-1.02, abs=0.01)


def test_letters_of_a_larger_tree_do_not_stay_behind():
    artists = drawn(tree_of(4))
    small = tree_of(1)
    update_tree(artists, small, 6, ECHO.vocabulary.symbols)
    for group in (artists.letters, artists.shares, artists.totals):
        assert len(texts(group)) == len(small.place) - 1


def test_every_letter_is_eight_points_or_more():
    artists = drawn(tree_of(4))
    for group in (artists.letters, artists.shares, artists.totals):
        assert min(text.get_fontsize() for text in group) >= 8


def test_a_tree_that_does_not_fit_says_what_to_enlarge():
    with pytest.raises(ValueError, match="most_nodes"):
        drawn(tree_of(4), most_nodes=5)
