"""Exercises of lesson 10: reference solutions in NumPy and torch, and the mistakes that their checks name."""

import numpy as np
import torch
import torch.nn.functional as F

from kd_lab.classroom.diagnosis import Case, Exercise, Mistake


def recovered(truth, weak, student, ceiling):
    """The share of the gap that is closed, from 0/1 answers and true labels: four [N] -> number."""
    w, s, c = (np.mean(answers == truth) for answers in (weak, student, ceiling))
    return (s - w) / (c - w)


def gain_and_misfit(features, weak, truth):
    """The student's gain on its teacher, and its misfit: [N, K], [N], [N] -> two numbers."""
    weights, *_ = np.linalg.lstsq(features, weak, rcond=None)
    student = features @ weights
    gain = np.mean((weak - truth) ** 2) - np.mean((student - truth) ** 2)
    return gain, np.mean((student - weak) ** 2)


def confidence_loss(student_logits, weak, alpha, threshold):
    """CE in nats against (1 − α)·weak + α·[q > threshold]: [B], [B], float, float or [B] -> []."""
    confident = (student_logits.sigmoid() > threshold).to(weak.dtype)  # a comparison: no gradient passes
    target = (1 - alpha) * weak + alpha * confident
    return -(target * F.logsigmoid(student_logits) + (1 - target) * F.logsigmoid(-student_logits)).mean()


# ---- wrong answers ---------------------------------------------------------------------------------------------------


def accuracies(truth, weak, student, ceiling):
    return tuple(np.mean(answers == truth) for answers in (weak, student, ceiling))


def judged_by_the_weak(truth, weak, student, ceiling):
    with np.errstate(all="ignore"):
        return recovered(weak, weak, student, ceiling)


def share_of_the_ceiling(truth, weak, student, ceiling):
    _, s, c = accuracies(truth, weak, student, ceiling)
    return s / c


def above_chance(truth, weak, student, ceiling):
    _, s, c = accuracies(truth, weak, student, ceiling)
    return (s - 0.5) / (c - 0.5)


def gap_that_is_left(truth, weak, student, ceiling):
    return 1 - recovered(truth, weak, student, ceiling)


def not_divided(truth, weak, student, ceiling):
    w, s, _ = accuracies(truth, weak, student, ceiling)
    return s - w


def cut_at_zero(truth, weak, student, ceiling):
    return np.clip(recovered(truth, weak, student, ceiling), 0, 1)


def projected(features, labels):
    return features @ np.linalg.lstsq(features, labels, rcond=None)[0]


def squares(one, other):
    return np.mean((one - other) ** 2)


def taught_by_the_truth(features, weak, truth):
    student = projected(features, truth)
    return squares(weak, truth) - squares(student, truth), squares(student, weak)


def misfit_to_the_truth(features, weak, truth):
    student = projected(features, weak)
    return squares(weak, truth) - squares(student, truth), squares(student, truth)


def gain_reversed(features, weak, truth):
    gain, misfit = gain_and_misfit(features, weak, truth)
    return -gain, misfit


def summed(features, weak, truth):
    gain, misfit = gain_and_misfit(features, weak, truth)
    return len(weak) * gain, len(weak) * misfit


def rooted(features, weak, truth):
    student = projected(features, weak)
    return np.sqrt(squares(weak, truth)) - np.sqrt(squares(student, truth)), np.sqrt(squares(student, weak))


def not_normalised(features, weak, truth):
    student = features @ (features.T @ weak)
    return squares(weak, truth) - squares(student, truth), squares(student, weak)


def cross_entropy(logits, target):
    return -(target * F.logsigmoid(logits) + (1 - target) * F.logsigmoid(-logits)).mean()


def confident_of(logits, weak, threshold):
    return (logits.sigmoid() > threshold).to(weak.dtype)


def shares_swapped(student_logits, weak, alpha, threshold):
    return confidence_loss(student_logits, weak, 1 - alpha, threshold)


def teacher_hardened(student_logits, weak, alpha, threshold):
    return cross_entropy(student_logits, (1 - alpha) * weak + alpha * (weak > threshold).to(weak.dtype))


def at_one_half(student_logits, weak, alpha, threshold):
    return confidence_loss(student_logits, weak, alpha, 0.5)


def logits_compared(student_logits, weak, alpha, threshold):
    return cross_entropy(student_logits, (1 - alpha) * weak + alpha * (student_logits > threshold).to(weak.dtype))


def left_soft(student_logits, weak, alpha, threshold):
    return cross_entropy(student_logits, (1 - alpha) * weak + alpha * student_logits.sigmoid())


def one_class_only(student_logits, weak, alpha, threshold):
    target = (1 - alpha) * weak + alpha * confident_of(student_logits, weak, threshold)
    return -(target * F.logsigmoid(student_logits)).mean()


