"""The figures of lesson 07 draw the numbers that they are given."""

import numpy as np
import pytest
import torch

from kd_lab.lessons.l07_minillm.figures import (
    GRID,
    HILLS,
    LOOKS,
    bell,
    bells_figure,
    curves_figure,
    hook_figure,
    paths_figure,
)
from kd_lab.lessons.l07_minillm.fork import V, new_bigram, share_of_words, teacher


def test_the_hook_shows_how_each_model_opens_and_its_share_of_words():
    models = {"teacher": teacher, "token-wise": new_bigram(0), "sequence": new_bigram(1)}
    left, right = hook_figure(models).axes
    heights = np.array([patch.get_height() for patch in left.patches]).reshape(len(models), V)
    for row, model in zip(heights, models.values(), strict=True):
        opening = model(torch.zeros(1, 1, dtype=torch.long))[0, 0].softmax(-1)
        assert row == pytest.approx(opening.tolist())
    widths = [patch.get_width() for patch in right.patches]
    assert widths == pytest.approx([share_of_words(model) for model in models.values()])


def test_each_kind_of_student_has_a_panel_and_each_seed_a_path():
    paths = {
        (kind, name): torch.rand(3, 120) + 0.1 * place
        for place, kind in enumerate(("bigram", "table"))
        for name in LOOKS
    }
    for axes, kind in zip(paths_figure(paths).axes, ("bigram", "table"), strict=True):
        drawn = [line.get_ydata() for line in axes.lines]
        expected = torch.cat([paths[kind, name] for name in LOOKS])
        np.testing.assert_allclose(drawn, expected)


def test_a_curve_is_the_mean_over_the_seeds_every_15_steps():
    curves = {name: np.random.default_rng(0).uniform(0, 2, (4, 10)) for name in LOOKS}
    (axes,) = curves_figure(curves, LOOKS).axes
    for line, values in zip(axes.lines, curves.values(), strict=True):
        assert line.get_xdata().tolist() == list(range(15, 151, 15))
        np.testing.assert_allclose(line.get_ydata(), values.mean(0))


def test_a_bell_is_a_distribution_around_its_mean():
    density = bell(torch.tensor([[2.0, 0.0], [-4.0, 0.5]], dtype=torch.float64)).exp()
    torch.testing.assert_close(density.sum(1), torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(density @ GRID, torch.tensor([2.0, -4.0], dtype=torch.float64), rtol=0, atol=1e-3)
    assert HILLS.exp().sum().item() == pytest.approx(1)


def test_each_estimator_has_its_students_beside_the_teacher():
    learned = {name: list(torch.rand(2, len(GRID))) for name in ("k1", "k2", "k3")}
    for axes, (name, students) in zip(bells_figure(learned).axes, learned.items(), strict=True):
        assert axes.get_title(loc="left") == f"{name} as the loss"
        np.testing.assert_allclose(axes.lines[0].get_ydata(), HILLS.exp())
        np.testing.assert_allclose([line.get_ydata() for line in axes.lines[1:]], students)
