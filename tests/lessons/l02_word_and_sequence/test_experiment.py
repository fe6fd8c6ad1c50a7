"""The longer pieces of lesson 02's experiments on cases that are known."""

import pytest
import torch

from kd_lab.how import Divergence, NegativeLogLikelihood
from kd_lab.lessons.l02_word_and_sequence.experiment import (
    bytes_per_token,
    greedy_and_beam,
    log_probability,
    minimise,
    slope,
    split_prompts,
    stray,
)
from kd_lab.models import GPT, GPTConfig, TabularModel
from kd_lab.what import Logits, Sequences
from kd_lab.worlds import Batch, language, surnames

ECHO = language("echo")


def test_an_error_that_falls_like_one_over_root_n_has_the_slope_minus_one_half():
    errors = torch.randn(200, 256, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert slope(errors, [4, 16, 64, 256]) == pytest.approx(-0.5, abs=0.05)
    assert slope(torch.ones(4, 64, dtype=torch.float64), [4, 16, 64]) == pytest.approx(0, abs=1e-9)


def test_prompts_of_the_test_are_in_no_text_of_the_training():
    world = surnames().given(4)
    labelled, unseen = split_prompts(world, 4, asked=100, unseen=20, seed=3)
    asked = {tuple(row) for row in labelled.train.tokens[:, :4].tolist()}
    assert len(asked) == 100
    assert unseen.shape == (20, 4)
    assert not asked & {tuple(row) for row in unseen.tolist()}
    assert not split_prompts(world, 4, 100, 20, seed=4)[1].equal(unseen)


def test_greedy_and_beam_of_echo():
    model = TabularModel(ECHO.logp)
    greedy, beam = greedy_and_beam(model, torch.zeros(1, 1, dtype=torch.long), room=6, width=2)
    assert (ECHO.vocabulary.decode(greedy), ECHO.vocabulary.decode(beam)) == (["axxa"], ["cxc"])
    assert log_probability(model, beam, 1).item() == pytest.approx(-1.02, abs=0.01)


def test_a_student_that_is_told_distributions_strays_less():
    student = GPT(GPTConfig(len(ECHO.vocabulary), 6, layers=1, heads=1, width=8), seed=0)
    teacher = TabularModel(ECHO.logp)
    texts = Batch.from_tokens(ECHO.sample(128, torch.Generator().manual_seed(0)), end=0)
    by_token = stray(student, teacher, texts, Sequences(), NegativeLogLikelihood(), 0)
    assert by_token > stray(student, teacher, texts, Logits(), Divergence("forward_kl"), 0) > 0


def test_a_cache_on_disk_weighs_what_its_numbers_weigh():
    sizes = bytes_per_token(torch.randn(500, 1000), torch.arange(500), 5, torch.Generator().manual_seed(0))
    assert [round(sizes[name]) for name in ("all logits", "token ids")] == [2000, 2]
    assert sizes["top k"] == pytest.approx(4 * 5 + 2, abs=2)


def test_free_logits_find_the_minimum_of_a_cross_entropy():
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    found = minimise(lambda logits: -(p * logits.log_softmax(-1)).sum(-1), starts=4, vocabulary=3, seed=0)
    torch.testing.assert_close(found, p.expand(4, 3), atol=1e-3, rtol=0.0)
