"""GRPO: advantages by hand, the gradient, and a student that learns from a verifier alone."""

import copy
import dataclasses

import pytest
import torch

from kd_lab.methods import NonFiniteLoss, group_advantages, grpo
from kd_lab.methods.grpo import _own_logp, grpo_loss
from kd_lab.models import GPT, GPTConfig
from kd_lab.worlds import Batch, moves
from kd_lab.worlds.moves import SYMBOLS, rewards


def small(seed=0):
    return GPT(GPTConfig(len(SYMBOLS), 7, layers=1, heads=1, width=16), seed=seed)


@pytest.fixture(scope="module")
def world():
    return moves(rows=200, held_out=20, steps=2)


def test_a_rare_reward_weighs_more():
    found = group_advantages(torch.tensor([[1.0, 0, 0, 0, 0, 0, 0, 0], [1.0] * 7 + [0.0]]))
    torch.testing.assert_close(found[0], torch.tensor([7**0.5] + [-1 / 7**0.5] * 7))
    torch.testing.assert_close(found[1], torch.tensor([1 / 7**0.5] * 7 + [-(7**0.5)]))


@pytest.mark.parametrize("reward", [0.0, 1.0, 0.3])
def test_a_group_of_one_opinion_teaches_nothing(reward):
    assert group_advantages(torch.full((3, 8), reward)).abs().max() == 0


def test_a_mean_that_is_off_by_a_rounding_makes_no_advantage():
    """The mean of three times 100.2 in fp32 is another number, and its distance to each was their std, too."""
    assert group_advantages(torch.full((1, 3), 100.2)).tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize("reward", [torch.nan, torch.inf, -torch.inf])
def test_a_reward_without_a_value_is_refused(world, reward):
    with pytest.raises(ValueError, match="NaN or infinite at 1 of 4 places"):
        group_advantages(torch.tensor([[1.0, 0.0], [reward, 1.0]]))
    with pytest.raises(ValueError, match="NaN or infinite at 128 of 128 places"):
        grpo(small(), world, lambda texts: torch.full((len(texts),), reward), steps=1, progress=False)


def test_a_gradient_without_a_value_stops_before_the_step(world):
    student = small()
    before = copy.deepcopy(student.state_dict())
    next(student.parameters()).register_hook(lambda gradient: gradient * torch.nan)
    with pytest.raises(NonFiniteLoss, match=r"GRPO stopped at step 1.*gradient norm nan") as caught:
        grpo(student, world, rewards, steps=2, progress=False)
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())
    assert caught.value.result["step"].tolist() == []


def test_advantages_ignore_scale_and_shift_of_the_rewards():
    r = torch.tensor([[0.0, 1.0, 1.0, 5.0]])
    torch.testing.assert_close(group_advantages(r), group_advantages(3 * r - 2))
    torch.testing.assert_close(group_advantages(r), group_advantages(1e-9 * r))


def test_the_loss_weighs_texts_alike_and_ignores_what_was_not_written():
    logp = torch.tensor([[-1.0, -2.0, -torch.inf], [-3.0, 7.0, torch.nan]], requires_grad=True)
    mask = torch.tensor([[True, True, False], [True, False, False]])
    loss = grpo_loss(logp, torch.tensor([2.0, -1.0]), mask)
    assert loss.item() == pytest.approx(-(2 * -1.5 + -1 * -3.0) / 2)
    loss.backward()
    assert logp.grad.tolist() == [[-0.5, -0.5, 0.0], [0.5, 0.0, 0.0]]


def test_logits_without_a_value_where_nothing_was_written_spoil_no_gradient():
    student = torch.nn.Embedding.from_pretrained(torch.tensor([[0.0, 0.0], [torch.nan] * 2]), freeze=False)
    batch = Batch(torch.tensor([[0, 1, 0]]), torch.tensor([[True, False]]))  # behind the token 1 nothing counts
    grpo_loss(_own_logp(student, batch), torch.tensor([1.0]), batch.mask).backward()
    assert student.weight.grad.tolist() == [[0.5, -0.5], [0.0, 0.0]]


