"""Reading: eval mode, the model's device and type, and log-probabilities that sum to one."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kd_lab.models import GPT, GPTConfig, MixtureModel, TabularModel, device_of, next_token_logp, target_logp
from kd_lab.models.reading import last_logits
from kd_lab.worlds import Batch, language

ECHO = language("echo")
SHAPE = GPTConfig(vocab_size=7, context=6, layers=1, heads=1, width=8, dropout=0.5)


def test_a_model_reads_in_eval_mode_and_is_put_back():
    model, tokens = GPT(SHAPE, seed=0), torch.tensor([[0, 1, 2], [0, 3, 4]])
    first = next_token_logp(model, tokens)
    assert torch.equal(first, next_token_logp(model, tokens))  # no dropout
    assert model.training
    torch.testing.assert_close(first.exp().sum(-1), torch.ones(2, 3))
    assert first.requires_grad


def test_reading_in_parts_gives_the_same_numbers():
    model, tokens = GPT(SHAPE, seed=0), ECHO.sample(10, torch.Generator().manual_seed(0))[:, :-1]
    whole = next_token_logp(model, tokens, dtype=torch.float64)
    assert whole.dtype == torch.float64
    torch.testing.assert_close(next_token_logp(model, tokens, dtype=torch.float64, rows=3), whole)


def test_half_precision_is_normalised_in_float32():
    model = GPT(SHAPE, seed=0).bfloat16()
    logp = next_token_logp(model, torch.tensor([[0, 1]]))
    assert logp.dtype == torch.float32
    torch.testing.assert_close(logp.logsumexp(-1), torch.zeros(1, 2))


def test_target_logp_is_the_language_s_own():
    tokens = ECHO.sample(50, torch.Generator().manual_seed(0))
    batch = Batch.from_tokens(tokens, end=ECHO.vocabulary.end)
    total = target_logp(TabularModel(ECHO.logp), batch).sum(1)
    place = 7 ** torch.arange(5, -1, -1)
    torch.testing.assert_close(total, ECHO.joint()[(tokens[:, 1:] * place).sum(1)])


@pytest.mark.parametrize(
    ("model", "device"),
    [
        (nn.Linear(2, 2, device="meta"), "meta"),
        (nn.BatchNorm1d(2, affine=False, device="meta"), "meta"),
        (nn.Identity(), "cpu"),
    ],
)
def test_the_device_is_that_of_a_weight_or_a_buffer_or_the_cpu(model, device):
    assert device_of(model).type == device


def test_the_last_logits_are_those_of_the_whole_reading():
    """Also of a model that makes them all, and of two that write together."""
    gpt, table = GPT(GPTConfig(7, 6, layers=1, heads=1, width=8)), TabularModel(ECHO.logp).float()
    tokens = F.pad(ECHO.sample(10, torch.Generator().manual_seed(0))[:, :4], (1, 0))
    for model in (gpt, table, MixtureModel(gpt, table, share=0.3)):
        torch.testing.assert_close(last_logits(model)(tokens), model(tokens)[:, -1])
    assert MixtureModel(gpt, table, share=0.3)(tokens, last_only=True).shape == (10, 1, 7)


def test_a_mixture_of_models_in_half_precision_is_not_rounded_to_it():
    config = GPTConfig(vocab_size=7, context=8, width=16, layers=1, heads=2)
    first, second = (GPT(config, seed=seed).bfloat16() for seed in (0, 1))
    tokens = torch.arange(7)[None]
    mixed = MixtureModel(first, second, share=0.3)(tokens)
    exact = [model(tokens).double().softmax(-1) for model in (first, second)]
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed.double().exp(), 0.3 * exact[0] + 0.7 * exact[1], rtol=1e-6, atol=1e-7)
