"""The benchmark compares like with like: as many parameters on both sides, and as many tokens written."""

import torch

from kd_lab.bench.models import NEW_TOKENS, SHAPE, Baseline, compare, never_ending, overhead, uncached_loop
from kd_lab.models import GPT, generate


def test_both_models_have_as_many_parameters():
    ours, baseline = (sum(weight.numel() for weight in model(SHAPE).parameters()) for model in (GPT, Baseline))
    assert ours == baseline


def test_both_sides_write_every_token():
    start = torch.full((2, 1), SHAPE.end)
    chance = torch.Generator().manual_seed(0)
    assert uncached_loop(Baseline(SHAPE).eval(), start, NEW_TOKENS, chance).shape == (2, 1 + NEW_TOKENS)
    assert (generate(never_ending(GPT(SHAPE)), start, NEW_TOKENS, generator=chance)[:, 1:] != SHAPE.end).all()


def test_a_ratio_says_how_many_times_the_baseline_s_seconds_are_ours():
    slow, fast, ratio = compare(lambda: sum(range(200_000)), lambda: sum(range(2_000)), rounds=5)
    assert slow > fast
    assert ratio > 5


def test_a_model_without_arithmetic_shows_what_a_step_costs_in_any_case():
    line = overhead(rounds=1)
    assert "at least" in line
    assert "ms per token" in line
