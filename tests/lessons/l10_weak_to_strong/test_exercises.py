"""The checks of lesson 10 know a right answer from plausible wrong ones, and name what is wrong."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kd_lab.classroom.diagnosis import diagnose, find_exercise

# ---- 10.1 --------------------------------------------------------------------------------------------------------


def test_pgr_accepts_a_count_of_mistakes():
    def by_mistakes(truth, weak, student, ceiling):
        wrong = [np.count_nonzero(truth - one) for one in (weak, student, ceiling)]
        return (wrong[0] - wrong[1]) / (wrong[0] - wrong[2])

    assert diagnose(find_exercise("10.1"), by_mistakes) is None


def test_pgr_names_the_weak_labels_as_judge(assert_rejects):
    def judged_by_teacher(truth, weak, student, ceiling):
        with np.errstate(all="ignore"):
            w, s, c = (weak == weak).mean(), (student == weak).mean(), (ceiling == weak).mean()
            return (s - w) / (c - w)

    assert_rejects("10.1", judged_by_teacher, "judged by the weak labels")


def test_pgr_names_the_share_of_the_ceiling(assert_rejects):
    def ratio(truth, weak, student, ceiling):
        return (student == truth).mean() / (ceiling == truth).mean()

    assert_rejects("10.1", ratio, "share of the ceiling's")


def test_pgr_names_the_gap_that_is_left(assert_rejects):
    def left(truth, weak, student, ceiling):
        w, s, c = ((one == truth).mean() for one in (weak, student, ceiling))
        return (c - s) / (c - w)

    assert_rejects("10.1", left, "share of the gap that is left")


def test_pgr_names_the_difference(assert_rejects):
    def lead(truth, weak, student, ceiling):
        return (student == truth).mean() - (weak == truth).mean()

    assert_rejects("10.1", lead, "lead over its teacher")


def test_pgr_may_be_negative(assert_rejects):
    def never_negative(truth, weak, student, ceiling):
        w, s, c = ((one == truth).mean() for one in (weak, student, ceiling))
        return max(0.0, (s - w) / (c - w))

    assert_rejects("10.1", never_negative, "cut off at 0")


# ---- 10.2 --------------------------------------------------------------------------------------------------------


def fitted(features, labels):
    return features @ np.linalg.pinv(features) @ labels


def mse(a, b):
    return ((a - b) ** 2).mean()


def test_gain_accepts_a_pseudoinverse():
    def by_pinv(features, weak, truth):
        s = fitted(features, weak)
        return mse(weak, truth) - mse(s, truth), mse(s, weak)

    assert diagnose(find_exercise("10.2"), by_pinv) is None


def test_gain_is_misfit_where_the_student_can_say_the_truth():
    generator = np.random.default_rng(0)
    features, weak = generator.standard_normal((9, 3)), generator.standard_normal(9)
    gain, misfit = find_exercise("10.2").reference(features, weak, features @ np.array([1.0, -2.0, 0.5]))
    assert gain == pytest.approx(misfit)


def test_gain_names_the_student_of_the_truth(assert_rejects):
    def ceiling(features, weak, truth):
        s = fitted(features, truth)
        return mse(weak, truth) - mse(s, truth), mse(s, weak)

    assert_rejects("10.2", ceiling, "that is the ceiling")


def test_gain_names_the_misfit_to_the_truth(assert_rejects):
    def both_to_truth(features, weak, truth):
        s = fitted(features, weak)
        return mse(weak, truth) - mse(s, truth), mse(s, truth)

    assert_rejects("10.2", both_to_truth, "can be measured without knowing the truth")


def test_gain_names_its_sign(assert_rejects):
    def loss(features, weak, truth):
        s = fitted(features, weak)
        return mse(s, truth) - mse(weak, truth), mse(s, weak)

    assert_rejects("10.2", loss, "wrong sign")


def test_gain_names_sums(assert_rejects):
    def sums(features, weak, truth):
        s = fitted(features, weak)
        return ((weak - truth) ** 2).sum() - ((s - truth) ** 2).sum(), ((s - weak) ** 2).sum()

    assert_rejects("10.2", sums, "sums over the inputs")


# ---- 10.3 --------------------------------------------------------------------------------------------------------


def bce(z, y):
    return F.binary_cross_entropy_with_logits(z, y)


def test_confidence_accepts_two_terms():
    def two(student_logits, weak, alpha, threshold):
        own = (torch.sigmoid(student_logits) > threshold).double()
        return (1 - alpha) * bce(student_logits, weak) + alpha * bce(student_logits, own)

    assert diagnose(find_exercise("10.3"), two) is None


def test_confidence_names_swapped_shares(assert_rejects):
    def swapped(student_logits, weak, alpha, threshold):
        own = (student_logits.sigmoid() > threshold).double()
        return bce(student_logits, alpha * weak + (1 - alpha) * own)

    assert_rejects("10.3", swapped, "α and 1 − α are swapped")


def test_confidence_names_the_hardened_teacher(assert_rejects):
    def hardened(student_logits, weak, alpha, threshold):
        return bce(student_logits, (1 - alpha) * weak + alpha * (weak > threshold).double())

    assert_rejects("10.3", hardened, "teacher's labels were hardened")


def test_confidence_names_a_fixed_threshold(assert_rejects):
    def half(student_logits, weak, alpha, threshold):
        return bce(student_logits, (1 - alpha) * weak + alpha * (student_logits > 0).double())

    assert_rejects("10.3", half, "cut at ½")


def test_confidence_names_its_own_soft_answer(assert_rejects):
    def soft(student_logits, weak, alpha, threshold):
        return bce(student_logits, (1 - alpha) * weak + alpha * student_logits.sigmoid())

    assert_rejects("10.3", soft, "has to be 0 or 1")


def test_confidence_names_a_term_on_top(assert_rejects):
    def on_top(student_logits, weak, alpha, threshold):
        return bce(student_logits, weak) + alpha * bce(student_logits, (student_logits.sigmoid() > threshold).double())

    assert_rejects("10.3", on_top, "on top of the first")


def test_the_own_answer_has_no_gradient():
    logits = torch.tensor([0.4, -0.3, 2.0], dtype=torch.float64, requires_grad=True)
    weak = torch.tensor([0.2, 0.9, 0.5], dtype=torch.float64)
    find_exercise("10.3").reference(logits, weak, 0.4, 0.5).backward()
    target = 0.6 * weak + 0.4 * torch.tensor([1.0, 0.0, 1.0])
    torch.testing.assert_close(logits.grad, (logits.detach().sigmoid() - target) / 3)
