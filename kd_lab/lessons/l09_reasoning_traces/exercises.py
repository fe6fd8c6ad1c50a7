"""Exercises of lesson 09: reference solutions, and the mistakes that their checks name."""

from math import comb

import numpy as np
import torch
from torch import tensor

from kd_lab.classroom.diagnosis import Case, Exercise, Mistake
from kd_lab.worlds.moves import FACTS

# ---- 09.1: a verdict for each step ----------------------------------------------------------------------------------


def after(digit, move):
    """The digit after one move, such as after(4, "7") = 1."""
    return FACTS[digit, move]


def judge_steps(start, moves, trace, after):
    """Whether each move was done right from the digit that the trace itself wrote before it: K verdicts."""
    # The first move starts from the problem's digit, every other from what the trace wrote, right or wrong.
    before = [start, *trace[:-1]]
    return [after(digit, move) == result for digit, move, result in zip(before, moves, trace, strict=True)]


def judge_with_an_index(start, moves, trace, after):
    """One position after the other, with the last digit carried along; an array of booleans."""
    verdicts, last = np.zeros(len(moves), dtype=bool), start
    for k in range(len(moves)):
        verdicts[k] = trace[k] == after(last, moves[k])
        last = trace[k]
    return verdicts


def judge_by_sets(start, moves, trace, after):
    """The numbers of the wrong steps first; zeros and ones."""
    wrong = {k for k, move in enumerate(moves) if after([start, *trace][k], move) - trace[k] != 0}
    return tuple(int(k not in wrong) for k in range(len(moves)))


def _against_the_true_trace(start, moves, trace, after):
    digit, verdicts = start, []
    for move, result in zip(moves, trace, strict=True):
        digit = after(digit, move)
        verdicts.append(digit == result)
    return verdicts


def _all_before_too(start, moves, trace, after):
    return np.logical_and.accumulate(judge_steps(start, moves, trace, after)).tolist()


def _one_late(start, moves, trace, after):
    return [after(digit, move) == digit for digit, move in zip(trace, moves, strict=True)]


def _from_the_start(start, moves, trace, after):
    return [after(start, move) == result for move, result in zip(moves, trace, strict=True)]


JUDGE_STEPS = Exercise(
    reference=judge_steps,
    unusual=(judge_with_an_index, judge_by_sets),
    explanation=(
        "A step is judged from where it started. So a slip is one wrong step, and what follows from it may be right "
        "again, although the answer is not. That is a verdict on the *process*; the reward below looks at the last "
        "digit alone, the *outcome*."
    ),
    cases=(
        Case("47t9, answered 132: all right", lambda: (4, "7t9", [1, 3, 2], after)),
        Case("47t9, answered 154: one slip, at the second move", lambda: (4, "7t9", [1, 5, 4], after)),
        Case("80n3s, answered 8285: slips at the second and the last move", lambda: (8, "0n3s", [8, 0, 3, 5], after)),
    ),
    mistakes=(
        Mistake(
            "compared with the true trace",
            "Each digit is compared with the trace of somebody who made no slip. After one slip nearly every digit "
            "then counts as wrong, though the moves themselves were done right. Start each step from the digit that "
            "this trace wrote.",
            _against_the_true_trace,
        ),
        Mistake(
            "never right again",
            "After the first wrong step all others are called wrong. Judge each by itself, from the digit before it.",
            _all_before_too,
        ),
        Mistake(
            "one place late",
            "The move is applied to the digit that it should have produced. It starts from the digit before.",
            _one_late,
        ),
        Mistake(
            "all from the first digit",
            "Each move is applied to the problem's first digit. Only the first move starts there.",
            _from_the_start,
        ),
        Mistake(
            "outcome for every step",
            "This is one verdict, on the answer, repeated for each step. Judge each move.",
            lambda start, moves, trace, after: [_against_the_true_trace(start, moves, trace, after)[-1]] * len(moves),
        ),
        Mistake(
            "right and wrong exchanged",
            "The verdicts are exchanged: True should say that a step is right.",
            lambda *inputs: [not one for one in judge_steps(*inputs)],
        ),
    ),
)


