"""Logits as two factors: the loss and the gradient that logits give, and never their product."""

import pytest
import torch

from kd_lab.how import Divergence
from kd_lab.methods import NonFiniteLoss, Recipe, distill
from kd_lab.models import GPT, GPTConfig, HuggingFace
from kd_lab.models.hugging_face_tokenizer import HuggingFaceTokenizer
from kd_lab.what import Heads, Logits
from kd_lab.where import Corpus

transformers = pytest.importorskip("transformers", reason="transformers is not installed: make trainers")

from tiny_transformers import BENT, FAMILIES, tiny_model, tiny_tokenizer  # noqa: E402  (it imports transformers)


def pair(family: str) -> tuple[HuggingFace, HuggingFace]:
    shapes = ({"vocab_size": 20}, {"vocab_size": 24, "width": 24, "seed": 1})
    return tuple(HuggingFace(tiny_model(family, **shape), tiny_tokenizer()).eval() for shape in shapes)


def batch():
    return HuggingFaceTokenizer(tiny_tokenizer()).world(["abc", ("a", "bcd"), ("hg", "")], ["h"]).train


@pytest.mark.parametrize("family", [*FAMILIES, *BENT])
@pytest.mark.parametrize("divergence", ["forward_kl", "jsd"])
def test_heads_give_the_loss_and_the_gradient_of_logits(family: str, divergence: str) -> None:
    """Also where the head is tied, cut to the tokens that both know, biased, scaled or capped."""
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
    with pytest.raises(ValueError, match=r"LlamaForCausalLM are not its last hidden state times its head.*Logits\(\)"):
        Heads().bind(student, teacher, seed=0).read(batch())


@pytest.mark.parametrize(
    ("value", "reason"), [(torch.nan, "the student's own output is NaN"), (torch.inf, "an output is infinite")]
)
def test_a_run_that_diverges_ends_in_its_own_error_with_its_history(value: float, reason: str) -> None:
    student, teacher = pair("llama")
    world = HuggingFaceTokenizer(tiny_tokenizer()).world(["abc", ("a", "bcd"), ("hg", "")], ["h"])

    def diverge(row: dict[str, float]) -> None:
        if row["step"] == 2:
            student.model.model.norm.weight.data.fill_(value)

    recipe = Recipe("word level", Heads(), Divergence(), Corpus())
    with pytest.raises(NonFiniteLoss, match=reason) as caught:
        distill(student, teacher, world, recipe, steps=4, batch_size=3, on_step=diverge, progress=False)
    assert caught.value.result.history["step"].tolist() == [1, 2]


def test_an_adapter_on_the_head_is_refused_also_while_it_is_still_zero() -> None:
    """Read as the head alone, it would never be trained."""
    peft = pytest.importorskip("peft", reason="peft is not installed: make trainers")
    student, teacher = pair("llama")
    for target, refused in (("q_proj", False), ("lm_head", True)):
        lora = peft.LoraConfig(r=2, target_modules=[target], task_type="CAUSAL_LM")
        adapted = HuggingFace(peft.get_peft_model(tiny_model(vocab_size=20), lora), student.tokenizer)
        signal = Heads().bind(adapted, teacher, seed=0)
        if refused:
            with pytest.raises(ValueError, match="expected no further layer or adapter on the head"):
                signal.read(batch())
        else:
            signal.read(batch())


def test_a_model_of_the_library_learns_from_one_of_transformers_head_to_head() -> None:
    _, teacher = pair("Gemma2")
    texts = batch()
    student = GPT(GPTConfig(15, 32, layers=1, heads=1, width=8)).eval()
    losses = [Divergence()(*what.bind(student, teacher, seed=0).read(texts), texts) for what in (Logits(), Heads())]
    torch.testing.assert_close(*losses)
