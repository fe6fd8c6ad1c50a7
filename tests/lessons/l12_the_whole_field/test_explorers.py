"""The explorers and figures of lesson 12 show what they are given."""

from itertools import pairwise

import numpy as np
import pytest

from kd_lab.lessons.l12_the_whole_field import figures, stored
from kd_lab.lessons.l12_the_whole_field.explorers import HALVES, field_explorer, gaps, order_explorer, orders
from kd_lab.lessons.l12_the_whole_field.field import METHODS, refusal


@pytest.fixture(scope="module")
def field():
    explorer = field_explorer("field under test")
    yield explorer
    explorer.close()


def test_a_choice_is_shown_with_its_place(field):
    sentence = field.draw(field.presets["on-policy"]).sentence
    assert sentence.startswith("logits × reverse KL × on-policy (student): KL(P‖Q) = ")
    mean = stored.marks("on-policy", "reverse").mean()
    assert f"KL(Q‖P) = {mean:.2f} ± " in sentence
    better = sum(stored.marks_of(key, "reverse").mean() < mean - 1e-9 for key in stored.field_keys())
    assert f"{better + 1} under KL(Q‖P)" in sentence


def test_a_refused_choice_gives_the_library_s_reason(field):
    choice = field.presets["refused: own tokens"]
    sentence = field.draw(choice).sentence
    assert sentence == f"Refused. {refusal('tokens', 'likelihood', choice['WHERE'])}."
    assert not field._artists.here.get_visible()
    field.draw({})
    assert field._artists.here.get_visible()


def test_orders_go_from_one_end_to_the_other_by_neighbours():
    found = orders(5)
    assert len(found) == 11
    assert (found[0], found[-1]) == ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0])
    for one, other in pairwise(found):
        assert sum(a != b for a, b in zip(one, other, strict=True)) == 2
    reversed_kl = gaps(HALVES, HALVES[::-1])
    assert reversed_kl[0] == 0
    assert reversed_kl[1] > 1.5


def test_the_order_explorer_reads_both_losses_out():
    explorer = order_explorer("order under test")
    assert "gap by rank is 0.00, and KL(p‖q) is 0.00 nats" in explorer.draw(explorer.presets["equal"]).sentence
    kl = gaps(HALVES, HALVES[::-1])[1]
    assert f"gap by rank is 0.00, and KL(p‖q) is {kl:.2f} nats" in explorer.draw(explorer.presets["reversed"]).sentence
    explorer.close()


def test_authors():
    assert figures.author_of(stored.part_of("on-policy")) == "student"
    assert figures.author_of(stored.part_of("GKD")) == "student"
    assert figures.author_of(stored.part_of("sequence level, beam")) == "teacher"
    assert figures.author_of(stored.part_of("word level")) == "data"
    assert figures.author_of(stored.part_of("DistiLLM-2")) == "student"


def test_figures_and_tables_hold_every_row():
    axes = figures.hook_figure().axes[0]
    assert {text.get_text() for text in axes.texts} == set(figures.NAMED)
    shown = sum(len(line.get_xdata()) for line in axes.lines)
    assert shown == len(stored.field_keys()) + 1
    low, high = figures.LIMITS["forward"]
    marks = [stored.marks_of(key, judge).mean() for key in stored.field_keys() for judge in ("forward", "reverse")]
    assert low < min(marks)
    assert max(marks) < high, "every dot lies inside the picture"
    assert len(figures.cost_figure().axes[0].texts) == len(METHODS)
    assert len(figures.other_tokens_table().splitlines()) == 2 + 7
    table = figures.ways_table("merging", [("additions", 0, 2)])
    assert len(table.splitlines()) == 2 + len(stored.ways("merging"))
    assert (figures.worst("GKD") >= stored.marks("GKD", "reverse")).all()
    assert np.isfinite(figures.worst("GKD")).all()
