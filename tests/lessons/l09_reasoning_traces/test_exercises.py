"""The checks of lesson 09 accept right answers, also unusual ones, and name each mistake."""

from math import comb

import torch

from kd_lab.classroom.diagnosis import diagnose, find_exercise

# ---- 09.1 ------------------------------------------------------------------------------------------------------------


def test_steps_may_be_judged_with_zip():
    def by_zip(start, moves, trace, after):
        return [after(d, m) == r for d, m, r in zip([start, *trace], moves, trace)]  # noqa: B905

    assert diagnose(find_exercise("09.1"), by_zip) is None


def test_steps_name_the_true_trace(assert_rejects):
    def follows_the_truth(start, moves, trace, after):
        verdicts = []
        for move, result in zip(moves, trace, strict=True):
            start = after(start, move)
            verdicts.append(result == start)
        return verdicts

    assert_rejects("09.1", follows_the_truth, "somebody who made no slip")


def test_steps_name_the_verdict_that_never_recovers(assert_rejects):
    def stays_wrong(start, moves, trace, after):
        good, verdicts = True, []
        for before, move, result in zip([start, *trace], moves, trace, strict=False):
            good = good and after(before, move) == result
            verdicts.append(good)
        return verdicts

    assert_rejects("09.1", stays_wrong, "After the first wrong step")


def test_steps_name_the_shift_and_the_fixed_start(assert_rejects):
    def shifted(start, moves, trace, after):
        return [after(result, move) == result for move, result in zip(moves, trace, strict=True)]

    def all_from_start(start, moves, trace, after):
        return [after(start, move) == result for move, result in zip(moves, trace, strict=True)]

    assert_rejects("09.1", shifted, "starts from the digit before")
    assert_rejects("09.1", all_from_start, "Only the first move starts there")


# ---- 09.2 ------------------------------------------------------------------------------------------------------------


def test_advantages_may_be_standardised_by_hand():
    def by_hand(rewards):
        rows = []
        for row in rewards:
            mean = sum(row) / len(row)
            variance = sum((one - mean) ** 2 for one in row) / len(row)
            rows.append([(one - mean) / variance**0.5 if variance > 0 else 0.0 * one for one in row])
        return rows

    assert diagnose(find_exercise("09.2"), by_hand) is None


def test_advantages_name_the_wrong_baseline(assert_rejects):
    def of_the_batch(rewards):
        return (rewards - rewards.mean()) / rewards.std(unbiased=False).clamp_min(1e-8)

    def across(rewards):
        deviation = rewards.std(0, unbiased=False)
        return torch.where(deviation > 0, (rewards - rewards.mean(0)) / deviation.clamp_min(1e-8), 0.0)

    assert_rejects("09.2", of_the_batch, "whole batch")
    assert_rejects("09.2", across, "A row is a group")


def test_advantages_name_the_wrong_scale(assert_rejects):
    def torch_std(rewards):
        deviation = rewards.std(1, keepdim=True)
        return (rewards - rewards.mean(1, keepdim=True)) / deviation.clamp_min(1e-8)

    def centred(rewards):
        return rewards - rewards.mean(1, keepdim=True)

    def by_variance(rewards):
        variance = rewards.var(1, keepdim=True, unbiased=False)
        return torch.where(variance > 0, centred(rewards) / variance.clamp_min(1e-8), 0.0)

    assert_rejects("09.2", torch_std, "G − 1")
    assert_rejects("09.2", centred, "also divided")
    assert_rejects("09.2", by_variance, "variance")


def test_advantages_name_nought_over_nought(assert_rejects):
    def bare(rewards):
        return (rewards - rewards.mean(1, keepdim=True)) / rewards.std(1, keepdim=True, unbiased=False)

    assert_rejects("09.2", bare, "gives NaN")


# ---- 09.3 ------------------------------------------------------------------------------------------------------------


def test_pass_at_k_may_be_counted_by_factorials():
    def by_factorials(right, drawn, k):
        from math import factorial

        wrong = drawn - right
        if k > wrong:
            return 1
        all_wrong = factorial(wrong) * factorial(drawn - k) / factorial(wrong - k) / factorial(drawn)
        return torch.tensor(1 - all_wrong)

    assert diagnose(find_exercise("09.3"), by_factorials) is None


def test_pass_at_k_names_the_plug_in(assert_rejects):
    def with_putting_back(right, drawn, k):
        share = right / drawn
        return 1 - (1 - share) ** k

    assert_rejects("09.3", with_putting_back, "putting back")


def test_pass_at_k_names_other_quantities(assert_rejects):
    def adds_up(right, drawn, k):
        return right / drawn * k

    def fails(right, drawn, k):
        return comb(drawn - right, k) / comb(drawn, k)

    def any_of_all(right, drawn, k):
        return 1.0 if right else 0.0

    def first_only(right, drawn, k):
        return right / drawn

    def every_one(right, drawn, k):
        return comb(right, k) / comb(drawn, k)

    assert_rejects("09.3", adds_up, "in proportion to k")
    assert_rejects("09.3", fails, "all k are wrong")
    assert_rejects("09.3", any_of_all, "any of the n")
    assert_rejects("09.3", first_only, "pass@1")
    assert_rejects("09.3", every_one, "One is enough")
