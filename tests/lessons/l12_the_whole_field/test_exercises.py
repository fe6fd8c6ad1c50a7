"""The checks of lesson 12 know a right answer from plausible wrong ones, and name what is wrong."""

import numpy as np
import torch

from kd_lab.classroom.diagnosis import find_exercise
from kd_lab.lessons.l12_the_whole_field.exercises import T_95, boards, one_beginning_is_harder
from kd_lab.measure import mean_interval
from kd_lab.measure.interval import student_t_quantile

# ---- 12.1 --------------------------------------------------------------------------------------------------------


def test_hint_names_the_first_positions(assert_rejects):
    def from_the_front(teacher, tokens, hint):
        with torch.no_grad():
            out = teacher(torch.cat((tokens[:, :1], hint, tokens[:, 1:]), dim=-1))
        return out[:, : tokens.size(1)]

    assert_rejects("12.1", from_the_front, "first T positions")


def test_hint_names_off_by_one(assert_rejects):
    def one_less(teacher, tokens, hint):
        k = hint.size(1)
        with torch.no_grad():
            return teacher(torch.cat((tokens[:, :1], hint, tokens[:, 1:]), 1))[:, k - 1 : k - 1 + tokens.size(1)]

    assert_rejects("12.1", one_less, "off by one")


def test_hint_names_the_mark(assert_rejects):
    def in_front(teacher, tokens, hint):
        with torch.no_grad():
            return teacher(torch.cat((hint, tokens), 1))[:, -tokens.size(1) :]

    assert_rejects("12.1", in_front, "before the mark")


def test_hint_names_what_was_not_read(assert_rejects):
    def plain(teacher, tokens, hint):
        with torch.no_grad():
            return teacher(tokens)

    assert_rejects("12.1", plain, "has not read the hint")


def test_all_positions_have_the_wrong_shape(assert_rejects):
    def everything(teacher, tokens, hint):
        with torch.no_grad():
            return teacher(torch.cat((tokens[:, :1], hint, tokens[:, 1:]), 1))

    assert_rejects("12.1", everything, "shape")


def test_a_hint_at_the_end_is_not_read(assert_rejects):
    def behind(teacher, tokens, hint):
        with torch.no_grad():
            return teacher(torch.cat((tokens, hint), 1))[:, -tokens.size(1) :]

    assert_rejects("12.1", behind, "stands behind the text")


def test_a_label_with_a_gradient_is_no_label(assert_rejects):
    def trains_the_teacher(teacher, tokens, hint):
        return teacher(torch.cat((tokens[:, :1], hint, tokens[:, 1:]), 1))[:, hint.size(1) :]

    assert_rejects("12.1", trains_the_teacher, "a gradient leads")


# ---- 12.2 --------------------------------------------------------------------------------------------------------


def test_letters_name_the_sum_of_logs(assert_rejects):
    def product(pair_logp, first):
        rows = torch.stack([table[x] for table, x in zip(pair_logp, first, strict=True)])
        return torch.log_softmax(pair_logp.sum(dim=2), dim=-1), torch.log_softmax(rows, dim=-1)

    assert_rejects("12.2", product, "Logs are summed")


def test_letters_name_the_row_that_is_not_normalised(assert_rejects):
    def joint(pair_logp, first):
        rows = torch.stack([table[x] for table, x in zip(pair_logp, first, strict=True)])
        return pair_logp.logsumexp(2), rows

    assert_rejects("12.2", joint, "does not sum to 1")


def test_letters_name_the_column(assert_rejects):
    def column(pair_logp, first):
        columns = torch.stack([table[:, x] for table, x in zip(pair_logp, first, strict=True)])
        return pair_logp.logsumexp(2), columns - columns.logsumexp(1, keepdim=True)

    assert_rejects("12.2", column, "pairs that *end* with x")


def test_letters_name_the_wrong_letter(assert_rejects):
    def second_letter(pair_logp, first):
        rows = torch.stack([table[x] for table, x in zip(pair_logp, first, strict=True)])
        return torch.logsumexp(pair_logp, dim=-2), rows.log_softmax(-1)

    assert_rejects("12.2", second_letter, "sums over the first letter")


# ---- 12.3 --------------------------------------------------------------------------------------------------------


def test_ties_name_overlapping_intervals(assert_rejects):
    def overlapping(scores):
        best = scores[scores.mean(1).argmin()]
        top = sum(mean_interval(best))
        return np.array([mean_interval(row)[0] - mean_interval(row)[1] <= top for row in scores])

    assert_rejects("12.3", overlapping, "two separate intervals overlap")


def test_ties_name_the_highest(assert_rejects):
    def highest(scores):
        best = scores[scores.mean(1).argmax()]
        return np.array([mean_interval(best - row)[0] <= mean_interval(best - row)[1] for row in scores])

    assert_rejects("12.3", highest, "lower is better")


def test_ties_name_the_deviation(assert_rejects):
    def deviation(scores):
        gap = scores - scores[scores.mean(1).argmin()]
        return gap.mean(1) <= np.sqrt(gap.var(1, ddof=1))

    assert_rejects("12.3", deviation, "depends on the number of seeds")


def test_ties_name_equal_means(assert_rejects):
    def equal(scores):
        return np.isclose(scores.mean(1), scores.mean(1).min())

    assert_rejects("12.3", equal, "never equal")


def test_ties_name_the_deviation_of_a_population(assert_rejects):
    def population(scores):
        gaps = scores - scores[scores.mean(1).argmin()]
        count = gaps.shape[1]
        return gaps.mean(1) <= student_t_quantile(count - 1, 0.95) * np.sqrt(gaps.var(1) / count)

    assert_rejects("12.3", population, "n − 1")


def test_ties_name_the_luckiest(assert_rejects):
    def luckiest(scores):
        gaps = scores - scores[np.unravel_index(scores.argmin(), scores.shape)[0]]
        return np.array([np.subtract(*mean_interval(gap)) <= 0 for gap in gaps])

    assert_rejects("12.3", luckiest, "One lucky beginning")


def test_the_first_case_needs_pairs():
    (scores,) = one_beginning_is_harder()
    assert find_exercise("12.3").reference(scores).tolist() == [True, False]
    assert all(half > 1 for _, half in map(mean_interval, scores))


def test_boards_hold_both_ties_and_losers():
    for entries, seeds, number in ((7, 5, 24), (5, 4, 24), (11, 6, 0)):
        tied = find_exercise("12.3").reference(*boards(entries, seeds, number))
        assert 1 < tied.sum() < entries, (entries, tied)


def test_the_quantiles_are_student_s():
    assert {n: round(student_t_quantile(n - 1, 0.95), 6) for n in T_95} == {n: round(t, 6) for n, t in T_95.items()}
