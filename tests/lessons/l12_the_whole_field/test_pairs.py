"""A model of pairs seen as one of letters is exact, and sorted probabilities do not see the tokens."""

import math

import pytest
import torch

from kd_lab.how import forward_kl
from kd_lab.lessons.l12_the_whole_field.exercises import letter_logp
from kd_lab.lessons.l12_the_whole_field.pairs import (
    LETTERS,
    PAIRS,
    LetterView,
    OwnTokens,
    PairNames,
    SortedProbabilities,
    letters_of_pairs,
    paired,
    sorted_gap,
    uld,
    whole_pairs,
)
from kd_lab.methods import distill, word_level
from kd_lab.models import GPT, GPTConfig, generate
from kd_lab.where import rollout
from kd_lab.worlds import Batch, surnames

PAIR_MODEL = GPT(GPTConfig(PAIRS, 7, layers=1, heads=2, width=8), seed=0)
VIEW = LetterView(PAIR_MODEL, 14)


def test_letters_become_pairs_and_pairs_letters():
    names = ["ab", "abc", "a", "jefferson"]
    tokens = surnames().vocabulary.encode(names)
    assert PairNames().decode(paired(tokens)) == names
    assert paired(tokens)[1].tolist()[:3] == [0, 1 * LETTERS + 2, 3 * LETTERS]
    assert paired(tokens)[0].tolist()[:3] == [0, 1 * LETTERS + 2, 0], "an even text ends with a pair of two marks"


def test_the_letters_of_a_text_multiply_to_its_pairs():
    """log p(abcd) by letters is log p(ab) + log p(cd | ab) by pairs."""
    tokens = torch.tensor([[0, 1, 2, 3, 4], [0, 26, 5, 9, 0]])
    letters = VIEW(tokens[:, :-1]).gather(-1, tokens[:, 1:, None])[..., 0].sum(1)
    pairs = paired(tokens)
    logp = PAIR_MODEL(pairs[:, :-1]).log_softmax(-1).gather(-1, pairs[:, 1:, None])[..., 0].sum(1)
    torch.testing.assert_close(letters, logp)
    torch.testing.assert_close(VIEW(tokens).exp().sum(-1), torch.ones(2, 5))


def test_the_view_is_the_exercise():
    logp = torch.randn(3, PAIRS, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    first = torch.tensor([0, 4, 26])
    before, after = letter_logp(logp.view(3, LETTERS, LETTERS), first)
    torch.testing.assert_close(letters_of_pairs(logp), before)
    torch.testing.assert_close(letters_of_pairs(logp, first), after)


def test_the_view_reads_on_from_its_cache():
    tokens = torch.tensor([[0, 3, 1, 4, 1], [0, 5, 9, 2, 6]])
    cache = VIEW.new_cache(2, 8)
    parts = [
        VIEW(tokens[:, :2], cache),
        VIEW(tokens[:, 2:3], cache),
        VIEW(tokens[:, 3:], cache.select(torch.arange(2))),
    ]
    torch.testing.assert_close(torch.cat(parts, 1), VIEW(tokens))
    written = [
        generate(VIEW, tokens[:, :3], 5, generator=torch.Generator().manual_seed(1), cached=cached)
        for cached in (True, False)
    ]
    assert written[0].tolist() == written[1].tolist()


def test_five_symbols_in_another_order_have_a_gap_of_zero_and_a_kl_of_almost_two_nats():
    p = torch.tensor([16.0, 8, 4, 2, 1], dtype=torch.float64)
    p /= p.sum()
    q = p.flip(0)
    assert sorted_gap(p, q).item() == 0
    by_hand = sum(a * math.log(a / b) for a, b in zip(p.tolist(), q.tolist(), strict=True))
    assert forward_kl(q.log(), p.log()).item() == pytest.approx(by_hand)
    assert by_hand == pytest.approx(math.log(2) * (16 * 4 + 8 * 2 - 2 * 2 - 1 * 4) / 31)  # 1.61 nats


def test_the_shorter_list_is_filled_with_zeros():
    gap = sorted_gap(torch.tensor([0.5, 0.5]), torch.tensor([0.25, 0.25, 0.25, 0.25]))
    assert gap.item() == pytest.approx(1.0)


@pytest.mark.parametrize(("align", "compared"), [("index", [0, 1, 2, 3]), ("letter", [0, 2, 4, 6])])
def test_what_is_compared_with_what(align, compared):
    student = GPT(GPTConfig(LETTERS, 14, layers=1, heads=2, width=8), seed=1)
    tokens = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 0]])
    batch = Batch.from_tokens(tokens, end=0)
    (logits, where), theirs = OwnTokens(align).bind(student, VIEW, 0).read(batch)
    assert where.nonzero()[:, 0].tolist() == compared
    own = PAIR_MODEL(whole_pairs(batch.inputs))
    for place in compared:
        torch.testing.assert_close(theirs[0, place], own[0, place if align == "index" else place // 2])
    value = SortedProbabilities()((logits, where), theirs, batch)
    kept = sorted_gap(logits.softmax(-1), theirs.softmax(-1))[0, compared]
    assert value.item() == pytest.approx(kept.sum().item() / int(batch.mask.sum()), rel=1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="align is 'words'"):
        OwnTokens("words")
    with pytest.raises(ValueError, match="expected a LetterView"):
        OwnTokens().bind(PAIR_MODEL, PAIR_MODEL, 0)


@pytest.mark.parametrize("recipe", [uld("index"), uld("letter"), word_level()], ids=str)
def test_each_of_its_students_trains(recipe):
    world = surnames().subset(20)
    student = GPT(GPTConfig(LETTERS, 14, layers=1, heads=2, width=8), seed=1)
    result = distill(student, VIEW, world, recipe, steps=2, batch_size=4, progress=False)
    assert all(value > 0 for value in result.history["loss"])
    prompts = world.prompts(3, torch.Generator().manual_seed(0))
    assert rollout(VIEW, world, prompts, torch.Generator().manual_seed(0)).mask.any(1).all()
