"""Wrong answers to the exercises of lesson 07, written as a learner would write them."""

import math

import pytest
import torch

from kd_lab.classroom.diagnosis import diagnose, find_exercise


def chosen(logp, tokens):
    return torch.gather(logp, 2, tokens.unsqueeze(2)).squeeze(2)


# ---- 07.1


def test_future_return_names_the_own_reward(assert_rejects):
    def inclusive(rewards, mask):
        kept = rewards * mask
        return torch.stack([kept[:, t:].sum(1) for t in range(kept.shape[1])], dim=1)

    assert_rejects("07.1", inclusive, "counted as future")


def test_future_return_names_the_past(assert_rejects):
    def before(rewards, mask):
        kept = rewards * mask
        return torch.stack([kept[:, :t].sum(1) for t in range(kept.shape[1])], dim=1)

    assert_rejects("07.1", before, "before each position")


def test_future_return_names_the_order_left_reversed(assert_rejects):
    def one_flip(rewards, mask):
        backwards = (rewards * mask).flip(1)
        return backwards.cumsum(1) - backwards

    assert_rejects("07.1", one_flip, "flipped once")


def test_future_return_names_the_padding(assert_rejects):
    def masked_too_late(rewards, mask):
        total = rewards.sum(1, keepdim=True)
        return (total - rewards.cumsum(1)) * mask

    assert_rejects("07.1", masked_too_late, "padding")


def test_future_return_takes_a_loop():
    def loop(rewards, mask):
        after = torch.zeros_like(rewards)
        for t in range(rewards.shape[1]):
            after[:, t] = (rewards * mask)[:, t + 1 :].sum(1)
        return after

    assert diagnose(find_exercise("07.1"), loop) is None


def test_future_return_takes_a_sum_from_zero_over_the_rows():
    def from_zero(rewards, mask):
        columns, total = [], 0
        for t in reversed(range(rewards.shape[1])):
            columns.append(total + torch.zeros_like(rewards[:, t]))
            total = total + rewards[:, t] * mask[:, t]
        return torch.stack(columns[::-1], dim=1) * mask

    assert diagnose(find_exercise("07.1"), from_zero) is None


def test_future_return_takes_a_matrix():
    def triangle(rewards, mask):
        T = rewards.shape[1]
        later = torch.ones(T, T, dtype=rewards.dtype).tril(-1)
        return (rewards * mask) @ later * mask

    assert diagnose(find_exercise("07.1"), triangle) is None


# ---- 07.2


def returns(student_logp, teacher_logp, tokens, mask):
    own, other = chosen(student_logp, tokens), chosen(teacher_logp, tokens)
    rewards = (other - own) * mask
    return own, rewards, rewards.flip(1).cumsum(1).flip(1)


def test_policy_loss_names_the_sign(assert_rejects):
    def ascends(student_logp, teacher_logp, tokens, mask):
        own, _, from_here = returns(student_logp, teacher_logp, tokens, mask)
        return (from_here.detach() * own * mask).sum(1).mean()

    assert_rejects("07.2", ascends, "the other way")


def test_policy_loss_names_the_missing_detach(assert_rejects):
    def attached(student_logp, teacher_logp, tokens, mask):
        own, _, from_here = returns(student_logp, teacher_logp, tokens, mask)
        return -(from_here * own * mask).sum(1).mean()

    assert_rejects("07.2", attached, "through the return")


def test_policy_loss_names_the_missing_future(assert_rejects):
    def myopic(student_logp, teacher_logp, tokens, mask):
        own, rewards, _ = returns(student_logp, teacher_logp, tokens, mask)
        return -(rewards.detach() * own * mask).sum(1).mean()

    assert_rejects("07.2", myopic, "forgotten")


def test_policy_loss_names_the_missing_own_reward(assert_rejects):
    def future_alone(student_logp, teacher_logp, tokens, mask):
        own, rewards, from_here = returns(student_logp, teacher_logp, tokens, mask)
        return -((from_here - rewards).detach() * own * mask).sum(1).mean()

    assert_rejects("07.2", future_alone, "own reward is missing")


def test_policy_loss_names_the_past(assert_rejects):
    def whole_text(student_logp, teacher_logp, tokens, mask):
        own, rewards, _ = returns(student_logp, teacher_logp, tokens, mask)
        return -(rewards.sum(1).detach() * (own * mask).sum(1)).mean()

    assert_rejects("07.2", whole_text, "adds noise")


def test_policy_loss_names_the_cut_graph(assert_rejects):
    def all_detached(student_logp, teacher_logp, tokens, mask):
        own, _, from_here = returns(student_logp.detach(), teacher_logp, tokens, mask)
        return -(from_here * own * mask).sum(1).mean()

    assert_rejects("07.2", all_detached, "cut off from the graph")


def test_policy_loss_names_the_mean_over_tokens(assert_rejects):
    def per_token(student_logp, teacher_logp, tokens, mask):
        own, _, from_here = returns(student_logp, teacher_logp, tokens, mask)
        return -(from_here.detach() * own)[mask].mean()

    assert_rejects("07.2", per_token, "number of tokens")


def test_policy_loss_takes_another_loss_of_the_same_gradient():
    def by_ratio(student_logp, teacher_logp, tokens, mask):
        own, _, from_here = returns(student_logp, teacher_logp, tokens, mask)
        return 3 - (from_here.detach() * (own - own.detach()).exp() * mask).sum() / len(tokens)

    assert diagnose(find_exercise("07.2"), by_ratio) is None


