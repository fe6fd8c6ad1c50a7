"""Lesson 01's explorers say what is drawn, and what is drawn is right."""

import math

import numpy as np
import pytest
import torch

from kd_lab.how import softmax_kl
from kd_lab.lessons.l01_what.explorers import (
    HEATS,
    TEACHERS_OWN,
    draw_map,
    entropy_bounds,
    gradient_norms,
    real_temperature_explorer,
    relation_explorer,
    temperature_explorer,
)
from kd_lab.models import TabularModel
from kd_lab.viz import new_figure
from kd_lab.viz.real_tokens import PROMPTS, percent, real_node
from kd_lab.viz.sweep import sweep
from kd_lab.what.relations import relations
from kd_lab.worlds import language
from kd_lab.worlds.next_tokens import load_next_tokens


@pytest.fixture(scope="module")
def temperature():
    echo, blurred = language("echo"), language("echo", smoothing=0.3)
    explorer = temperature_explorer(
        TabularModel(echo.logp), TabularModel(blurred.logp), echo.vocabulary, start="ax", name="temperature-under-test"
    )
    yield explorer, echo
    explorer.close()


@pytest.mark.parametrize("tau", [0.5, 1.0, 3.0, 20.0])
def test_the_norm_is_that_of_the_librarys_gradient(tau):
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 9, generator=generator, dtype=torch.float64)
    student.requires_grad_()
    loss = softmax_kl(student[None], teacher[None], temperature=tau)
    (gradient,) = torch.autograd.grad(loss, student)
    norms = gradient_norms(student.detach(), teacher, np.array([tau]))
    assert norms.item() == pytest.approx(gradient.norm().item(), rel=1e-6)


def test_bars_and_sentence_agree_with_the_teacher(temperature):
    explorer, echo = temperature
    sentence = explorer.draw({"τ": 1.0, "prefix": ""}).sentence
    p = torch.as_tensor(echo.logp[0][0]).double().exp()
    heights = [bar.get_height() for bar in explorer._artists["bars"][0]]
    assert heights == pytest.approx(p.tolist(), abs=1e-6)
    entropy = -(p * p.log()).sum().item()
    assert f"{entropy:.2f} nats" in sentence
    assert f"{math.exp(entropy):.1f} equally likely" in sentence


def test_at_a_high_temperature_the_curve_meets_its_limit_and_the_bare_one_sinks(temperature):
    explorer, _ = temperature
    explorer.draw({"τ": 32.0, "prefix": "a"})
    artists = explorer._artists
    limit = artists["limit"].get_ydata()[0]
    with_factor, bare = artists["here"].get_ydata()
    assert with_factor == pytest.approx(limit, rel=0.25)
    assert bare == pytest.approx(with_factor / 32**2)


def test_a_prefix_that_leaves_no_room_is_refused(temperature):
    explorer, _ = temperature
    with pytest.raises(ValueError, match="expected at most"):
        explorer.draw({"prefix": "axxxxxxxxx"})


@pytest.fixture(scope="module")
def maps():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 5, generator=generator)
    teacher = relations(x)[0].numpy()
    other = relations(torch.randn(30, 5, generator=generator))[0].numpy()
    students = {"other": other, "turned": relations(3 * x.flip(1))[0].numpy()}
    explorer = relation_explorer(teacher, students, ["ann", "bob", "cy"], start="other", name="relations-under-test")
    yield explorer, teacher
    explorer.close()


def test_a_turned_and_stretched_student_has_the_teachers_relations(maps):
    explorer, teacher = maps
    assert "correlate with the teacher's at 1.00" in explorer.draw({"student": "turned"}).sentence
    np.testing.assert_allclose(explorer._artists["map"].get_array(), teacher[:3, :3], atol=1e-5)
    assert "at 1.00" not in explorer.draw({"student": "other"}).sentence


def test_the_cloud_lies_on_the_diagonal_for_equal_relations(maps):
    explorer, _ = maps
    explorer.draw({"student": "turned"})
    rows, columns = np.nonzero(explorer._artists["cloud"].get_array())
    assert abs(rows - columns).max() <= 1


def test_a_map_wants_a_text_a_row():
    with pytest.raises(ValueError, match="2 texts came for 3 rows"):
        draw_map(new_figure().subplots(), np.zeros((3, 3)), ["a", "b"], "t")


@pytest.fixture(scope="module")
def real():
    explorer = real_temperature_explorer("real-temperature-under-test")
    yield explorer
    explorer.close()


def test_the_temperatures_are_those_that_are_stored():
    assert load_next_tokens().temperatures == HEATS


def test_a_real_teachers_bars_are_softened_and_its_mass_is_split_in_three(real):
    for prompt in PROMPTS:
        node = real_node(prompt)
        for tau in (0.5, 2.0):
            sentence = real.draw({"real prompt": prompt, "τ": tau}).sentence
            cold, warm = ([bar.get_height() for bar in bars] for bars in real._artists.bars)
            assert cold[0] == pytest.approx(node.p("teacher")[:-1].max())
            assert warm[:-1] == pytest.approx(node.p("teacher", tau)[: len(warm) - 1])
            parts = [curve.get_ydata()[HEATS.index(tau)] for curve in real._artists.curves]
            assert sum(parts) == pytest.approx(1)
            assert parts[0] == pytest.approx(node.p("teacher", tau)[node.actual])
            assert f"has {percent(parts[0])} of the teacher's mass" in sentence
            assert f"{percent(parts[2])} on the remaining {node.left_over:,}" in sentence


def test_heat_lifts_the_rest_of_a_real_vocabulary(real):
    for prompt in PROMPTS:
        real.draw({"real prompt": prompt})
        rest = real._artists.curves[2].get_ydata()
        assert (np.diff(rest) > 0).all()
        assert rest[-1] > 0.9


def test_the_bounds_hold_the_entropy_of_any_vocabulary():
    p = torch.randn(2000, generator=torch.Generator().manual_seed(0)).mul(3).softmax(0).sort(descending=True)[0]
    for kept in (TEACHERS_OWN, 100):
        events = np.append(p[:kept].numpy(), p[kept:].sum())
        least, most = entropy_bounds(events, 2000 - kept)
        assert least < torch.special.entr(p).sum().item() < most


def test_no_token_of_the_rest_is_likelier_than_the_teachers_last_own():
    """So the rest is no more than so many times as likely."""
    for prompt in PROMPTS:
        for tau in HEATS:
            p = real_node(prompt).p("teacher", tau)
            assert p[-1] <= real_node(prompt).left_over * p[TEACHERS_OWN - 1]


def test_a_real_temperature_stands_at_all_its_extremes(real):
    assert sweep(real) > 6