def added_on_top(student_logits, weak, alpha, threshold):
    own = confident_of(student_logits, weak, threshold)
    return cross_entropy(student_logits, weak) + alpha * cross_entropy(student_logits, own)


def not_averaged(student_logits, weak, alpha, threshold):
    return len(weak) * confidence_loss(student_logits, weak, alpha, threshold)


# ---- right answers that look nothing like the reference's ------------------------------------------------------------


def recovered_from_errors(truth, weak, student, ceiling):
    e_weak, e_student, e_ceiling = (int((answers != truth).sum()) for answers in (weak, student, ceiling))
    return (e_weak - e_student) / (e_weak - e_ceiling)


def recovered_by_counting(truth, weak, student, ceiling):
    right = [sum(bool(a == t) for a, t in zip(answers, truth, strict=True)) for answers in (weak, student, ceiling)]
    return 1 - (right[2] - right[1]) / (right[2] - right[0])


def gain_by_normal_equations(features, weak, truth):
    student = features @ np.linalg.solve(features.T @ features, features.T @ weak)
    return float(((weak - truth) ** 2 - (student - truth) ** 2).mean()), float(((weak - student) ** 2).mean())


def gain_by_an_orthonormal_basis(features, weak, truth):
    basis = torch.linalg.qr(torch.as_tensor(features))[0].numpy()
    left_over = weak - basis @ (basis.T @ weak)
    misfit = left_over @ left_over / len(weak)
    return 2 * left_over @ (weak - truth) / len(weak) - misfit, misfit


def loss_by_two_terms(student_logits, weak, alpha, threshold):
    own = torch.where(torch.sigmoid(student_logits) > threshold, 1.0, 0.0).to(weak.dtype)
    follow = F.binary_cross_entropy_with_logits(student_logits, weak)
    return (1 - alpha) * follow + alpha * F.binary_cross_entropy_with_logits(student_logits, own)


def loss_by_a_softmax_over_two(student_logits, weak, alpha, threshold):
    logits = torch.stack([torch.zeros_like(student_logits), student_logits], -1)
    logp = logits.log_softmax(-1)
    target = torch.lerp(weak, (logp[:, 1].exp() > threshold).to(weak.dtype), alpha)
    return F.cross_entropy(logits, torch.stack([1 - target, target], -1))


# ---- cases -----------------------------------------------------------------------------------------------------------


def bits(text):
    """ "0110" as an array of 0 and 1."""
    return np.array([int(one) for one in text])


FIVE = ("five texts; the teacher has 1 right, the student 3, the ceiling 4", lambda: (
    bits("11100"), bits("10011"), bits("01000"), bits("11110"),
))  # fmt: skip
SEVEN = ("seven texts; the student is worse than its teacher", lambda: (
    bits("1010011"), bits("1010100"), bits("1001100"), bits("1010011"),
))  # fmt: skip
ELEVEN = ("eleven texts", lambda: (
    bits("11010011010"), bits("01110010000"), bits("11010010100"), bits("11010011110"),
))  # fmt: skip

LINE = (
    "five inputs, one feature and a constant",
    lambda: (
        np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0], [1.0, 3.0], [1.0, 4.0]]),
        np.array([1.0, 0.0, 2.0, 2.0, 5.0]),
        np.array([0.0, 1.0, 2.0, 3.0, 4.0]),
    ),
)


def plane():
    """Seven inputs with three features; the truth is not among the functions that they can write."""
    generator = np.random.default_rng(3)
    return generator.standard_normal((7, 3)), generator.standard_normal(7), generator.standard_normal(7)


THREE = (
    "three texts, α = 0.25, threshold 0.6",
    lambda: (torch.tensor([0.3, 2.0, -1.0], dtype=torch.float64), torch.tensor([0.9, 0.2, 0.4]).double(), 0.25, 0.6),
)
MANY = (
    "seven texts, α = 0.75, threshold 0.3; one logit is −90",
    lambda: (
        torch.tensor([0.7, -0.5, -2.0, 3.0, 0.1, -90.0, -1.1], dtype=torch.float64),
        torch.tensor([0.1, 0.8, 0.35, 0.6, 1.0, 0.0, 0.45], dtype=torch.float64),
        0.75,
        0.3,
    ),
)

