"""The world of moves: its facts, its verifier, and the texts that it gives."""

import pytest
import torch

from kd_lab.methods import distill, labels_only
from kd_lab.models import GPT, GPTConfig
from kd_lab.worlds import moves, verify
from kd_lab.worlds.moves import (
    FACTORS,
    FACTS,
    MOVES,
    MULTIPLICATIONS,
    SYMBOLS,
    answered,
    draw_problems,
    rewards,
    solve,
    verified_steps,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_trace_is_worked_out_by_hand():
    assert solve("47t9") == "132"
    assert solve("9s") == "3"
    assert solve("80n0") == "822"
    assert len(FACTS) == 130


@pytest.mark.parametrize("factor", FACTORS)
def test_a_multiplication_loses_no_digit(factor):
    assert {FACTS[digit, factor] for digit in range(10)} == set(range(10))


def test_wrong_facts_are_followed_through():
    wrong = {**FACTS, (1, "t"): 5}
    assert solve("47t9", wrong) == "154"
    assert solve("27t9", wrong) == solve("27t9"), "nobody comes past the wrong fact here"


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("47t9=132", True),
        ("47t9=2", True),  # the outcome alone is looked at
        ("47t9=992", True),
        ("47t9=13", False),
        ("47t9=", False),
        ("47t9", False),
        ("47t9=1322", False),  # longer than a trace: cut off, or talked on
        ("47t9=13t", False),
        ("47t9==2", False),
    ],
)
def test_the_verifier_reads_the_last_digit(text, right):
    assert verify(text) is right


def test_every_trace_is_verified_and_every_other_last_digit_is_not():
    for problem in draw_problems(50, generator()):
        trace = solve(problem)
        assert [verify(f"{problem}={trace[:-1]}{digit}") for digit in range(10)].count(True) == 1
        assert verify(f"{problem}={trace}")


def test_steps_are_judged_from_what_the_trace_itself_wrote():
    assert verified_steps("47t9=132") == [True, True, True]
    assert verified_steps("47t9=154") == [True, False, True]
    assert verified_steps("47t9=15") == [True, False]
    assert verified_steps("47t9=1t2") == [True, False, False]
    assert verified_steps("47t9=132999") == [True, True, True]  # of digits beyond the moves it says nothing
    assert verified_steps("47t9=") == verified_steps("47t9") == []


@pytest.mark.parametrize("text", ["", "=1", "4x=1", "t7=1", "4", "47.=12", "²1=3"])
def test_steps_of_what_is_no_problem_are_refused_as_its_trace_is(text):
    for refuses in (verified_steps, lambda text: solve(text.partition("=")[0])):
        with pytest.raises(ValueError, match="expected a digit and then moves"):
            refuses(text)


def test_problems_are_different_and_multiply_as_often_as_stated():
    drawn = draw_problems(2000, generator())
    assert len(set(drawn)) == 2000
    assert {len(problem) for problem in drawn} == {6}
    share = sum(move in FACTORS for problem in drawn for move in problem[1:]) / 10_000
    assert share == pytest.approx(MULTIPLICATIONS, abs=0.02)
    assert set("".join(drawn)) == set(MOVES)


def test_the_world_gives_its_problems_and_asks_for_the_rest():
    world = moves(rows=50, held_out=10)
    assert world.context == 13
    assert world.prompt_length == 8
    texts = SYMBOLS.decode(world.train.tokens)
    assert all(map(verify, texts))
    assert world.train.mask.sum(1).tolist() == [6] * 50  # five digits and the end
    assert not {text.split("=")[0] for text in texts} & {
        text.split("=")[0] for text in SYMBOLS.decode(world.held_out.tokens)
    }


def test_answers_alone_stand_in_rows_as_wide():
    traces, answers = (moves(rows=20, held_out=5, form=form) for form in ("trace", "answer"))
    assert traces.train.tokens.shape == answers.train.tokens.shape
    assert answers.train.mask.sum(1).tolist() == [2] * 20
    assert all(map(verify, SYMBOLS.decode(answers.train.tokens)))
    assert [t.split("=")[0] for t in SYMBOLS.decode(traces.train.tokens)] == [
        t.split("=")[0] for t in SYMBOLS.decode(answers.train.tokens)
    ]


def test_a_flawed_author_is_judged_by_the_true_facts():
    flawed = {**FACTS, **{(digit, "s"): (FACTS[digit, "s"] + 2) % 10 for digit in (3, 4, 6, 8, 9)}}
    world = moves(rows=400, held_out=100, facts=flawed)
    right = rewards(SYMBOLS.decode(world.train.tokens)).mean().item()
    assert 0.7 < right < 0.9
    assert rewards(SYMBOLS.decode(world.held_out.tokens)).mean() == 1


def test_rows_of_several_lengths_count_what_is_answered():
    batch = answered(["47t9", "12"], ["132", "3"], width=12)
    assert batch.tokens.shape == (2, 12)
    assert batch.prompt_lengths.tolist() == [6, 4]
    assert batch.mask.sum(1).tolist() == [4, 2]


def test_a_recipe_trains_on_traces_as_on_any_text():
    world = moves(rows=20, held_out=5)
    student = GPT(GPTConfig(len(SYMBOLS), world.context, layers=1, heads=1, width=8), seed=0)
    history = distill(student, None, world, labels_only(), steps=2, batch_size=4, progress=False).history
    assert history["tokens"].tolist() == [24, 48]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: solve("7"), "expected a digit and then moves"),
        (lambda: solve("t7"), "expected a digit and then moves"),
        (lambda: solve("7x"), "such as '47t9'"),
        (lambda: draw_problems(0, generator()), "at least 1 of each"),
        (lambda: draw_problems(100, generator(), steps=1), "at most half of the 130 that there are"),
        (lambda: answered(["12"], []), "one answer for each"),
        (lambda: answered(["12"], ["3"], width=4), "at least 6"),
        (lambda: moves(form="proof"), 'expected "trace" or "answer"'),
        (lambda: moves(rows=0), "at least one text of each"),
        (lambda: solve("47", {}), "no digit for 130 of 130"),
        (lambda: moves(facts={**FACTS, (3, "t"): 12}), "gives 12 for"),
        (lambda: moves(rows=3, steps=10**9), "100 steps at most"),
    ],
)
def test_bad_input_is_told_what_was_expected(call, words):
    with pytest.raises(ValueError, match=words):
        call()