# ---- 09.2: advantages within a group --------------------------------------------------------------------------------


def advantages(rewards):
    """(r − mean) / std within each group; 0 where a group agrees: [P, G] -> [P, G]."""
    centred = rewards - rewards.mean(1, keepdim=True)
    deviation = centred.square().mean(1, keepdim=True).sqrt()
    # A group of one opinion has deviation 0: there is nothing to prefer, and 0/0 must not come out of it.
    return torch.where(deviation > 0, centred / deviation.clamp_min(1e-8), 0.0)


def advantages_by_numpy(rewards):
    """Group by group in double precision; a list of lists."""
    found = []
    for group in np.asarray(rewards, dtype=np.float64):
        spread = group.std()
        found.append(((group - group.mean()) / spread).tolist() if spread else [0.0] * len(group))
    return found


def advantages_with_a_small_term(rewards):
    """The deviation plus 10⁻⁸, as trainers write it."""
    mean, deviation = rewards.mean(-1, keepdim=True), rewards.std(-1, keepdim=True, unbiased=False)
    return (rewards - mean) / (deviation + 1e-8)


def _guarded(centred, deviation):
    return torch.where(deviation > 0, centred / deviation.clamp_min(1e-8), 0.0)


ADVANTAGES = Exercise(
    reference=advantages,
    unusual=(advantages_by_numpy, advantages_with_a_small_term),
    explanation=(
        "The mean of the group is the baseline: it costs no second network and belongs to exactly this problem. The "
        "division makes a rare success count for more. A group of one opinion has nothing to prefer: its advantages "
        "are 0, and with a bare division they would be 0/0 = NaN."
    ),
    cases=(
        Case("one group of four, half of them right", lambda: (tensor([[1.0, 0.0, 0.0, 1.0]]),)),
        Case(
            "two groups of five: one right of five, and all wrong",
            lambda: (tensor([[0.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]]),),
        ),
        Case(
            "three groups of four: graded rewards, all right, and one wrong",
            lambda: (tensor([[0.0, 1.0, 3.0, 0.5], [1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 1.0, 1.0]]),),
        ),
    ),
    mistakes=(
        Mistake(
            "one baseline for the batch",
            "The mean and the deviation are those of the whole batch. Then an easy problem is praised and a hard one "
            "blamed, whatever was written. Compare the texts of one problem with one another.",
            lambda rewards: _guarded(rewards - rewards.mean(), rewards.std(unbiased=False)),
        ),
        Mistake(
            "across the problems",
            "The mean is taken over the first axis: it compares the i-th texts of different problems. "
            "A row is a group.",
            lambda rewards: _guarded(rewards - rewards.mean(0), rewards.std(0, unbiased=False)),
        ),
        Mistake(
            "not divided",
            "This is the reward less its group's mean, which some variants of GRPO choose. Here it is "
            "also divided by the group's standard deviation.",
            lambda rewards: rewards - rewards.mean(1, keepdim=True),
        ),
        Mistake(
            "divided by the variance",
            "It is divided by the variance. The standard deviation is its root, and has the unit of the reward.",
            lambda rewards: _guarded(
                rewards - rewards.mean(1, keepdim=True), rewards.var(1, keepdim=True, unbiased=False)
            ),
        ),
        Mistake(
            "÷ (G − 1)",
            "The deviation divides by G − 1, as an estimate from a sample does, and as torch's `std` does unless "
            "told otherwise. Asked for is that of the group itself, ÷ G.",
            lambda rewards: _guarded(rewards - rewards.mean(1, keepdim=True), rewards.std(1, keepdim=True)),
        ),
        Mistake(
            "no baseline",
            "The mean is not subtracted. Then no text is ever discouraged, and a group of right ones still pushes.",
            lambda rewards: _guarded(rewards, rewards.std(1, keepdim=True, unbiased=False)),
        ),
        Mistake(
            "0/0",
            "A group whose rewards all agree gives NaN: its deviation is 0. Such a group teaches nothing; its "
            "advantages are 0.",
            lambda rewards: (rewards - rewards.mean(1, keepdim=True)) / rewards.std(1, keepdim=True, unbiased=False),
        ),
        Mistake(
            "sign reversed",
            "The sign is reversed: what was rewarded better than its group has a positive advantage.",
            lambda rewards: -advantages(rewards),
        ),
    ),
)