EXERCISES = {
    "10.1": Exercise(
        reference=recovered,
        explanation=(
            "Everything is judged by the truth, which neither teacher nor student was shown at this point; the weak "
            "labels judge nobody. The ceiling is the same student taught by the truth: it, and not 100 %, is what "
            "better labels could have reached. The measure may be negative, and it explodes where the gap is small."
        ),
        cases=(Case(*FIVE), Case(*SEVEN), Case(*ELEVEN)),
        unusual=(recovered_from_errors, recovered_by_counting),
        mistakes=(
            Mistake(
                "judged by the weak labels",
                "The student is judged by the weak labels: a perfect copy of the teacher would come out best. All "
                "three are judged by the truth.",
                judged_by_the_weak,
            ),
            Mistake(
                "share of the ceiling",
                "This is the student's accuracy as a share of the ceiling's. A student that merely copies its teacher "
                "would already have most of it: begin to count at the teacher.",
                share_of_the_ceiling,
            ),
            Mistake(
                "counted from chance",
                "The count begins at a coin toss, ½. It should begin at the teacher: what the student has from its "
                "labels is not recovered.",
                above_chance,
            ),
            Mistake(
                "the gap that is left",
                "This is the share of the gap that is left, 1 for a mere copy of the teacher. Asked for is the share "
                "that is closed.",
                gap_that_is_left,
            ),
            Mistake(
                "not divided",
                "This is the student's lead over its teacher, in accuracy. Divide it by the lead that true labels "
                "would have given.",
                not_divided,
            ),
            Mistake(
                "cut at zero",
                "The result is cut off at 0. A student that is worse than its teacher has a negative share, and one "
                "should see that.",
                cut_at_zero,
            ),
        ),
    ),
    "10.2": Exercise(
        reference=gain_and_misfit,
        explanation=(
            "`lstsq` finds the weights whose predictions come nearest to the labels: it projects the labels onto all "
            "that the features can write. What it leaves over is at a right angle to every prediction that the student "
            "could make. If the truth is one of these, teacher, student and truth form a right triangle, and gain and "
            "misfit are the same number."
        ),
        cases=(Case(*LINE), Case("seven inputs, three features", plane)),
        unusual=(gain_by_normal_equations, gain_by_an_orthonormal_basis),
        entries=("gain", "misfit"),
        mistakes=(
            Mistake(
                "taught by the truth",
                "The student was fitted to the truth: that is the ceiling. It sees nothing but the weak labels.",
                taught_by_the_truth,
            ),
            Mistake(
                "misfit to the truth",
                "The second number is the student's distance from the truth. Its misfit is its distance from the "
                "labels that it was taught; it can be measured without knowing the truth.",
                misfit_to_the_truth,
            ),
            Mistake(
                "gain reversed",
                "The gain has the wrong sign: it is the teacher's error less the student's.",
                gain_reversed,
            ),
            Mistake("summed", "These are sums over the inputs; mean squares were asked for.", summed),
            Mistake(
                "roots",
                "The roots of the mean squares were taken. Pythagoras adds squares; roots do not add up.",
                rooted,
            ),
            Mistake(
                "not normalised",
                "features @ (featuresᵀ @ weak) is the projection only where the columns are orthonormal. Find the "
                "weights with np.linalg.lstsq.",
                not_normalised,
            ),
        ),
    ),
    "10.3": Exercise(
        reference=confidence_loss,
        explanation=(
            "Cross-entropy is linear in its target, so mixing the targets is the same as mixing two losses: one that "
            "follows the teacher, and one that makes the student surer of what it already says. The comparison with "
            "the threshold has no gradient: the student's own answer is a label here, and not a lever."
        ),
        cases=(Case(*THREE), Case(*MANY)),
        unusual=(loss_by_two_terms, loss_by_a_softmax_over_two),
        mistakes=(
            Mistake("shares swapped", "α and 1 − α are swapped: α is the share of the student's own answer.",
                    shares_swapped),
            Mistake(
                "teacher hardened",
                "The teacher's labels were hardened. What the loss trusts more and more is the student's own answer.",
                teacher_hardened,
            ),
            Mistake(
                "threshold ignored",
                "The student's answer is cut at ½. The threshold is an argument: where it lies decides how many texts "
                "the student calls names.",
                at_one_half,
            ),
            Mistake(
                "logits compared",
                "A logit was compared with the threshold, which is a probability. Take the sigmoid first.",
                logits_compared,
            ),
            Mistake(
                "left soft",
                "The student's own probability stands in the target as it is. It has to be 0 or 1: a target that "
                "agrees with the student on the spot pulls it nowhere.",
                left_soft,
            ),
            Mistake(
                "one class only",
                "Only −target·log q is counted. Where the target is 0, nothing would pull q down: the other class has "
                "a term of its own.",
                one_class_only,
            ),
            Mistake(
                "added on top",
                "The second cross-entropy comes on top of the first at full weight. The shares are 1 − α and α: as "
                "the student's own answer gains weight, the teacher's loses it.",
                added_on_top,
            ),
            Mistake("summed", "This is the sum over the batch; the mean was asked for.", not_averaged),
        ),
    ),
}  # fmt: skip
