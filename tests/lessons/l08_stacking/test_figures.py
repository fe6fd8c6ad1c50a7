"""The still pictures of lesson 08 show what they were given."""

import numpy as np
import pytest
import torch

from kd_lab.lessons.l08_stacking.experiment import stored_runs
from kd_lab.lessons.l08_stacking.figures import (
    CASES,
    CRITERIA,
    LADDER,
    SPARSITIES,
    after_training,
    front,
    healing,
    ladder,
    loud_channel,
    zeros_and_speed,
)


def test_the_ladder_has_a_bar_per_rung_and_names_at_equal_distances():
    runs = stored_runs()
    bars, first, last = ladder(runs).axes
    assert [bar.get_width() for bar in bars.patches] == [runs.at(*stages).bytes / 1e3 for stages, _ in LADDER.values()]
    for axes, stages in ((first, (False, 0, 16)), (last, LADDER["all three"][0])):
        assert [text.get_text() for text in axes.texts] == list(runs.at(*stages).samples[:9])
        assert np.ptp(np.diff([text.get_position()[1] for text in axes.texts])) == pytest.approx(0)


def test_the_loud_channel_stands_above_its_half_step_and_every_case_has_its_bar():
    reach = torch.ones(8)
    reach[3] = 508.0
    lost = {case: [0.5, 1.0, 1.5] for case in CASES}
    left, right = loud_channel({"as it came": reach, "smoothed": torch.ones(8)}, lost).axes
    half_steps = [line.get_ydata()[0] for line in left.lines if len(line.get_ydata()) == 2]
    assert half_steps == pytest.approx([2.0, 1 / 254])
    assert [bar.get_width() for bar in right.patches] == [1.0] * len(CASES)


def test_a_row_for_rounding_alone_and_one_for_each_training():
    trained = {(signal, precision): [0.1, 0.2, 0.3] for signal in ("a", "b") for precision in ("2 bits", "twin")}
    (axes,) = after_training([1.0, 1.1, 1.2], trained).axes
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["rounded only", "a, 2 bits", "a, twin", "b, 2 bits", "b, twin"]


def test_each_criterion_is_drawn_at_both_scopes():
    quality = {(name, scope): [3.0] * len(SPARSITIES) for name in CRITERIA for scope in ("row", "global")}
    left, right = zeros_and_speed(quality, 2.9, (0.5, 0.8), {"dense": [1, 1], "sparse": [0.5, 1.2]}).axes
    assert sum(len(line.get_xdata()) == len(SPARSITIES) for line in left.lines) == 2 * len(CRITERIA)
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["dense kernel", "sparse kernel (CSR)"]


def test_healing_begins_at_the_cut():
    curves = {"labels": np.full((3, 4), 3.3), "the original": np.full((3, 4), 3.2)}
    (axes,) = healing(curves, 10, 3.6, 2.9).axes
    assert [3.6] in [list(line.get_ydata()) for line in axes.lines]
    assert list(axes.get_xticks()) == [0, 10, 20, 30, 40]


def test_the_front_is_drawn_within_its_limits():
    (axes,) = front(stored_runs(), (2.9, 3.6)).axes
    assert axes.get_ylim() == pytest.approx((2.9, 3.6))
