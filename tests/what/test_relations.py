"""Distances and angles between texts: invariances, limits, and a student that takes them over."""

import pytest
import torch

from kd_lab.how.feature_losses import RelationalHuber
from kd_lab.methods import distill, labels_only, rkd
from kd_lab.models import GPT, GPTConfig
from kd_lab.what.features import says_something
from kd_lab.what.relations import Relations, embed, relations
from kd_lab.worlds import Batch, language

SPOKEN = language("echo")
WORLD = SPOKEN.world(rows=128, seed=0)


def gpt(width: int, seed: int = 0) -> GPT:
    config = GPTConfig(vocab_size=len(SPOKEN.vocabulary), context=WORLD.context, layers=2, heads=2, width=width)
    return GPT(config, seed=seed)


TEACHER = gpt(24, seed=1)


def hidden(model: GPT) -> torch.Tensor:
    with torch.no_grad():
        return model(WORLD.held_out.inputs, return_hidden=True)[1][-1]


def trained(recipe) -> GPT:
    student = gpt(16)
    distill(student, TEACHER, WORLD, recipe, steps=80, batch_size=32, progress=False)
    return student


def test_rkd_moves_the_students_relations_towards_the_teachers():
    def gap(student: GPT) -> float:
        counts = says_something(WORLD.held_out.mask)
        ours, theirs = (relations(embed(hidden(model), counts))[0] for model in (student, TEACHER))
        return (ours - theirs).abs().mean().item()

    assert gap(trained(rkd())) < 0.7 * gap(trained(labels_only()))


def test_what_stands_at_a_position_that_does_not_count_is_not_read():
    states = torch.ones(2, 3, 4).index_fill(1, torch.tensor([2]), torch.nan).requires_grad_()
    embedded = embed(states, torch.tensor([[True, True, False]]).expand(2, 3))
    assert torch.equal(embedded, torch.ones(2, 4))
    assert torch.autograd.grad(embedded.sum(), states)[0].isfinite().all()


def test_relations_do_not_know_scale_shift_or_rotation():
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64))[0]
    moved = 3.0 * x @ rotation + 5.0
    for ours, theirs in zip(relations(x), relations(moved), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_the_gradient_is_finite_where_texts_coincide():
    x = torch.ones(3, 4, requires_grad=True)
    distances, angles = relations(x)
    (distances.sum() + angles.sum()).backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_hidden_states_of_half_precision_are_compared_in_fp32(dtype):
    states = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0)).to(dtype)
    counts = torch.ones(4, 3, dtype=torch.bool)
    got, exact = (relations(embed(hidden, counts)) for hidden in (states, states.float()))
    torch.testing.assert_close(got, exact, rtol=0, atol=0)
    same = torch.ones(3, 4, dtype=dtype, requires_grad=True)  # the clamp on the diagonal is 0 in fp16
    distances, angles = relations(same)
    (distances.sum() + angles.sum()).backward()
    assert same.grad.isfinite().all()


def test_padding_is_no_part_of_a_texts_embedding():
    hidden = torch.tensor([[[1.0], [3.0], [100.0]]])
    assert embed(hidden, torch.tensor([[True, True, False]])).item() == 2.0


def silent(batch: Batch, texts: list[int]) -> Batch:
    """The same batch, where of these texts nothing counts but the first position."""
    mask = batch.mask.clone()
    mask[texts, 1:] = False
    return Batch(batch.tokens, mask)


STUDENT = gpt(16)
READ = Relations().bind(STUDENT, TEACHER, seed=0).read


def test_a_text_of_which_nothing_counts_changes_no_relations():
    """As a vector of zeros it was near or far, and stood in every angle."""
    batch = WORLD.held_out[:5]
    (ours, _), theirs = READ(silent(batch, [1, 4]))
    (alone, _), theirs_alone = READ(batch[torch.tensor([0, 2, 3])])
    torch.testing.assert_close(ours, alone)
    torch.testing.assert_close(theirs, theirs_alone)


@pytest.mark.parametrize("texts", [[1, 2], [0, 1, 2]])
def test_fewer_than_two_texts_that_say_something_teach_nothing(texts):
    batch = silent(WORLD.held_out[:3], texts)
    loss = RelationalHuber(label_weight=0.0)(*READ(batch), batch)
    assert loss.item() == 0
    slopes = torch.autograd.grad(loss, list(STUDENT.parameters()), allow_unused=True)
    assert not any(slope.any() for slope in slopes if slope is not None)


def test_one_text_has_no_relations():
    with pytest.raises(ValueError, match="1 text came"):
        relations(torch.zeros(1, 3))
