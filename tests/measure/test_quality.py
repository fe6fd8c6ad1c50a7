"""Exposure bias, calibration and diversity: by hand where that is possible, sampled against exact elsewhere."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from kd_lab.measure import (
    agreement,
    bits_per_character,
    calibration_error,
    conditionals,
    distinct,
    exact_excess_error,
    excess_error,
    gap_by_position,
    gradient_angle,
    gradient_of,
    sampled_gap_by_position,
    sequence_kl,
)
from kd_lab.measure.quality import performance_gap_recovered
from kd_lab.models import GPT, GPTConfig, TabularModel
from kd_lab.where import rollout
from kd_lab.worlds import Batch, language

SPOKEN = language("brackets")
L, V = len(SPOKEN.logp), len(SPOKEN.vocabulary)
WORLD = SPOKEN.world(rows=64, seed=0)
TEACHER = TabularModel(SPOKEN.logp).float()


def student() -> GPT:
    return GPT(GPTConfig(vocab_size=V, context=L, layers=1, heads=2, width=16), seed=0)


def test_the_excess_begins_at_zero_for_the_first_token_has_no_prefix():
    curve = exact_excess_error(conditionals(student(), L), conditionals(TEACHER, L))
    assert curve[0].abs() < 1e-12
    assert curve.shape == (L,)


def test_on_the_teachers_own_prefixes_there_is_no_excess():
    gaps = gap_by_position(conditionals(student(), L), conditionals(TEACHER, L), visited=conditionals(TEACHER, L))
    torch.testing.assert_close(excess_error(gaps, gaps), torch.zeros(L, dtype=torch.float64))


def test_a_perfect_student_has_no_exposure_bias_to_speak_of():
    tables = conditionals(TEACHER, L)
    with pytest.raises(ValueError, match="no exposure bias"):
        exact_excess_error(tables, tables)


def test_sampled_gaps_agree_with_the_exact_ones():
    model, texts = student(), 4000
    generator = torch.Generator().manual_seed(0)
    p, q = conditionals(TEACHER, L), conditionals(model, L)
    for writer, visited in ((model, q), (TEACHER, p)):
        batch = rollout(writer, WORLD, torch.zeros(texts, 1, dtype=torch.long), generator)
        sampled = sampled_gap_by_position(model, TEACHER, batch).double()
        exact = gap_by_position(q, p, visited=visited)
        torch.testing.assert_close(sampled, exact, rtol=0.1, atol=0.05)


def test_the_exact_gradient_is_that_of_finite_differences():
    model = TabularModel([torch.zeros(V**t, V, dtype=torch.float64) for t in range(2)])
    p = conditionals(TEACHER, 2)
    gradient = gradient_of(sequence_kl(conditionals(model, 2, differentiable=True), p), model)
    step = 1e-6
    with torch.no_grad():
        low = sequence_kl(conditionals(model, 2), p)
        model.tables[0][0, 1] += step
        high = sequence_kl(conditionals(model, 2), p)
    assert gradient[1].item() == pytest.approx(((high - low) / step).item(), rel=1e-3)


def test_confidence_that_is_earned_costs_nothing():
    """A model that says 3/4 and is right three times in four, and one that says 1 and is right as often."""
    tokens = torch.tensor([[0, 1]] * 3 + [[0, 2]])
    batch = Batch(tokens, torch.ones(4, 1, dtype=torch.bool))
    earned = TabularModel([torch.tensor([[0.0, 0.75, 0.25]]).log()])
    boastful = TabularModel([torch.tensor([[0.0, 1.0, 0.0]]).log()])
    assert calibration_error(earned, batch) == pytest.approx(0, abs=1e-6)
    assert calibration_error(boastful, batch) == pytest.approx(0.25, abs=1e-6)


def test_padding_is_not_calibrated():
    tokens = torch.tensor([[0, 1, 0, 0]])
    batch = Batch.from_tokens(tokens, end=0)
    cut = Batch.from_tokens(tokens[:, :3], end=0)
    model = GPT(GPTConfig(vocab_size=3, context=4, layers=1, heads=1, width=8), seed=0)
    assert calibration_error(model, batch) == pytest.approx(calibration_error(model, cut), abs=1e-7)


def test_repetition_is_no_diversity():
    assert distinct(["aaaa", "aaaa"], 1) == 1 / 8
    assert distinct(["abcd"], 1) == 1
    with pytest.raises(ValueError, match="none of 1 texts"):
        distinct(["a"], 2)
    for n in (0, -1):
        with pytest.raises(ValueError, match=f"n is {n}; expected at least 1"):
            distinct(["ab"], n)


def test_the_angle_of_gradients():
    x, y = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 1.0])
    assert gradient_angle(x, y) == pytest.approx(math.sqrt(0.5))
    assert gradient_angle(x, -3 * x) == pytest.approx(-1)
    with pytest.raises(ValueError, match="has no direction"):
        gradient_angle(x, 0 * x)


def test_gradients_are_read_without_leaving_a_trace():
    model = student()
    loss = model(WORLD.train.inputs).square().mean()
    vector = gradient_of(loss, model)
    assert vector.numel() == sum(parameter.numel() for parameter in model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_agreement_counts_equal_maxima_at_counted_positions_only():
    one = TabularModel([torch.tensor([[0.5, 0.3, 0.2]]).log(), torch.eye(3)])
    other = TabularModel([torch.tensor([[0.4, 0.35, 0.25]]).log(), torch.eye(3).roll(1, 1)])
    batch = Batch(torch.tensor([[0, 1, 2], [0, 2, 2]]), torch.tensor([[True, True], [True, False]]))
    assert agreement(one, one, batch) == 1
    assert agreement(one, other, batch) == pytest.approx(2 / 3)  # alike at the first letter, apart at the second


@pytest.mark.parametrize(
    "measure", [partial(agreement, TEACHER), calibration_error, bits_per_character], ids=["agreement", "ece", "bits"]
)
def test_a_measure_needs_something_to_count(measure):
    batch = Batch(torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="none of the 2 positions counts"):
        measure(TEACHER, batch)


def test_a_performance_gap_is_recovered_between_nothing_and_all():
    assert performance_gap_recovered(0.6, 0.6, 0.9) == 0
    assert performance_gap_recovered(0.6, 0.9, 0.9) == pytest.approx(1)
    assert performance_gap_recovered(0.6, 0.5, 0.8) == pytest.approx(-0.5)
    assert performance_gap_recovered(-4.0, -3.5, -3.0) == pytest.approx(0.5)  # losses, negated
    runs = performance_gap_recovered(np.array([0.5, 0.6]), np.array([0.7, 0.75]), np.array([0.9, 0.9]))
    np.testing.assert_allclose(runs, [0.5, 0.5])


@pytest.mark.parametrize(("weak", "ceiling"), [(0.9, 0.8), (0.7, 0.7), (np.array([0.5, 0.8]), np.array([0.6, 0.8]))])
def test_without_a_gap_nothing_can_be_recovered(weak, ceiling):
    with pytest.raises(ValueError, match="no gap to recover"):
        performance_gap_recovered(weak, 0.75, ceiling)
