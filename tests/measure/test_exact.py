"""Enumeration: the chain rule of KL, hand-checked joints, refusals."""

import math

import pytest
import torch

from kd_lab.how import forward_kl, reverse_kl
from kd_lab.measure import bits_per_character, conditionals, gap_by_position, joint, reach, sequence_kl
from kd_lab.measure.exact import alive, prefixes
from kd_lab.models import GPT, GPTConfig, TabularModel
from kd_lab.worlds import Batch, language

SPOKEN = language("brackets")
L, V = len(SPOKEN.logp), len(SPOKEN.vocabulary)


def student(seed: int = 0) -> GPT:
    return GPT(GPTConfig(vocab_size=V, context=L, layers=1, heads=2, width=16), seed=seed)


def test_the_joint_of_two_coins_by_hand():
    # after "0" (the end mark) the text is over; after "1" the second coin is thrown
    tables = [torch.tensor([[0.25, 0.75]]).log(), torch.tensor([[0.5, 0.5], [0.1, 0.9]]).log()]
    logp = joint(conditionals(TabularModel(tables), 2))
    torch.testing.assert_close(logp.exp(), torch.tensor([0.25, 0.0, 0.075, 0.675], dtype=torch.float64))


def test_a_joint_sums_to_one():
    for tables in (conditionals(student(), L), conditionals(TabularModel(SPOKEN.logp), L)):
        assert joint(tables).logsumexp(0).abs() < 1e-12


def test_conditionals_are_what_the_model_says_after_each_prefix():
    model = student()
    tables = conditionals(model, L)
    for row, prefix in enumerate(prefixes(V, 2)):
        if (prefix != 0).all():
            inputs = torch.cat([torch.zeros(1, dtype=torch.long), prefix])[None]
            expected = model(inputs)[0, -1].double().log_softmax(-1)
            torch.testing.assert_close(tables[2][row], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
def test_the_chain_rule_of_kl(direction):
    p, q = conditionals(student(1), L), conditionals(student(0), L)
    if direction == "forward":
        whole, parts = sequence_kl(q, p), gap_by_position(q, p, visited=p, divergence=forward_kl)
    else:
        whole, parts = sequence_kl(p, q), gap_by_position(q, p, visited=q, divergence=reverse_kl)
    assert len(parts) == L
    torch.testing.assert_close(parts.sum(), whole, rtol=1e-10, atol=1e-12)


def test_on_the_others_prefixes_the_chain_rule_fails():
    p, q = conditionals(student(1), L), conditionals(student(0), L)
    assert (gap_by_position(q, p, visited=q).sum() - sequence_kl(q, p)).abs() > 1e-6


def test_reach_is_the_share_of_texts_that_go_on():
    tables = conditionals(TabularModel(SPOKEN.logp), L)
    for t, weight in enumerate(reach(tables)):
        assert weight[~alive(V, t)].sum() == 0
    lengths = (prefixes(V, L) == 0).long()
    first_end = torch.where(lengths.any(1), lengths.argmax(1), L)
    p = joint(tables).exp()
    for t, weight in enumerate(reach(tables)):
        torch.testing.assert_close(weight.sum(), p[first_end >= t].sum(), rtol=0, atol=1e-12)


def test_too_many_strings_are_refused():
    with pytest.raises(ValueError, match=r"strings; expected at most"):
        prefixes(50_000, 200)


def test_bits_of_a_uniform_model():
    uniform = TabularModel.uniform(vocab_size=V, context=L)
    world = SPOKEN.world(rows=64, seed=0)
    assert math.isclose(bits_per_character(uniform, world.held_out), math.log2(V), rel_tol=1e-6)


def test_padding_does_not_move_the_bits():
    world = SPOKEN.world(rows=64, seed=0)
    model, tokens = student(), world.train.tokens[:, : L + 1]
    short = Batch.from_tokens(tokens, end=0)
    cut = short.mask.any(0).sum()
    torch.testing.assert_close(
        bits_per_character(model, short), bits_per_character(model, Batch.from_tokens(tokens[:, : cut + 1], end=0))
    )
    with pytest.raises(ValueError, match="none of the"):
        bits_per_character(model, Batch(tokens, torch.zeros_like(short.mask)))
