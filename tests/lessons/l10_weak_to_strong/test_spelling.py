"""The task of lesson 10: misspellings differ by one exchange, parts do not overlap, readings are what they say."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kd_lab.classroom.diagnosis import find_exercise
from kd_lab.lessons.l10_weak_to_strong.contest import Contest, overlap, span
from kd_lab.lessons.l10_weak_to_strong.exercises import gain_and_misfit
from kd_lab.lessons.l10_weak_to_strong.heads import accuracy, answer, fit_teacher, train_heads
from kd_lab.lessons.l10_weak_to_strong.spelling import (
    FOR_STUDENT,
    FOR_TEACHER,
    Deal,
    exchanged,
    readings,
    spellings,
    untrained,
)
from kd_lab.models import GPT, GPTConfig, target_logp
from kd_lab.worlds import Batch, surnames


@pytest.fixture(scope="module")
def texts():
    return spellings(surnames())


def test_a_misspelling_has_two_neighbours_exchanged(texts):
    name, wrong = texts[:, 0], texts[:, 1]
    differs = name != wrong
    assert (differs.sum(1) == 2).all()
    place = differs.int().argmax(1)
    rows = torch.arange(len(texts))
    assert (name[rows, place] == wrong[rows, place + 1]).all()
    assert exchanged(name[:5], 0).equal(exchanged(name[:5], 0))


def test_parts_of_a_deal_share_no_text():
    deal, pairs = Deal.of(range(3), 1500), torch.arange(1500)
    parts = {
        name: deal.part(torch.stack([pairs, pairs], 1)[..., None], name)[..., 0]
        for name in ("teacher", "student", "test")
    }
    assert [part.shape[1] for part in parts.values()] == [2 * FOR_TEACHER, 2 * FOR_STUDENT, 2 * (1500 - 1150)]
    for run in range(3):
        assert torch.cat([part[run] for part in parts.values()]).unique().numel() == 1500
    assert deal.truth("test").mean() == 0.5


def test_the_last_three_readings_are_the_models_surprise(texts):
    model = GPT(GPTConfig(27, 14, layers=1, heads=2, width=8), seed=0).eval()
    few = texts[:60]
    read = readings(model, few)
    assert read.shape == (60, 2, 2 * 8 + 3)
    torch.testing.assert_close(read.flatten(0, 1).mean(0), torch.zeros(19), atol=1e-4, rtol=0)
    batch = Batch.from_tokens(few.flatten(0, 1), end=0)
    with torch.no_grad():
        total = target_logp(model, batch).where(batch.mask, 0.0).sum(1)
    correlation = torch.corrcoef(torch.stack([total, read.flatten(0, 1)[:, -1]]))[0, 1]
    assert correlation == pytest.approx(1, abs=1e-4)


def test_runs_that_are_trained_together_are_trained_alike():
    chance = torch.Generator().manual_seed(0)
    features = torch.randn(3, 200, 4, generator=chance)
    labels = (features[..., 0] > 0).float()
    together = train_heads(features, labels, alpha=0.5)
    assert (accuracy(answer(features, together), labels) > 0.95).all()
    assert (accuracy(answer(features, fit_teacher(features, labels)), labels) > 0.9).all()


def test_confidence_moves_the_head_and_no_share_of_it_is_plain_cross_entropy():
    chance = torch.Generator().manual_seed(1)
    features, labels = torch.randn(2, 90, 3, generator=chance), torch.rand(2, 90, generator=chance)
    plain, sure = train_heads(features, labels), train_heads(features, labels, alpha=0.75)
    assert not plain.allclose(sure, atol=1e-3)
    unread = train_heads(
        features, labels, loss=lambda logits, weak, share, cuts: F.binary_cross_entropy_with_logits(logits, weak)
    )
    torch.testing.assert_close(plain, unread, atol=1e-4, rtol=1e-4)


def test_spoilt_labels_are_spoilt_as_said():
    contest = Contest(seed=0, runs=2)
    flipped = contest.flipped(0.25)
    assert (flipped != contest.truth).float().mean() == pytest.approx(0.25, abs=0.03)
    biased = contest.biased()
    letters = (contest.deal.part(contest.texts, "student") != 0).sum(-1)
    assert (biased[letters <= 6] == 1).all()
    assert biased[letters > 6].equal(contest.truth[letters > 6])
    one_sided = contest.one_sided(0.25)
    assert (one_sided != contest.truth).float().mean() == pytest.approx(0.25, abs=0.03)
    assert (one_sided[contest.truth == 1] == 1).all()


def test_gain_is_misfit_less_twice_the_overlap():
    generator = torch.Generator().manual_seed(1)
    features, weak, truth = (
        torch.randn(*shape, generator=generator).double().numpy() for shape in ((30, 4), (30,), (30,))
    )
    gain, misfit = gain_and_misfit(features, weak, truth)
    assert gain == pytest.approx(misfit - 2 * overlap(features, weak, truth))


def test_a_span_has_no_dependence_and_writes_the_same():
    chance = np.random.default_rng(0)
    features, labels = chance.standard_normal((20, 3)), chance.standard_normal(20)
    dependent = np.column_stack([features, features.sum(1)])
    free = span(dependent)
    assert free.shape == (20, 3)
    np.testing.assert_allclose(free.T @ free, 20 * np.eye(3), atol=1e-9)
    expected = dependent @ np.linalg.lstsq(dependent, labels, rcond=None)[0]
    np.testing.assert_allclose(free @ np.linalg.lstsq(free, labels, rcond=None)[0], expected, atol=1e-9)
    for unusual in find_exercise("10.2").unusual:
        assert unusual(free, labels, labels**2) == pytest.approx(gain_and_misfit(free, labels, labels**2))


def test_a_model_of_the_same_shape_knows_nothing():
    model = GPT(GPTConfig(27, 14, layers=1, heads=2, width=8), seed=0)
    assert untrained(model).config == model.config
    assert not untrained(model).tokens.weight.equal(model.tokens.weight)
