from dataclasses import replace

import pytest
import torch

from kd_lab.compress.quantize import (
    Scheme,
    convert_qat,
    prepare_qat,
    round_matrix,
    round_to_nearest,
    straight_through,
)
from kd_lab.methods import distill, labels_only, word_level
from kd_lab.models import GPT, GPTConfig, TabularModel, generate
from kd_lab.worlds import language


@pytest.fixture(scope="module")
def spoken():
    return language("brackets")


@pytest.fixture
def model(spoken):
    context = spoken.world(rows=8, seed=0).context
    return GPT(GPTConfig(vocab_size=len(spoken.vocabulary), context=context, layers=1, heads=2, width=16), seed=0)


def test_the_value_is_rounded_and_the_gradient_is_that_of_the_weight():
    weight = torch.randn(3, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    upstream = torch.arange(24.0).view(3, 8)
    scheme = Scheme(2, 4, symmetric=False)
    value = straight_through(weight, scheme)
    torch.testing.assert_close(value.detach(), round_matrix(weight.detach(), scheme).dequantize())
    (value * upstream).sum().backward()
    assert torch.equal(weight.grad, upstream)


@pytest.mark.parametrize("symmetric", [True, False])
def test_what_trains_computes_what_will_be_stored(model, symmetric):
    student = prepare_qat(model, 3, 8, symmetric).eval()
    tokens = torch.tensor([[0, 1, 2]])
    with torch.no_grad():
        torch.testing.assert_close(student(tokens), round_to_nearest(model, 3, 8, symmetric).dequantize()(tokens))
        torch.testing.assert_close(student(tokens), convert_qat(student).dequantize()(tokens))


@pytest.mark.parametrize("recipe", [labels_only(), word_level()], ids=lambda recipe: recipe.name)
def test_distill_trains_through_the_rounding(spoken, model, recipe):
    world, teacher = spoken.world(rows=256, seed=0), TabularModel(spoken.logp)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    student = prepare_qat(model, 3, 8)
    result = distill(student, teacher, world, recipe, steps=40, seed=0, progress=False)
    assert result.history["loss"][-5:].mean() < 0.8 * result.history["loss"][:5].mean()
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())  # may be the teacher
    plain = convert_qat(student).dequantize()
    with torch.no_grad():
        torch.testing.assert_close(plain(world.train.inputs), student.eval()(world.train.inputs))
    assert convert_qat(student).bits_per_weight == round_to_nearest(model, 3, 8).bits_per_weight


def test_a_student_that_rounds_still_writes(spoken, model):
    prompts = torch.zeros(4, 1, dtype=torch.long)
    texts = generate(
        prepare_qat(model, 4), prompts, model.context - 1, generator=torch.Generator().manual_seed(0), greedy=False
    )
    assert texts.shape == (4, model.context)


def test_a_model_that_rounds_already_or_not_at_all_is_refused(model):
    with pytest.raises(ValueError, match=r"tokens computes with a changed weight already"):
        prepare_qat(prepare_qat(model, 4), 4)
    with pytest.raises(ValueError, match=r"tokens is not rounded while it computes"):
        convert_qat(model)
    with pytest.raises(ValueError, match="bits is 1"):
        prepare_qat(model, 1)


def test_pruned_shapes_are_rounded_too(model):
    smaller = GPT(replace(model.config, heads=1, head_width=8, channels=10))
    assert convert_qat(prepare_qat(smaller, 2)).dequantize()(torch.tensor([[0, 1]])).isfinite().all()
