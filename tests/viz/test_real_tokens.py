"""Bars of real prompts hold what is stored, and all of it."""

import numpy as np
import pytest
import torch

from kd_lab.how import forward_kl
from kd_lab.viz import STUDENT, TEACHER, new_figure
from kd_lab.viz.real_tokens import (
    LONGEST_NAME,
    OTHERS,
    PROMPTS,
    likeliest,
    move_tokens,
    prompt_choice,
    real_node,
    spelled,
    token_bars,
)
from kd_lab.worlds.next_tokens import load_next_tokens


@pytest.mark.parametrize("button", PROMPTS)
def test_a_button_is_one_stored_prompt_whose_next_token_is_known(button):
    stored, node = load_next_tokens(), real_node(button)
    assert [prompt.endswith(PROMPTS[button]) for prompt in stored.prompts].count(True) == 1
    assert node.pieces[node.actual] == stored.actual[node.row]
    assert node.author == ("a person wrote" if "Python" in button or "feature" in button else "the teacher wrote")
    assert node.left_over + len(node.pieces) == stored.vocabulary


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_its_events_are_the_stored_ones(temperature):
    stored = load_next_tokens()
    for button in PROMPTS:
        node = real_node(button)
        pair = [node.p(model, temperature) for model in ("healed", "teacher")]
        assert all(p.sum() == pytest.approx(1) and (p > 0).all() for p in pair)
        wanted = forward_kl(*(stored.events(model, temperature).double() for model in ("healed", "teacher")))
        found = forward_kl(*(torch.from_numpy(np.log(p)) for p in pair))
        assert found.item() == pytest.approx(wanted[node.row].item(), abs=1e-6)


def test_the_teachers_tokens_stand_in_its_order():
    for button in PROMPTS:
        p = real_node(button).p("teacher")[:-1]
        assert (np.diff(p) <= 1e-9).all()


def test_bars_add_up_to_one_and_carry_the_names_of_their_tokens():
    axes = new_figure().subplots()
    artists, node = token_bars(axes, (TEACHER, STUDENT), 5), real_node("This is new in Python")
    teacher, student = node.p("teacher"), node.p("healed")
    shown = likeliest(student, 5)
    move_tokens(artists, node, shown, teacher, student)
    heights = [[bar.get_height() for bar in bars] for bars in artists.bars]
    assert heights[0] == pytest.approx([*teacher[shown], 1 - teacher[shown].sum()])
    assert sum(heights[1]) == pytest.approx(1)
    assert [name.get_text() for name in artists.names] == ["3", "2", "1", "4", "0", OTHERS]


def test_the_others_are_never_among_the_likeliest():
    assert likeliest(np.array([0.1, 0.05, 0.15, 0.7]), 2).tolist() == [0, 2]


def test_no_name_of_a_stored_token_is_long_or_empty_or_a_formula():
    for piece in load_next_tokens().pieces.values():
        name = spelled(piece)
        assert name.strip()
        assert "$" not in name.replace(r"\$", "")
        assert len(name.replace(r"\$", "$")) <= LONGEST_NAME


def test_a_prompt_that_is_not_there_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="expected one of"):
        real_node("nowhere")
    monkeypatch.setitem(PROMPTS, "gone", "an end that no prompt has")
    with pytest.raises(ValueError, match="no stored prompt ends in 'an end that no prompt has'"):
        real_node("gone")


def test_the_chooser_begins_with_the_first_prompt():
    choice = prompt_choice()
    assert list(choice.options) == list(PROMPTS)
    assert choice.start == next(iter(PROMPTS))


def test_no_name_reaches_down_to_the_axis_label():
    figure = new_figure(780, 340)
    axes = figure.subplots()
    artists = token_bars(axes, (TEACHER,), 14)
    for button in PROMPTS:
        node = real_node(button)
        for model in ("teacher", "healed", "pruned"):
            move_tokens(artists, node, likeliest(node.p(model), 14), node.p(model))
            figure.draw_without_rendering()
            top = axes.xaxis.label.get_window_extent().y1
            assert min(name.get_window_extent().y0 for name in artists.names) >= top, (button, model)