# ---- 09.3: pass@k ---------------------------------------------------------------------------------------------------


def pass_at(hits, drawn, k):
    """The chance that k of the `drawn` texts hold one of the `hits`: three ints -> float."""
    # All k wrong: choose them from the wrong ones, over all choices. comb gives 0 where there are not enough.
    return 1 - comb(drawn - hits, k) / comb(drawn, k)


def pass_by_a_product(hits, drawn, k):
    """One pick after the other, without putting back."""
    all_wrong = 1.0
    for picked in range(k):
        all_wrong *= max(drawn - hits - picked, 0) / (drawn - picked)
    return 1 - all_wrong


def pass_by_first_success(hits, drawn, k):
    """The chance that the first right one is at place 1, 2, … k, added up; a tensor."""
    total = torch.zeros((), dtype=torch.float64)
    for place in range(1, k + 1):
        if drawn - place >= hits - 1:
            total += hits and comb(drawn - place, hits - 1) / comb(drawn, hits)
    return total


PASS_AT = Exercise(
    reference=pass_at,
    unusual=(pass_by_a_product, pass_by_first_success),
    explanation=(
        "Count the choices in which all k are wrong. `comb(a, k)` is 0 for k > a, so that with fewer than k wrong "
        "texts the chance is 1. For large n the library takes the product of k fractions, which never overflows."
    ),
    cases=(
        Case("one right of four, one pick", lambda: (1, 4, 1)),
        Case("two right of five, two picks", lambda: (2, 5, 2)),
        Case("three right of seven, five picks: there are but four wrong ones", lambda: (3, 7, 5)),
        Case("none right of six", lambda: (0, 6, 4)),
        Case("three right of eleven, four picks", lambda: (3, 11, 4)),
    ),
    mistakes=(
        Mistake(
            "with putting back",
            "This is 1 − (1 − c/n)^k: picks with putting back. It takes c/n for the true chance, and is too low on "
            "average for k > 1. Pick k *different* ones of the n.",
            lambda hits, drawn, k: 1 - (1 - hits / drawn) ** k,
        ),
        Mistake(
            "k times the share",
            "This grows in proportion to k and can exceed 1: two right ones among the picks are counted twice.",
            lambda hits, drawn, k: k * hits / drawn,
        ),
        Mistake(
            "k times the share, cut at 1",
            "Cutting k·c/n at 1 does not make it a chance: two right ones among the picks are still counted twice.",
            lambda hits, drawn, k: min(1.0, k * hits / drawn),
        ),
        Mistake(
            "the chance of failing",
            "This is the chance that all k are wrong. pass@k asks for the opposite.",
            lambda hits, drawn, k: comb(drawn - hits, k) / comb(drawn, k),
        ),
        Mistake(
            "all k right",
            "This is the chance that all k picks are right. One is enough.",
            lambda hits, drawn, k: comb(hits, k) / comb(drawn, k),
        ),
        Mistake(
            "k ignored",
            "This is pass@1, the share of right texts, whatever k is.",
            lambda hits, drawn, k: hits / drawn,
        ),
        Mistake(
            "best of all n",
            "This asks whether any of the n texts is right. Only k of them are picked.",
            lambda hits, drawn, k: float(hits > 0),
        ),
    ),
)

EXERCISES = {"09.1": JUDGE_STEPS, "09.2": ADVANTAGES, "09.3": PASS_AT}
