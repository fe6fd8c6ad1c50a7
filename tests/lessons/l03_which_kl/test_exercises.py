"""The checks of lesson 03 know a right answer from plausible wrong ones, and name what is wrong."""

import numpy as np

from kd_lab.classroom.diagnosis import diagnose, find_exercise

# ---- 03.1 --------------------------------------------------------------------------------------------------------


def test_forward_kl_accepts_another_right_answer():
    def with_errstate(student_logp, teacher_logp):
        p = np.exp(teacher_logp)
        with np.errstate(invalid="ignore"):
            terms = p * (teacher_logp - student_logp)
        return np.where(p == 0, 0.0, terms).sum(axis=-1)

    assert diagnose(find_exercise("03.1"), with_errstate) is None


def test_forward_kl_names_the_reversed_direction(assert_rejects):
    def reversed_kl(student_logp, teacher_logp):
        q = np.exp(student_logp)
        return (q * (student_logp - teacher_logp)).sum(-1)

    assert_rejects("03.1", reversed_kl, "reverse KL")


def test_forward_kl_names_the_cross_entropy(assert_rejects):
    def soft_labels(student_logp, teacher_logp):
        return -np.einsum("...v,...v->...", np.exp(teacher_logp), student_logp)

    assert_rejects("03.1", soft_labels, "cross-entropy")


def test_forward_kl_names_the_mean_over_the_vocabulary(assert_rejects):
    def mean_of_terms(student_logp, teacher_logp):
        return (np.exp(teacher_logp) * (teacher_logp - student_logp)).mean(-1)

    assert_rejects("03.1", mean_of_terms, "averaged over the vocabulary")


def test_forward_kl_names_the_nan_of_a_token_never_said(assert_rejects):
    def unguarded(student_logp, teacher_logp):
        with np.errstate(invalid="ignore"):
            return (np.exp(teacher_logp) * (teacher_logp - student_logp)).sum(-1)

    assert_rejects("03.1", unguarded, "NaN")


def test_forward_kl_names_a_small_number_inside_the_logarithm(assert_rejects):
    def padded(student_logp, teacher_logp):
        p, q = np.exp(teacher_logp), np.exp(student_logp)
        return (p * np.log((p + 1e-12) / (q + 1e-12))).sum(-1)

    assert_rejects("03.1", padded, "infinite there")


def test_forward_kl_is_neither_nan_nor_below_zero_where_the_student_forgets_a_token(assert_rejects):
    def not_a_number(student_logp, teacher_logp):
        value = find_exercise("03.1").reference(student_logp, teacher_logp)
        return np.where(np.isinf(value), np.nan, value)

    def upside_down(student_logp, teacher_logp):
        value = find_exercise("03.1").reference(student_logp, teacher_logp)
        return np.where(np.isinf(value), -np.inf, value)

    assert_rejects("03.1", not_a_number, "neither NaN")
    assert_rejects("03.1", upside_down, "neither NaN")


def test_forward_kl_names_bits(assert_rejects):
    def in_bits(student_logp, teacher_logp):
        p, q = np.exp(teacher_logp), np.exp(student_logp)
        return (p * np.log2(p / q)).sum(-1)

    assert_rejects("03.1", in_bits, "base 2")


def test_forward_kl_names_the_sum_over_positions(assert_rejects):
    def everything_summed(student_logp, teacher_logp):
        p = np.exp(teacher_logp)
        log_ratio = np.subtract(teacher_logp, student_logp, out=np.zeros_like(p), where=p > 0)
        return (p * log_ratio).sum()

    assert_rejects("03.1", everything_summed, "positions")


# ---- 03.2 --------------------------------------------------------------------------------------------------------


def test_fit_forward_names_the_variance(assert_rejects):
    def variance_returned(x, cell, teacher_logp):
        mass = np.exp(teacher_logp) * cell
        mean = mass @ x
        return mean, mass @ x**2 - mean**2

    assert_rejects("03.2", variance_returned, "variance")


def test_fit_forward_names_the_forgotten_cell(assert_rejects):
    def density_summed(x, cell, teacher_logp):
        p = np.exp(teacher_logp)
        mean = (p * x).sum()
        return mean, np.sqrt((p * (x - mean) ** 2).sum())

    assert_rejects("03.2", density_summed, "density × width of the cell")


def test_fit_forward_names_the_peak(assert_rejects):
    def mode_seeking(x, cell, teacher_logp):
        mass = np.exp(teacher_logp) * cell
        mean = mass @ x
        return x[np.argmax(teacher_logp)], np.sqrt(mass @ (x - mean) ** 2)

    assert_rejects("03.2", mode_seeking, "peaks")


def test_fit_forward_names_unweighted_points(assert_rejects):
    def statistics_of_the_grid(x, cell, teacher_logp):
        return np.mean(x), np.std(x)

    assert_rejects("03.2", statistics_of_the_grid, "counted alike")


def test_fit_forward_accepts_a_normalised_average():
    def weighted(x, cell, teacher_logp):
        weights = np.exp(teacher_logp)
        mean = np.average(x, weights=weights)
        return float(mean), float(np.sqrt(np.average((x - mean) ** 2, weights=weights)))

    assert diagnose(find_exercise("03.2"), weighted) is None


# ---- 03.3 --------------------------------------------------------------------------------------------------------


def test_reverse_gradient_names_forward_kl(assert_rejects):
    def difference_of_probabilities(student_logp, teacher_logp):
        return np.exp(student_logp) - np.exp(teacher_logp)

    assert_rejects("03.3", difference_of_probabilities, "gradient of forward KL")


def test_reverse_gradient_names_the_missing_baseline(assert_rejects):
    def no_softmax(student_logp, teacher_logp):
        q = np.exp(student_logp)
        return q * np.log(q / np.exp(teacher_logp))

    assert_rejects("03.3", no_softmax, "sum to 0")


def test_reverse_gradient_names_the_derivative_in_q(assert_rejects):
    def in_probabilities(student_logp, teacher_logp):
        return 1 + student_logp - teacher_logp

    assert_rejects("03.3", in_probabilities, "with respect to the probabilities")


def test_reverse_gradient_names_the_sign(assert_rejects):
    def downhill(student_logp, teacher_logp):
        q, log_ratio = np.exp(student_logp), teacher_logp - student_logp
        return q * (log_ratio - (q * log_ratio).sum(-1, keepdims=True))

    assert_rejects("03.3", downhill, "downhill")


def test_reverse_gradient_is_the_gradient():
    generator = np.random.default_rng(0)
    z, p = generator.standard_normal((2, 5, 7))
    log_softmax = lambda z: z - np.log(np.exp(z).sum(-1, keepdims=True))  # noqa: E731
    reverse = lambda z: (np.exp(log_softmax(z)) * (log_softmax(z) - log_softmax(p))).sum()  # noqa: E731
    gradient = find_exercise("03.3").reference(log_softmax(z), log_softmax(p))
    for index in np.ndindex(z.shape):
        step = np.zeros_like(z)
        step[index] = 1e-6
        np.testing.assert_allclose(gradient[index], (reverse(z + step) - reverse(z - step)) / 2e-6, atol=1e-8)
