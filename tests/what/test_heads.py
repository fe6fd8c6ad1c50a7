"""Logits as two factors: the loss and the gradient that logits give, and never their product."""

import pytest
import torch

from kd_lab.how import Divergence
from kd_lab.methods import Recipe, distill
from kd_lab.models import GPT, GPTConfig, HuggingFace
from kd_lab.models.hugging_face_tokenizer import HuggingFaceTokenizer
from kd_lab.what import Heads, Logits
from kd_lab.where import Corpus

transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install -e '.[real]'")

from tiny_transformers import FAMILIES, tiny_model, tiny_tokenizer  # noqa: E402  (it imports transformers)


def pair(family: str) -> tuple[HuggingFace, HuggingFace]:
    shapes = ({"vocab_size": 20}, {"vocab_size": 24, "width": 24, "seed": 1})
    return tuple(HuggingFace(tiny_model(family, **shape), tiny_tokenizer()).eval() for shape in shapes)


def batch():
    return HuggingFaceTokenizer(tiny_tokenizer()).world(["abc", ("a", "bcd"), ("hg", "")], ["h"]).train


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("divergence", ["forward_kl", "jsd"])
def test_heads_give_the_loss_and_the_gradient_of_logits(family: str, divergence: str) -> None:
    """Also where the head is tied, and cut to the tokens that both know."""
    texts, how = batch(), Divergence(divergence, temperature=2.0)
    results = []
    for what in (Logits(), Heads()):
        student, teacher = pair(family)
        loss = how(*what.bind(student, teacher, seed=0).read(texts), texts)
        loss.backward()
        results.append((loss.detach(), {name: weight.grad for name, weight in student.named_parameters()}))
        assert all(weight.grad is None for weight in teacher.parameters())
    torch.testing.assert_close(results[1][0], results[0][0])
    torch.testing.assert_close(results[1][1], results[0][1], rtol=1e-4, atol=1e-5)


def test_a_recipe_of_heads_trains() -> None:
    student, teacher = pair("qwen2")
    world = HuggingFaceTokenizer(tiny_tokenizer()).world(["abc", ("a", "bcd"), ("hg", "")], ["h"])
    recipe = Recipe("word level", Heads(), Divergence(), Corpus())
    losses = distill(student, teacher, world, recipe, steps=40, batch_size=3, learning_rate=1e-2, progress=False)
    assert losses.history["loss"][-1] < losses.history["loss"][0] / 2


def test_a_head_that_is_no_plain_product_is_refused() -> None:
    student, teacher = pair("llama")
    student.model.lm_head.register_forward_hook(lambda head, inputs, logits: 3 * torch.tanh(logits / 3))
    with pytest.raises(ValueError, match=r"not its last hidden state times its head.*copy Logits\(\)"):
        Heads().bind(student, teacher, seed=0).read(batch())


def test_a_model_that_has_logits_alone_is_refused() -> None:
    _, teacher = pair("llama")
    with pytest.raises(ValueError, match=r"the student is a GPT, which gives its logits as a whole"):
        Heads().bind(GPT(GPTConfig(15, 16, layers=1, heads=1, width=8)), teacher, seed=0)