def test_policy_loss_takes_a_loop_over_texts_that_starts_at_zero():
    def loop(student_logp, teacher_logp, tokens, mask):
        loss = 0
        for row in range(len(tokens)):
            for t in range(int(mask[row].sum())):
                later = range(t, int(mask[row].sum()))
                total = sum((teacher_logp - student_logp)[row, s, tokens[row, s]].item() for s in later)
                loss = loss - total * student_logp[row, t, tokens[row, t]]
        return loss / len(tokens)

    assert diagnose(find_exercise("07.2"), loop) is None


def test_policy_loss_takes_one_hot_tokens_in_double_precision():
    def one_hot(student_logp, teacher_logp, tokens, mask):
        drawn = torch.nn.functional.one_hot(tokens, student_logp.shape[-1]).double() * mask[..., None]
        own = (student_logp.double() * drawn).sum(-1)
        rewards = (teacher_logp.double() * drawn).sum(-1) - own
        return -(rewards.detach().flip(1).cumsum(1).flip(1) * own).sum() / len(tokens)

    assert diagnose(find_exercise("07.2"), one_hot) is None


# ---- 07.3


def test_token_weight_names_the_inverted_ratio(assert_rejects):
    def inverted(student_logp, teacher_logp, share):
        q, p = student_logp.exp(), teacher_logp.exp()
        return ((share * p + (1 - share) * q) / q).detach()

    assert_rejects("07.3", inverted, "p̃/q")


def test_token_weight_names_the_teacher_alone(assert_rejects):
    def against_the_teacher(student_logp, teacher_logp, share):
        return torch.exp(student_logp - teacher_logp).detach()

    assert_rejects("07.3", against_the_teacher, "teacher drew alone")


def test_token_weight_names_the_exchanged_shares(assert_rejects):
    def exchanged(student_logp, teacher_logp, share):
        q, p = student_logp.exp(), teacher_logp.exp()
        return (q / (share * q + (1 - share) * p)).detach()

    assert_rejects("07.3", exchanged, "shares are exchanged")


def test_token_weight_names_mixed_logarithms(assert_rejects):
    def geometric(student_logp, teacher_logp, share):
        return (student_logp - torch.lerp(student_logp, teacher_logp, share)).exp().detach()

    assert_rejects("07.3", geometric, "adds probabilities")


def test_token_weight_names_the_gradient(assert_rejects):
    def attached(student_logp, teacher_logp, share):
        q, p = student_logp.exp(), teacher_logp.exp()
        return q / (share * p + (1 - share) * q)

    assert_rejects("07.3", attached, "carries a gradient")


def test_token_weight_takes_plain_probabilities():
    def plain(student_logp, teacher_logp, share):
        with torch.no_grad():
            return 1 / (share * (teacher_logp - student_logp).exp() + 1 - share)

    assert diagnose(find_exercise("07.3"), plain) is None


def test_token_weight_takes_softmax_and_sigmoid():
    def sigmoid(student_logp, teacher_logp, share):
        log_odds = student_logp + math.log(1 - share) - teacher_logp - math.log(share)
        return (torch.sigmoid(log_odds) / (1 - share)).detach()

    assert diagnose(find_exercise("07.3"), sigmoid) is None


# ---- 07.4


def test_estimators_names_the_inverted_ratio_of_k3(assert_rejects):
    def inverted(student_logp, teacher_logp):
        r = student_logp - teacher_logp
        return r, r**2 / 2, r.exp() - 1 - r

    assert_rejects("07.4", inverted, "ratio is inverted")


def test_estimators_names_the_sign_of_k1(assert_rejects):
    def negative(student_logp, teacher_logp):
        r = teacher_logp - student_logp
        return r, 0.5 * r * r, r.exp() - 1 - r

    assert_rejects("07.4", negative, "wrong sign")


def test_estimators_names_the_missing_half(assert_rejects):
    def square(student_logp, teacher_logp):
        r = teacher_logp - student_logp
        return -r, r * r, math.e**r - 1 - r

    assert_rejects("07.4", square, "twice the KL")


def test_estimators_names_the_missing_one(assert_rejects):
    def shifted(student_logp, teacher_logp):
        r = teacher_logp - student_logp
        return -r, r * r / 2, r.exp() - r

    assert_rejects("07.4", shifted, "is 1 there")


def test_estimators_takes_a_list_of_powers():
    def powers(student_logp, teacher_logp):
        ratio = torch.exp(teacher_logp - student_logp)
        return -torch.log(ratio), 0.5 * torch.log(ratio) ** 2, ratio - 1 - torch.log(ratio)

    assert diagnose(find_exercise("07.4"), powers) is None


def test_estimators_takes_double_precision_built_on_k1():
    def in_double(student_logp, teacher_logp):
        k1 = student_logp.double() - teacher_logp.double()
        return k1, k1 * k1 / 2, torch.special.expm1(-k1) + k1

    assert diagnose(find_exercise("07.4"), in_double) is None


@pytest.mark.parametrize("small", [1e-6, 1e-8, 1e-12, 1e-20])
def test_token_weight_does_not_pass_with_a_small_number_in_its_denominator(small):
    def helped(student_logp, teacher_logp, share):
        q, p = student_logp.exp(), teacher_logp.exp()
        return (q / (share * p + (1 - share) * q + small)).detach()

    assert diagnose(find_exercise("07.3"), helped) is not None
