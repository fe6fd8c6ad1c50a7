"""The checks of lesson 03b know a right answer from plausible wrong ones, and name what is wrong."""

import numpy as np
import pytest

from kd_lab.classroom.diagnosis import diagnose, find_exercise

# ---- 03b.1 -------------------------------------------------------------------------------------------------------


def kl(logp, logq):
    with np.errstate(invalid="ignore"):
        terms = np.exp(logp) * (logp - logq)
    return np.where(np.exp(logp) > 0, terms, 0.0).sum(-1)


def mixture(student_logp, teacher_logp, share):
    with np.errstate(divide="ignore"):
        return np.log(share * np.exp(teacher_logp) + (1 - share) * np.exp(student_logp))


def test_jsd_accepts_a_mixture_of_probabilities():
    def in_probabilities(student_logp, teacher_logp, beta):
        m = mixture(student_logp, teacher_logp, beta)
        return beta * kl(teacher_logp, m) + (1 - beta) * kl(student_logp, m)

    assert diagnose(find_exercise("03b.1"), in_probabilities) is None


def test_jsd_names_the_mixture_of_logs(assert_rejects):
    def geometric_mean(student_logp, teacher_logp, beta):
        m = beta * teacher_logp + (1 - beta) * student_logp
        return beta * kl(teacher_logp, m) + (1 - beta) * kl(student_logp, m)

    assert_rejects("03b.1", geometric_mean, "geometric mean")


def test_jsd_names_swapped_outer_weights(assert_rejects):
    def outer_swapped(student_logp, teacher_logp, beta):
        m = mixture(student_logp, teacher_logp, beta)
        return (1 - beta) * kl(teacher_logp, m) + beta * kl(student_logp, m)

    assert_rejects("03b.1", outer_swapped, "each other's weights")


def test_jsd_names_swapped_weights_of_the_mixture(assert_rejects):
    def inner_swapped(student_logp, teacher_logp, beta):
        m = mixture(student_logp, teacher_logp, 1 - beta)
        return beta * kl(teacher_logp, m) + (1 - beta) * kl(student_logp, m)

    assert_rejects("03b.1", inner_swapped, "teacher's share of the mixture")


def test_jsd_names_the_other_convention(assert_rejects):
    def counted_from_the_student(student_logp, teacher_logp, beta):
        m = mixture(student_logp, teacher_logp, 1 - beta)
        return (1 - beta) * kl(teacher_logp, m) + beta * kl(student_logp, m)

    assert_rejects("03b.1", counted_from_the_student, "JSD(1−β)")


def test_jsd_names_missing_weights(assert_rejects):
    def plain_sum(student_logp, teacher_logp, beta):
        m = mixture(student_logp, teacher_logp, beta)
        return kl(teacher_logp, m) + kl(student_logp, m)

    assert_rejects("03b.1", plain_sum, "without their weights")


def test_jsd_names_reversed_kls(assert_rejects):
    def the_mixture_weighs(student_logp, teacher_logp, beta):
        m = mixture(student_logp, teacher_logp, beta)
        return beta * kl(m, teacher_logp) + (1 - beta) * kl(m, student_logp)

    assert_rejects("03b.1", the_mixture_weighs, "the mixture weighs")


# ---- 03b.2 -------------------------------------------------------------------------------------------------------


def numerical(function, logits, step=1e-6):
    """The gradient of a scalar function of logits by central differences."""
    gradient = np.zeros_like(logits)
    for index in np.ndindex(logits.shape):
        moved = np.zeros_like(logits)
        moved[index] = step
        gradient[index] = (function(logits + moved) - function(logits - moved)) / (2 * step)
    return gradient


def log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


@pytest.mark.parametrize("beta", [0.02, 0.5, 0.9])
def test_jsd_gradient_is_the_gradient(beta):
    z, p = np.random.default_rng(0).standard_normal((2, 3, 5))
    value = find_exercise("03b.1").reference
    expected = numerical(lambda z: value(log_softmax(z), log_softmax(p), beta).sum(), z)
    gradient = find_exercise("03b.2").reference(log_softmax(z), log_softmax(p), beta)
    np.testing.assert_allclose(gradient, expected, atol=1e-8)


def test_jsd_gradient_names_the_missing_factor(assert_rejects):
    def towards_the_mixture(student_logp, teacher_logp, beta):
        q, m = np.exp(student_logp), mixture(student_logp, teacher_logp, beta)
        return q * (student_logp - m - (q * (student_logp - m)).sum(-1, keepdims=True))

    assert_rejects("03b.2", towards_the_mixture, "factor 1 − β is missing")


def test_jsd_gradient_names_reverse_kl(assert_rejects):
    def scaled_reverse_kl(student_logp, teacher_logp, beta):
        q, log_ratio = np.exp(student_logp), student_logp - teacher_logp
        return (1 - beta) * q * (log_ratio - (q * log_ratio).sum(-1, keepdims=True))

    assert_rejects("03b.2", scaled_reverse_kl, "compares q with the mixture")


def test_jsd_gradient_names_the_missing_softmax(assert_rejects):
    def no_average(student_logp, teacher_logp, beta):
        return (1 - beta) * np.exp(student_logp) * (student_logp - mixture(student_logp, teacher_logp, beta))

    assert_rejects("03b.2", no_average, "sum to 0")


def test_jsd_gradient_names_the_derivative_in_q(assert_rejects):
    def in_probabilities(student_logp, teacher_logp, beta):
        return (1 - beta) * (student_logp - mixture(student_logp, teacher_logp, beta))

    assert_rejects("03b.2", in_probabilities, "with respect to the probabilities")


# ---- 03b.3 -------------------------------------------------------------------------------------------------------


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.5, 2.0, 8.0])
def test_softened_gradient_is_the_gradient(temperature):
    z, p = np.random.default_rng(1).standard_normal((2, 3, 5))
    soft = log_softmax(p / temperature)
    expected = numerical(lambda z: kl(soft, log_softmax(z / temperature)).sum(), z)
    gradient = find_exercise("03b.3").reference(z, p, temperature)
    np.testing.assert_allclose(gradient, expected, atol=1e-8)


def test_softened_gradient_names_the_missing_chain_rule(assert_rejects):
    def in_softened_logits(student_logits, teacher_logits, temperature):
        return softmax(student_logits / temperature) - softmax(teacher_logits / temperature)

    assert_rejects("03b.3", in_softened_logits, "one factor more")


def test_softened_gradient_names_hintons_factor(assert_rejects):
    def with_factor(student_logits, teacher_logits, temperature):
        return temperature * (softmax(student_logits / temperature) - softmax(teacher_logits / temperature))

    assert_rejects("03b.3", with_factor, "τ² of Hinton")


def test_softened_gradient_names_the_student_that_stays_hard(assert_rejects):
    def teacher_softened(student_logits, teacher_logits, temperature):
        return softmax(student_logits) - softmax(teacher_logits / temperature)

    assert_rejects("03b.3", teacher_softened, "student was not softened")


def test_softened_gradient_names_the_sign(assert_rejects):
    def downhill(student_logits, teacher_logits, temperature):
        return (softmax(teacher_logits / temperature) - softmax(student_logits / temperature)) / temperature

    assert_rejects("03b.3", downhill, "downhill")
