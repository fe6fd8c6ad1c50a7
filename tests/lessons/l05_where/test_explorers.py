"""The rollout and growth explorers, and the map of roads."""

import numpy as np
import pytest
import torch

from kd_lab.lessons.l05_where.explorers import draw_roads, early_strays, growth_explorer, read, rollout_explorer, share
from kd_lab.lessons.l05_where.tunes import LOST, NOTES, L, tunes
from kd_lab.models import TabularModel
from kd_lab.viz import new_figure
from kd_lab.worlds import Batch, World, language


@pytest.fixture(scope="module")
def echo():
    return language("echo")


@pytest.fixture(scope="module")
def explorer(echo):
    student = TabularModel.uniform(7, 6, dtype=torch.float64)
    texts = Batch.from_tokens(
        torch.cat([echo.vocabulary.encode(["axya", "zcb."[:3] + "a"]), torch.zeros(2, 1).long()], 1), end=0
    )
    one = rollout_explorer(
        {"uniform": student, "itself": TabularModel(echo.logp)},
        TabularModel(echo.logp),
        {"uniform": texts, "itself": texts},
        echo.vocabulary,
        name="rollout-under-test",
    )
    yield one
    one.close()


def test_a_text_of_the_teachers_never_leaves_its_paths(explorer):
    sentence = explorer.draw({"step": 2, "student": "uniform", "text": 1}).sentence
    assert "after “a”: the student writes “x”" in sentence
    assert "It never leaves the teacher's paths." in sentence
    assert not explorer._artists["fork"].get_visible()


def test_the_fork_is_the_first_token_below_one_percent(explorer):
    before, here = (explorer.draw({"step": step, "student": "uniform", "text": 2}).sentence for step in (1, 2))
    assert "Here it leaves the teacher's paths." in before, "z opens one text in 200"
    assert "It left the teacher's paths at step 1, with “z”." in here
    heights = [[bar.get_height() for bar in explorer._artists[key]] for key in ("paths", "lost")]
    assert heights[0][0] > 0 == heights[0][1]
    assert heights[1][0] == 0 < heights[1][1]


def test_a_student_that_is_the_teacher_has_no_gap(explorer):
    assert "0.00 nats here and 0.0 over" in explorer.draw({"step": 6, "student": "itself", "text": 2}).sentence


def test_steps_beyond_the_end_stay_at_the_end(explorer):
    last, beyond = (explorer.draw({"step": step, "student": "uniform", "text": 1}) for step in (5, 6))
    assert "the student writes “■”" in last.sentence
    assert beyond.sentence == last.sentence


def test_a_reading_is_both_models_along_the_text(echo):
    model = TabularModel(echo.logp)
    seen = read(
        TabularModel.uniform(7, 6, dtype=torch.float64),
        model,
        Batch.from_tokens(echo.vocabulary.encode(["cxc"]), end=0),
    )
    assert seen.tokens == [3, 4, 3, 0]
    assert seen.student == pytest.approx(np.full((4, 7), 1 / 7))
    p = echo.logp[0].exp().flatten()
    assert seen.gap[0] == pytest.approx((p * (7 * p).log()).sum().item())


def test_probabilities_read_well():
    assert share(0.02) == "2%"
    assert share(1 / 50_000) == "1 in 50,000"


def test_growth_reads_the_stored_runs():
    own = {0.0: np.ones((3, 4)) * [[1], [1], [1]], 1.0: np.ones((3, 4))}
    own[0.0] = own[0.0] * np.array([1.0, 2.0, 3.0, 4.0])
    one = growth_explorer(own, {share: np.ones((3, 4)) for share in own}, name="growth-under-test")
    try:
        off, on = (one.draw({"on-policy share": value}).sentence for value in (0.0, 1.0))
        assert "10.00 nats accumulate over 4 tokens, 3.3 times as much as over 2" in off
        assert "2.5 times the error" in off
        assert "4.00 nats accumulate over 4 tokens, 2.0 times" in on
        assert "1.0 times the error" in on
        assert one._artists["sum"].get_ydata() == pytest.approx([1, 2, 3, 4])
    finally:
        one.close()


def test_roads_are_dark_where_the_text_is_lost():
    axes = new_figure().subplots()
    draw_roads(axes, np.array([[False, True], [False, False]]), "two texts")
    assert axes.images[0].get_array().tolist() == [[0, 1], [0, 0]]
    assert axes.get_title(loc="left") == "two texts" or axes.get_title() == "two texts"


def test_early_strays_leave_the_road_first():
    teacher = student = tunes(typos=0.05)
    world = World("prompts", NOTES, *[Batch.from_tokens(torch.zeros(1, L + 1, dtype=torch.long), end=NOTES.end)] * 2)
    texts = early_strays(student, teacher, world, LOST, seed=0, most=5)
    lost = (teacher.states(texts.inputs) == LOST).int().argmax(1)
    assert len(texts) == 5
    assert texts.mask.all()
    assert (lost > 0).all()
    assert lost.tolist() == sorted(lost.tolist())
