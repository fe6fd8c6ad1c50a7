"""Watermarks: lists from a key alone, a model that leans to green with the cache as without, a count that finds it."""

import math

import pytest
import torch

from kd_lab.contracts import LanguageModel
from kd_lab.models import GPT, GPTConfig, TabularModel, generate
from kd_lab.models.watermark import Watermarked, green_lists, watermark_z
from kd_lab.worlds import Batch

V = 11


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def model():
    return GPT(GPTConfig(vocab_size=V, context=12, layers=2, heads=2, width=16), seed=1)


def test_lists_hold_a_share_of_each_row_and_differ_between_keys():
    green = green_lists(V, key=1, share=0.3)
    assert (green.sum(1) == 3).all()
    assert green.equal(green_lists(V, key=1, share=0.3))
    agreed = (green == green_lists(V, key=2, share=0.3)).double().mean()
    assert 0.4 < agreed < 0.8  # 0.58 by chance
    assert len({tuple(row) for row in green.tolist()}) > 5, "each token has a list of its own"


def test_probabilities_are_multiplied_by_the_strength_and_renormalised(model):
    green = green_lists(V, key=3)
    marked, tokens = Watermarked(model, green, 1.5), torch.randint(1, V, (4, 7), generator=chance())
    p = model(tokens).softmax(-1) * torch.where(green[tokens], math.exp(1.5), 1.0)
    torch.testing.assert_close(marked(tokens).softmax(-1), p / p.sum(-1, keepdim=True))
    torch.testing.assert_close(marked(tokens, last_only=True), marked(tokens)[:, -1:])
    torch.testing.assert_close(Watermarked(model, green, 0.0)(tokens), model(tokens))


def test_it_writes_as_any_model_and_alike_with_and_without_a_cache(model):
    marked = Watermarked(model, green_lists(V, key=3), 2.0)
    assert isinstance(marked, LanguageModel)
    start = torch.zeros(16, 1, dtype=torch.long)
    texts = [generate(marked, start, 12, generator=chance(), cached=cached) for cached in (True, False)]
    assert texts[0].equal(texts[1])


def test_the_mark_is_found_with_its_key_only_and_grows_with_the_root_of_the_length():
    green, even = green_lists(V, key=3, share=0.5), TabularModel.uniform(V, 2)
    tokens = torch.cat([torch.zeros(8000, 1, dtype=torch.long), torch.randint(0, V, (8000, 1), generator=chance())], 1)
    p = Watermarked(even, green, 2.0)(tokens)[:, -1].softmax(-1)
    following = torch.multinomial(p, 1, generator=chance(1))
    text = Batch(torch.cat([tokens[:, 1:], following], 1), torch.ones(8000, 1, dtype=torch.bool))
    share = 5 / V
    long, short = watermark_z(text, green, share), watermark_z(text[slice(2000)], green, share)
    assert long > 50
    assert long / short == pytest.approx(2, rel=0.05)
    assert abs(watermark_z(text, green_lists(V, key=4), share)) < 0.2 * long
    expected = math.exp(2) * 5 / (math.exp(2) * 5 + 6)  # of a uniform model's next tokens
    assert green[text.inputs, text.targets].double().mean().item() == pytest.approx(expected, abs=0.02)


def test_positions_that_do_not_count_are_not_read():
    green = torch.tensor([[False, True], [True, True]])
    tokens = torch.tensor([[0, 1, 1, 0, 0, 0]])
    batch = Batch.from_tokens(tokens, end=0)
    assert watermark_z(batch, green) == pytest.approx((3 - 1.5) / math.sqrt(0.75))


NOTHING, SOMETHING = (Batch(torch.zeros(1, 2).long(), torch.full((1, 1), counts)) for counts in (False, True))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda model: green_lists(V, 1, share=0.01), "makes 0 tokens green"),
        (lambda model: green_lists(V, 1, share=1.0), "makes 11 tokens green"),
        (lambda model: Watermarked(model, green_lists(V, 1), -1.0), "strength is -1.0"),
        (lambda model: Watermarked(model, green_lists(V + 1, 1)), "12 rows and the model 11"),
        (lambda model: watermark_z(NOTHING, green_lists(V, 1)), "none of the 1 positions counts"),
        (lambda model: watermark_z(SOMETHING, green_lists(V, 1), 1.0), "base is 1.0"),
    ],
)
def test_bad_input_is_refused_with_a_remedy(model, call, match):
    with pytest.raises(ValueError, match=match):
        call(model)
