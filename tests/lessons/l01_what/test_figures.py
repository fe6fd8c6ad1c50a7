"""The pictures of lesson 01 show what was measured."""

import pytest
import torch

from kd_lab.lessons.l01_what.figures import SHOWN, draw_target, six_targets, summary, three_signals, two_yardsticks
from kd_lab.models import load_teacher
from kd_lab.viz import new_figure
from kd_lab.worlds import surnames


def test_the_hook_shows_logits_features_and_relations():
    figure = three_signals(load_teacher("surnames"), surnames().vocabulary)
    logits, features, relations = figure.axes
    assert sum(bar.get_height() for bar in logits.patches) == pytest.approx(1, abs=1e-5)
    assert [text.get_text() for text in features.texts] == list("smithschwartz")
    assert relations.images[0].get_array().shape == (10, 10)


def test_bars_are_named_under_the_likeliest_letters_alone():
    vocabulary = surnames().vocabulary
    p = torch.full((27,), 0.01)
    p[[1, 5]] = torch.tensor([0.4, 0.35])
    axes = new_figure().subplots()
    draw_target(axes, vocabulary, p, "t", labelled=2)
    assert sorted(tick.get_text() for tick in axes.get_xticklabels()) == ["a", "e"]


def test_the_letter_of_the_label_has_a_name():
    """In six_targets the label's letter may be none of the teacher's likeliest, and its bar is the tallest of all."""
    vocabulary, label = surnames().vocabulary, torch.zeros(27)
    label[8] = 1.0
    teacher = torch.linspace(0, 1, 27).softmax(0)
    figure = six_targets(dict(zip("abcdef", [label, *[teacher] * 5], strict=True)), vocabulary)
    for axes in figure.axes:
        assert "h" in [tick.get_text() for tick in axes.get_xticklabels()]


def test_six_targets_and_their_students_have_a_place_each():
    targets = {name: torch.full((27,), 1 / 27) for name in "abcdef"}
    assert [axes.get_title(loc="left") for axes in six_targets(targets, surnames().vocabulary).axes] == list("abcdef")
    values = {name: torch.tensor([3.5, 3.6, 3.7]) for name in "abc"}
    left, _ = two_yardsticks(values, values).axes
    assert [tick.get_text() for tick in left.get_yticklabels()] == list("abc")


def test_the_summary_has_a_row_for_each_student_and_no_bits_for_a_letter():
    seeds = torch.tensor([0.1, 0.2, 0.3])
    inside = {name: torch.stack([seeds, seeds]) for name in SHOWN}
    table = summary(inside, dict.fromkeys(SHOWN, seeds), {n: seeds for n in SHOWN if n != "letter only"}, 2.9)
    rows = table.splitlines()
    assert len([row for row in rows if row.startswith("|")]) == 2 + len(SHOWN)
    assert rows[2].endswith("| – |")
    assert "0.20 ± 0.25" in rows[3]
