"""Exact languages: the joint is a distribution, the end absorbs, and the structure is what it is said to be."""

import math
from functools import cache

import pytest
import torch

from kd_lab.worlds import Language, Vocabulary
from kd_lab.worlds import language as build
from kd_lab.worlds.languages import brackets_rule, echo_rule, ended

NAMES = ["echo", "brackets"]
END = 0
language = cache(build)  # the same tables serve many tests


@pytest.mark.parametrize("smoothing", [0.0, 1e-3])
@pytest.mark.parametrize("name", NAMES)
def test_the_joint_is_a_distribution(name, smoothing):
    spoken = language(name, smoothing)
    assert spoken.joint().shape == (len(spoken.vocabulary) ** spoken.length,)
    assert spoken.joint().exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert len(spoken.vocabulary) <= 12
    assert spoken.length <= 6


@pytest.mark.parametrize("name", NAMES)
def test_every_conditional_is_a_distribution_and_the_end_absorbs(name):
    spoken = language(name)
    for t, table in enumerate(spoken.logp):
        assert table.dtype == torch.float64
        torch.testing.assert_close(table.exp().sum(-1), torch.ones(len(table), dtype=torch.float64))
        if t:
            after = table[ended(len(spoken.vocabulary), t)]
            assert (after[:, END] == 0).all()
            assert (after[:, 1:] == -math.inf).all()


@pytest.mark.parametrize("name", NAMES)
def test_smoothing_gives_every_live_prefix_full_support(name):
    spoken = language(name, smoothing=1e-3)
    for t, table in enumerate(spoken.logp):
        live = ~ended(len(spoken.vocabulary), t)
        assert (table[live] > -math.inf).all()


def test_the_joint_is_the_product_along_the_path():
    spoken = language("echo")
    text = spoken.vocabulary.encode(["byxb"])[0, 1:].tolist()  # b y x b and the end
    number, total = 0, 0.0
    for t, token in enumerate([*text, END]):
        total += spoken.logp[t][number, token].item()
        number = number * len(spoken.vocabulary) + token
    assert spoken.joint()[number].item() == pytest.approx(total, abs=1e-12)
    assert spoken.sequences()[number].tolist() == [END, *text, END]


def test_in_echo_the_last_letter_repeats_the_first_across_the_middle():
    spoken = language("echo", smoothing=0)
    possible = [text for text, probability in spoken.most_likely(40) if probability > 0]
    assert len(possible) == 30  # 14 middles after a and after b, one after c and one after z
    assert all(text[0] == text[-1] and set(text[1:-1]) <= set("xy") for text in possible)


def test_in_echo_the_greedy_text_is_not_the_most_likely():
    first = language("echo").logp[0][0].argmax().item()
    assert language("echo").vocabulary.symbols[first] == "a"
    assert language("echo").most_likely(1)[0][0] == "cxc"


def test_in_brackets_every_text_is_matched():
    spoken = language("brackets", smoothing=0)
    possible = [text for text, probability in spoken.most_likely(100) if probability > 0]
    assert len(possible) == 75
    for text in possible:
        while any(pair in text for pair in ("()", "[]", "<>")):
            text = text.replace("()", "").replace("[]", "").replace("<>", "")
        assert not text


@pytest.mark.parametrize(("name", "rare"), [("echo", "z"), ("brackets", "<")])
def test_the_rare_branch_is_rare(name, rare):
    spoken = language(name, smoothing=0)
    column = spoken.vocabulary.symbols.index(rare)
    assert spoken.logp[0][0, column].exp().item() == pytest.approx(0.005)


@pytest.mark.parametrize("prefix", ["x", "ab", "axb", "azz", "cy", "zx", "axxxx"])
def test_the_echo_rule_is_silent_off_the_rails(prefix):
    assert echo_rule(prefix) == {}


@pytest.mark.parametrize("prefix", [")", "(]", "())", "(((("])
def test_the_bracket_rule_is_silent_off_the_rails(prefix):
    assert brackets_rule(prefix) == {}


def test_off_the_rails_a_language_babbles():
    spoken = language("echo", smoothing=0)
    row = spoken.logp[1][spoken.vocabulary.symbols.index("x")].exp()
    assert row[END].item() == pytest.approx(0.5)
    assert row[1:].tolist() == pytest.approx([0.5 / 6] * 6)


def test_samples_follow_the_joint():
    spoken = language("echo")
    rows = 20_000
    tokens = spoken.sample(rows, torch.Generator().manual_seed(0))
    assert tokens.shape == (rows, spoken.length + 1)
    drawn = spoken.vocabulary.decode(tokens)
    for text, probability in spoken.most_likely(5):
        deviation = (probability * (1 - probability) / rows) ** 0.5
        assert drawn.count(text) / rows == pytest.approx(probability, abs=4 * deviation)


def test_a_world_of_a_language_depends_on_its_seed_alone():
    spoken = language("brackets")
    one, same, other = spoken.world(64, seed=1), spoken.world(64, seed=1), spoken.world(64, seed=2)
    assert torch.equal(one.train.tokens, same.train.tokens)
    assert not torch.equal(one.train.tokens, other.train.tokens)
    assert not torch.equal(one.train.tokens, one.held_out.tokens)
    assert one.context == spoken.length


def test_wrong_tables_are_refused():
    half = torch.full((1, 2), 0.5, dtype=torch.float64).log()
    end = torch.tensor([[0.0, -math.inf], [math.log(0.5)] * 2], dtype=torch.float64)
    Language("fine", Vocabulary(".a"), (half, end))
    with pytest.raises(ValueError, match=r"has shape \(1, 2\); expected \(2, 2\)"):
        Language("flat", Vocabulary(".a"), (half, half))
    with pytest.raises(ValueError, match=r"sum to 0\.5"):
        Language("short", Vocabulary(".a"), (half - math.log(2),))
    with pytest.raises(ValueError, match="sum to nan"):
        Language("no numbers", Vocabulary(".a"), (half * math.nan,))
    with pytest.raises(ValueError, match="goes on after its end mark"):
        Language("undead", Vocabulary(".a"), (half, half.expand(2, 2)))
    with pytest.raises(ValueError, match="at most 4,000,000 texts"):
        Language("vast", Vocabulary(".abcdefghijk"), (half,) * 8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "klingon"}, "no language is called 'klingon'"),
        ({"name": "echo", "smoothing": 1.0}, "smoothing is 1.0"),
    ],
)
def test_an_unknown_language_or_smoothing_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        language(**arguments)


def test_a_language_speaks_at_least_one_text():
    with pytest.raises(ValueError, match="rows is 0"):
        language("echo").world(0)