def test_its_gradient_raises_the_chance_of_the_rewarded_token():
    logits = torch.zeros(1, 1, 3, requires_grad=True)
    drawn = torch.tensor([0, 0, 1, 2])  # token 0 is right
    own = logits.log_softmax(-1).expand(4, 1, 3).gather(-1, drawn[:, None, None])[..., 0]
    grpo_loss(own, group_advantages((drawn == 0).float()), torch.ones(4, 1, dtype=torch.bool)).backward()
    assert logits.grad[0, 0].tolist() == pytest.approx([-0.5, 0.25, 0.25])


def test_a_verifier_alone_teaches_the_end_of_a_text(world):
    """Any student now and then writes one token and ends: a reward for it is found, and soon it does little else."""
    student = small()
    history = grpo(
        student, world, lambda texts: torch.tensor([float(text.endswith("=")) for text in texts]),
        steps=30, learning_rate=1e-2, progress=False,
    )  # fmt: skip
    assert history["reward"][0] < 0.3
    assert history["reward"][-1] > 0.8
    assert history["step"].tolist() == list(range(1, 31))
    assert (history["tokens"][1:] > history["tokens"][:-1]).all()
    assert ((history["mixed"] >= 0) & (history["mixed"] <= 1)).all()


def test_without_a_reward_nothing_moves(world):
    student = small()
    before = copy.deepcopy(student.state_dict())
    grpo(student, world, lambda texts: torch.zeros(len(texts)), steps=2, progress=False)
    assert all(torch.equal(before[name], value) for name, value in student.state_dict().items())


def test_a_seed_decides_everything(world):
    runs = []
    for _ in range(2):
        student = small()
        history = grpo(
            student, world, rewards, steps=3, seed=4, evaluate=lambda model: 0.5, evaluate_every=2, progress=False
        )
        runs.append((student.state_dict(), history))
    assert all(torch.equal(value, runs[1][0][name]) for name, value in runs[0][0].items())
    assert runs[0][1]["evaluation"].tolist()[1:] == [0.5, 0.5]


def test_the_student_comes_back_in_its_mode(world):
    student = small().train()
    grpo(student, world, rewards, steps=1, progress=False)
    assert student.training


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"group_size": 1}, "relative to the group"),
        ({"steps": 0}, "steps"),
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"clip": 0.0}, "clip is 0.0; expected a number above 0, or math.inf"),
    ],
)
def test_bad_settings_are_refused(world, options, words):
    with pytest.raises(ValueError, match=words):
        grpo(small(), world, rewards, progress=False, **options)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"vocab_size": 27}, "the student has a vocabulary of 27"),
        ({"context": 3}, "the student reads 3 tokens"),
        ({"end": 1}, "the student ends a text with the id 1"),
    ],
)
def test_a_student_of_another_world_is_refused(world, shape, words):
    student = GPT(dataclasses.replace(small().config, **shape))
    with pytest.raises(ValueError, match=words):
        grpo(student, world, rewards, steps=1, progress=False)
    with pytest.raises(ValueError, match="the student is a Linear without"):
        grpo(torch.nn.Linear(2, 2), world, rewards, steps=1, progress=False)


def test_a_frozen_student_is_refused(world):
    with pytest.raises(ValueError, match="unfreeze"):
        grpo(small().requires_grad_(False), world, rewards, progress=False)


def test_a_reward_for_each_text_is_expected(world):
    with pytest.raises(ValueError, match="one number for each"):
        grpo(small(), world, lambda texts: torch.ones(3), steps=1, progress=False)


def test_a_student_too_narrow_for_small_steps_is_refused(world):
    with pytest.raises(ValueError, match="narrower than fp32"):
        grpo(small().bfloat16(), world, rewards, progress=False)
