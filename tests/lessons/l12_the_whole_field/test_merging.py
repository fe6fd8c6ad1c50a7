"""Two experts: their domains, the router, and the average of weights."""

import copy

import torch

from kd_lab.lessons.l12_the_whole_field import merging
from kd_lab.lessons.l12_the_whole_field.forms import TOLD, width, world_of
from kd_lab.lessons.l12_the_whole_field.merging import DOMAINS, Routed, averaged, both_kinds, both_worlds, domain
from kd_lab.models import GPT, GPTConfig
from kd_lab.worlds.moves import ADDITIONS, FACTORS, SYMBOLS

ONE, TWO = (GPT(GPTConfig(len(SYMBOLS), width(TOLD), layers=1, heads=2, width=8), seed=seed) for seed in (0, 1))


def test_domains_are_pure_and_share_no_problem_between_training_and_judge():
    for name, moves in zip(DOMAINS, (ADDITIONS, "".join(FACTORS)), strict=True):
        held_out, train = domain(name)
        assert all(set(problem[1:]) <= set(moves) for problem in held_out + train)
        assert not set(held_out) & set(train)
        assert min(len(held_out), len(train)) >= 200
    assert all(set(one[1:]) & set(ADDITIONS) and set(one[1:]) & set(FACTORS) for one in both_kinds())
    assert len(both_kinds()) > 300
    half = len(both_worlds().train) // 2
    moves = both_worlds().train.tokens[:, 3:7]
    second = torch.isin(moves, merging.FACTOR_IDS).any(1)
    assert second.tolist() == [False] * half + [True] * half


def test_each_text_is_read_by_its_own_expert():
    """The instruction's letter is a move that multiplies, and must not decide."""
    problems = ["47890", "4tstn", "12345"]
    tokens = world_of(TOLD, problems, problems).train.inputs
    logits = Routed(ONE, TWO)(tokens)
    torch.testing.assert_close(logits[[0, 2]], ONE(tokens[[0, 2]]))
    torch.testing.assert_close(logits[[1]], TWO(tokens[[1]]))


def test_the_average_is_the_mean_of_every_weight():
    found, names = averaged((ONE, TWO)).state_dict(), list(ONE.state_dict())
    for name in names:
        torch.testing.assert_close(found[name], (ONE.state_dict()[name] + TWO.state_dict()[name]) / 2)
    same = averaged((ONE, copy.deepcopy(ONE))).state_dict()
    assert all(torch.equal(same[name], ONE.state_dict()[name]) for name in names)
