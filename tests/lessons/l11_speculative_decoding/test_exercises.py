"""Wrong answers to the exercises of lesson 11, written as a learner would write them."""

import numpy as np

from kd_lab.classroom.diagnosis import diagnose, find_exercise


def walk(guesses, draft_p, target_p, chance, replace):
    """A right test, with a replacement of the learner's own."""
    for i in range(len(guesses)):
        x = guesses[i]
        if not chance[i] < target_p[i][x] / draft_p[i][x]:
            return i, replace(target_p[i], draft_p[i])
    return len(guesses), target_p[len(guesses)]


def test_verify_names_the_second_draw_from_the_target(assert_rejects):
    def from_target(guesses, draft_p, target_p, chance):
        return walk(guesses, draft_p, target_p, chance, lambda p, q: p)

    assert_rejects("11.1", from_target, "replaced from p itself")


def test_verify_names_a_residual_that_is_not_normalised(assert_rejects):
    def raw(guesses, draft_p, target_p, chance):
        return walk(guesses, draft_p, target_p, chance, lambda p, q: (p - q).clip(0))

    assert_rejects("11.1", raw, "Divide by that sum")


def test_verify_names_the_residual_of_the_draft(assert_rejects):
    def turned(guesses, draft_p, target_p, chance):
        return walk(guesses, draft_p, target_p, chance, lambda p, q: (q - p).clip(0) / (q - p).clip(0).sum())

    assert_rejects("11.1", turned, "too often")


def test_verify_names_guesses_that_are_counted_behind_a_fall(assert_rejects):
    def counted(guesses, draft_p, target_p, chance):
        places = np.arange(len(guesses))
        stands = chance < target_p[places, guesses] / draft_p[places, guesses]
        if stands.all():
            return len(guesses), target_p[-1]
        first = int(np.argmin(stands))
        rest = np.maximum(target_p[first] - draft_p[first], 0)
        return int(stands.sum()), rest / rest.sum()

    assert_rejects("11.1", counted, "stop there")


def test_verify_names_a_ratio_upside_down(assert_rejects):
    def upside_down(guesses, draft_p, target_p, chance):
        for i, x in enumerate(guesses):
            if chance[i] > draft_p[i, x] / target_p[i, x]:
                rest = np.maximum(target_p[i] - draft_p[i], 0)
                return i, rest / rest.sum()
        return len(guesses), target_p[-1]

    assert_rejects("11.1", upside_down, "its ratio is p/q")


def test_verify_names_a_test_without_chance(assert_rejects):
    def strict(guesses, draft_p, target_p, chance):
        for i, x in enumerate(guesses):
            if draft_p[i, x] > target_p[i, x]:
                rest = np.maximum(target_p[i] - draft_p[i], 0)
                return i, rest / rest.sum()
        return len(guesses), target_p[-1]

    assert_rejects("11.1", strict, "that is what u is for")


def test_gradient_names_total_variation(assert_rejects):
    def of_total_variation(student_logp, teacher_logp):
        q, p = np.exp(student_logp), np.exp(teacher_logp)
        sign = np.sign(q - p)
        return q * (sign - (q * sign).sum(-1, keepdims=True)) / 2

    assert_rejects("11.2", of_total_variation, "The logarithm brings a factor 1/α")


def test_gradient_names_the_way_up(assert_rejects):
    def upwards(student_logp, teacher_logp):
        q, p = np.exp(student_logp), np.exp(teacher_logp)
        g = np.where(q < p, 1.0, 0.0)
        return q * (g - (q * g).sum(-1, keepdims=True)) / np.minimum(p, q).sum(-1, keepdims=True)

    assert_rejects("11.2", upwards, "The sign is reversed")


def test_gradient_names_the_missing_softmax(assert_rejects):
    def without(student_logp, teacher_logp):
        q, p = np.exp(student_logp), np.exp(teacher_logp)
        return -q * (q < p) / np.minimum(p, q).sum(-1, keepdims=True)

    assert_rejects("11.2", without, "do not")


def test_gradient_names_the_overlap_as_a_target(assert_rejects):
    def copied(student_logp, teacher_logp):
        q = np.exp(student_logp)
        overlap = np.minimum(q, np.exp(teacher_logp))
        return q - overlap / overlap.sum(-1, keepdims=True)

    assert_rejects("11.2", copied, "cross-entropy with the overlap")


def search(acceptance, cost, most, tokens, seconds, first=0):
    found = [(tokens(acceptance, g) / seconds(cost, g) if g else 1.0, g) for g in range(first, most + 1)]
    speed = max(one for one, _ in found)
    return next(g for one, g in found if one == speed), speed


def geometric(alpha, gamma):
    return gamma + 1 if alpha == 1 else (1 - alpha ** (gamma + 1)) / (1 - alpha)


def test_best_gamma_takes_the_fraction_and_its_limit():
    def by_fraction(acceptance, cost, most):
        return search(acceptance, cost, most, geometric, lambda c, g: 1 + g * c)

    assert diagnose(find_exercise("11.3"), by_fraction) is None


def test_best_gamma_names_the_token_that_the_target_adds(assert_rejects):
    def guesses_alone(acceptance, cost, most):
        return search(acceptance, cost, most, lambda a, g: geometric(a, g) - 1, lambda c, g: 1 + g * c)

    assert_rejects("11.3", guesses_alone, "one token of its own")


def test_best_gamma_names_guesses_that_stand_by_themselves(assert_rejects):
    def linear(acceptance, cost, most):
        return search(acceptance, cost, most, lambda a, g: 1 + g * a, lambda c, g: 1 + g * c)

    assert_rejects("11.3", linear, "if all before it stand")


def test_best_gamma_names_rounds_that_are_lost_whole(assert_rejects):
    def all_or_nothing(acceptance, cost, most):
        return search(acceptance, cost, most, lambda a, g: 1 + g * a**g, lambda c, g: 1 + g * c)

    assert_rejects("11.3", all_or_nothing, "before the first that falls are kept")


def test_best_gamma_names_a_target_that_is_called_for_each_guess(assert_rejects):
    def operations(acceptance, cost, most):
        return search(acceptance, cost, most, geometric, lambda c, g: 1 + g + g * c)

    assert_rejects("11.3", operations, "in one call")


def test_best_gamma_names_a_draft_that_is_paid_once(assert_rejects):
    def once(acceptance, cost, most):
        return search(acceptance, cost, most, geometric, lambda c, g: 1 + c)

    assert_rejects("11.3", once, "γ calls")


def test_best_gamma_names_a_search_without_the_target_alone(assert_rejects):
    def from_one(acceptance, cost, most):
        return search(acceptance, cost, most, geometric, lambda c, g: 1 + g * c, first=1)

    assert_rejects("11.3", from_one, "not among the choices")
