"""The checks of lesson 04 know a right kernel from plausible wrong ones, and name what is wrong."""

import pytest

from kd_lab.classroom.diagnosis import NotStarted, diagnose, find_exercise
from kd_lab.lessons.l04_fused_softmax_kl.exercises import LOAD_WITHOUT_MASK, STORE_WITHOUT_MASK
from kd_lab.lessons.l04_fused_softmax_kl.triton_or_numpy import load_block, tl, triton

forward_kl = find_exercise("04.3").reference


@triton.jit
def load_lse(row, vocabulary, temperature, BLOCK: tl.constexpr):
    """log Σ e^(logit/τ) of a row of small logits."""
    total = 0.0
    for start in range(0, vocabulary, BLOCK):
        total += tl.sum(tl.exp(load_block(row, start, vocabulary, BLOCK) / temperature), 0)
    return tl.log(total)


# ---- 04.1 -----------------------------------------------------------------------------------------------------------


def test_an_empty_kernel_is_not_started():
    @triton.jit
    def unsolved(logits, probabilities, vocabulary, BLOCK: tl.constexpr):
        """A docstring and no more."""
        ...  # noqa: PIE790  as an exercise leaves it

    with pytest.raises(NotStarted):
        diagnose(find_exercise("04.1"), unsolved)


def test_softmax_names_padding_of_zero(assert_rejects):
    @triton.jit
    def padded(logits, probabilities, vocabulary, BLOCK: tl.constexpr):
        row = tl.program_id(0) * vocabulary
        top = float("-inf")
        for start in range(0, vocabulary, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            top = tl.maximum(top, tl.max(tl.load(logits + row + columns, mask=columns < vocabulary, other=0.0), 0))
        total = 0.0
        for start in range(0, vocabulary, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            x = tl.load(logits + row + columns, mask=columns < vocabulary, other=0.0)
            total += tl.sum(tl.exp(x - top), 0)
        for start in range(0, vocabulary, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            x = tl.load(logits + row + columns, mask=columns < vocabulary, other=0.0)
            tl.store(probabilities + row + columns, tl.exp(x - top) / total, mask=columns < vocabulary)

    assert_rejects("04.1", padded, "each adds e⁰")


def test_softmax_names_a_program_that_forgets_its_row(assert_rejects):
    @triton.jit
    def first_row(logits, probabilities, vocabulary, BLOCK: tl.constexpr):
        top = float("-inf")
        for start in range(0, vocabulary, BLOCK):
            top = tl.maximum(top, tl.max(load_block(logits, start, vocabulary, BLOCK), 0))
        total = 0.0
        for start in range(0, vocabulary, BLOCK):
            total += tl.sum(tl.exp(load_block(logits, start, vocabulary, BLOCK) - top), 0)
        for start in range(0, vocabulary, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            x = load_block(logits, start, vocabulary, BLOCK)
            tl.store(probabilities + columns, tl.exp(x - top) / total, mask=columns < vocabulary)

    assert_rejects("04.1", first_row, "works on row 0")


def test_softmax_names_the_overflow(assert_rejects):
    @triton.jit
    def unshifted(logits, probabilities, vocabulary, BLOCK: tl.constexpr):
        row = tl.program_id(0) * vocabulary
        total = 0.0
        for start in range(0, vocabulary, BLOCK):
            total += tl.sum(tl.exp(load_block(logits + row, start, vocabulary, BLOCK)), 0)
        for start in range(0, vocabulary, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            x = load_block(logits + row, start, vocabulary, BLOCK)
            tl.store(probabilities + row + columns, tl.exp(x) / total, mask=columns < vocabulary)

    assert_rejects("04.1", unshifted, "exp overflows")


def test_softmax_names_a_store_without_a_mask(assert_rejects):
    @triton.jit
    def writes_everywhere(logits, probabilities, vocabulary, BLOCK: tl.constexpr):
        row = tl.program_id(0) * vocabulary
        top, total = float("-inf"), 0.0
        for start in range(0, vocabulary, BLOCK):
            top = tl.maximum(top, tl.max(load_block(logits + row, start, vocabulary, BLOCK), 0))
        for start in range(0, vocabulary, BLOCK):
            total += tl.sum(tl.exp(load_block(logits + row, start, vocabulary, BLOCK) - top), 0)
        for start in range(0, vocabulary, BLOCK):
            x = load_block(logits + row, start, vocabulary, BLOCK)
            tl.store(probabilities + row + start + tl.arange(0, BLOCK), tl.exp(x - top) / total)

    assert_rejects("04.1", writes_everywhere, STORE_WITHOUT_MASK)


def test_a_kernel_without_its_decorator_is_told_so(assert_rejects):
    def plain(logits, probabilities, vocabulary, BLOCK):
        return logits

    assert_rejects("04.1", plain, "`@triton.jit` is missing")


def test_softmax_names_a_load_without_a_mask(assert_rejects):
    @triton.jit
    def reads_everywhere(logits, probabilities, vocabulary, BLOCK: tl.constexpr):
        row = tl.program_id(0) * vocabulary
        top, total = float("-inf"), 0.0
        for start in range(0, vocabulary, BLOCK):
            top = tl.maximum(top, tl.max(tl.load(logits + row + start + tl.arange(0, BLOCK)), 0))
        for start in range(0, vocabulary, BLOCK):
            total += tl.sum(tl.exp(tl.load(logits + row + start + tl.arange(0, BLOCK)) - top), 0)
        for start in range(0, vocabulary, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            x = tl.load(logits + row + columns)
            tl.store(probabilities + row + columns, tl.exp(x - top) / total, mask=columns < vocabulary)

    assert_rejects("04.1", reads_everywhere, LOAD_WITHOUT_MASK)


def test_softmax_names_a_softmax_per_block(assert_rejects):
    @triton.jit
    def blockwise(logits, probabilities, vocabulary, BLOCK: tl.constexpr):
        row = tl.program_id(0) * vocabulary
        for start in range(0, vocabulary, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            x = load_block(logits + row, start, vocabulary, BLOCK)
            weights = tl.exp(x - tl.max(x, 0))
            tl.store(probabilities + row + columns, weights / tl.sum(weights, 0), mask=columns < vocabulary)

    assert_rejects("04.1", blockwise, "Each block is normalised by itself")


def test_a_kernel_that_breaks_is_told_its_line():
    @triton.jit
    def broken(logits, probabilities, vocabulary, BLOCK: tl.constexpr):
        row = tl.program_id(0) * vocabulary
        x = tl.load(logits + row + tl.arange(0, BLOCK), mask=tl.arange(0, BLOCK) < vocabulary)
        tl.store(probabilities + row, x.softmaxed())

    message = diagnose(find_exercise("04.1"), broken).message
    assert "AttributeError" in message
    assert "at the line `tl.store(probabilities + row, x.softmaxed())`" in message


# ---- 04.2 -----------------------------------------------------------------------------------------------------------


def test_logsumexp_names_the_sum_that_is_not_rescaled(assert_rejects):
    @triton.jit
    def stale(logits, lse, vocabulary, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        top, total = float("-inf"), 0.0
        for start in range(0, vocabulary, BLOCK):
            x = load_block(logits + n * vocabulary, start, vocabulary, BLOCK)
            top = tl.maximum(top, tl.max(x, 0))
            total += tl.sum(tl.exp(x - top), 0)
        tl.store(lse + n, top + tl.log(total))

    assert_rejects("04.2", stale, "sum is not rescaled")


def test_logsumexp_names_the_factor_taken_after_the_maximum_was_replaced(assert_rejects):
    @triton.jit
    def too_late(logits, lse, vocabulary, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        top, total = float("-inf"), 0.0
        for start in range(0, vocabulary, BLOCK):
            x = load_block(logits + n * vocabulary, start, vocabulary, BLOCK)
            new_top = tl.maximum(top, tl.max(x, 0))
            top = new_top
            total = total * tl.exp(top - new_top) + tl.sum(tl.exp(x - new_top), 0)
        tl.store(lse + n, top + tl.log(total))

    assert_rejects("04.2", too_late, "sum is not rescaled")


def test_logsumexp_names_the_factor_that_falls_on_the_new_block(assert_rejects):
    @triton.jit
    def both(logits, lse, vocabulary, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        top, total = float("-inf"), 0.0
        for start in range(0, vocabulary, BLOCK):
            x = load_block(logits + n * vocabulary, start, vocabulary, BLOCK)
            new_top = tl.maximum(top, tl.max(x, 0))
            total += tl.sum(tl.exp(x - new_top), 0)
            total *= tl.exp(top - new_top)
            top = new_top
        tl.store(lse + n, top + tl.log(total))

    assert_rejects("04.2", both, "falls on the new block")


def test_logsumexp_names_a_maximum_that_starts_at_zero(assert_rejects):
    @triton.jit
    def never_below_zero(logits, lse, vocabulary, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        top, total = 0.0, 0.0
        for start in range(0, vocabulary, BLOCK):
            x = load_block(logits + n * vocabulary, start, vocabulary, BLOCK)
            new_top = tl.maximum(top, tl.max(x, 0))
            total = total * tl.exp(top - new_top) + tl.sum(tl.exp(x - new_top), 0)
            top = new_top
        tl.store(lse + n, top + tl.log(total))

    assert_rejects("04.2", never_below_zero, "starts at 0")


def test_logsumexp_names_the_overflow_without_a_maximum(assert_rejects):
    @triton.jit
    def bare(logits, lse, vocabulary, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        total = 0.0
        for start in range(0, vocabulary, BLOCK):
            total += tl.sum(tl.exp(load_block(logits + n * vocabulary, start, vocabulary, BLOCK)), 0)
        tl.store(lse + n, tl.log(total))

    assert_rejects("04.2", bare, "exp overflows")


def test_logsumexp_names_the_maximum_that_never_comes_back(assert_rejects):
    @triton.jit
    def relative(logits, lse, vocabulary, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        top, total = float("-inf"), 0.0
        for start in range(0, vocabulary, BLOCK):
            x = load_block(logits + n * vocabulary, start, vocabulary, BLOCK)
            new_top = tl.maximum(top, tl.max(x, 0))
            total = total * tl.exp(top - new_top) + tl.sum(tl.exp(x - new_top), 0)
            top = new_top
        tl.store(lse + n, tl.log(total))

    assert_rejects("04.2", relative, "come back outside")


def test_logsumexp_names_the_second_visit(assert_rejects):
    @triton.jit
    def twice(logits, lse, vocabulary, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        top, total = float("-inf"), 0.0
        for start in range(0, vocabulary, BLOCK):
            top = tl.maximum(top, tl.max(load_block(logits + n * vocabulary, start, vocabulary, BLOCK), 0))
        for start in range(0, vocabulary, BLOCK):
            total += tl.sum(tl.exp(load_block(logits + n * vocabulary, start, vocabulary, BLOCK) - top), 0)
        tl.store(lse + n, top + tl.log(total))

    assert_rejects("04.2", twice, "more than once")


# ---- 04.3 -----------------------------------------------------------------------------------------------------------


def test_forward_kl_names_the_accumulator_that_is_not_rescaled(assert_rejects):
    @triton.jit
    def stale(student, teacher, kl, student_lse, teacher_lse, vocabulary, temperature, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        top_s, top_t, total_s, total_t, excess = float("-inf"), float("-inf"), 0.0, 0.0, 0.0
        for start in range(0, vocabulary, BLOCK):
            x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature
            y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature
            new_s, new_t = tl.maximum(top_s, tl.max(x, 0)), tl.maximum(top_t, tl.max(y, 0))
            total_s = total_s * tl.exp(top_s - new_s) + tl.sum(tl.exp(x - new_s), 0)
            total_t = total_t * tl.exp(top_t - new_t) + tl.sum(tl.exp(y - new_t), 0)
            weight = tl.exp(y - new_t)
            excess += tl.sum(weight * tl.where(weight > 0, y - x, 0.0), 0)
            top_s, top_t = new_s, new_t
        lse_s, lse_t = top_s + tl.log(total_s), top_t + tl.log(total_t)
        tl.store(student_lse + n, lse_s)
        tl.store(teacher_lse + n, lse_t)
        tl.store(kl + n, excess / total_t - lse_t + lse_s)

    assert_rejects("04.3", stale, "You rescaled the sum and not the KL accumulator")


def test_forward_kl_names_the_reversed_direction(assert_rejects):
    @triton.jit
    def reversed_kl(student, teacher, kl, student_lse, teacher_lse, vocabulary, temperature, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        top_s, top_t, total_s, total_t, excess = float("-inf"), float("-inf"), 0.0, 0.0, 0.0
        for start in range(0, vocabulary, BLOCK):
            x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature
            y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature
            new_s, new_t = tl.maximum(top_s, tl.max(x, 0)), tl.maximum(top_t, tl.max(y, 0))
            total_t = total_t * tl.exp(top_t - new_t) + tl.sum(tl.exp(y - new_t), 0)
            weight, shrink = tl.exp(x - new_s), tl.exp(top_s - new_s)
            total_s = total_s * shrink + tl.sum(weight, 0)
            excess = excess * shrink + tl.sum(weight * tl.where(weight > 0, x - y, 0.0), 0)
            top_s, top_t = new_s, new_t
        lse_s, lse_t = top_s + tl.log(total_s), top_t + tl.log(total_t)
        tl.store(student_lse + n, lse_s)
        tl.store(teacher_lse + n, lse_t)
        tl.store(kl + n, excess / total_s - (lse_s - lse_t))

    assert_rejects("04.3", reversed_kl, "reverse KL")


def test_forward_kl_names_the_nan_beyond_the_row(assert_rejects):
    @triton.jit
    def unguarded(student, teacher, kl, student_lse, teacher_lse, vocabulary, temperature, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        top_s, top_t, total_s, total_t, excess = float("-inf"), float("-inf"), 0.0, 0.0, 0.0
        for start in range(0, vocabulary, BLOCK):
            x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature
            y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature
            new_s, new_t = tl.maximum(top_s, tl.max(x, 0)), tl.maximum(top_t, tl.max(y, 0))
            shrink = tl.exp(top_t - new_t)
            total_s = total_s * tl.exp(top_s - new_s) + tl.sum(tl.exp(x - new_s), 0)
            total_t = total_t * shrink + tl.sum(tl.exp(y - new_t), 0)
            excess = excess * shrink + tl.sum(tl.exp(y - new_t) * (y - x), 0)
            top_s, top_t = new_s, new_t
        lse_s, lse_t = top_s + tl.log(total_s), top_t + tl.log(total_t)
        tl.store(student_lse + n, lse_s)
        tl.store(teacher_lse + n, lse_t)
        tl.store(kl + n, excess / total_t - (lse_t - lse_s))

    assert_rejects("04.3", unguarded, "NaN from the lanes beyond the row")


def test_forward_kl_names_the_missing_temperature(assert_rejects):
    @triton.jit
    def cold(student, teacher, kl, student_lse, teacher_lse, vocabulary, temperature, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        top_s, top_t, total_s, total_t, excess = float("-inf"), float("-inf"), 0.0, 0.0, 0.0
        for start in range(0, vocabulary, BLOCK):
            x = load_block(student + n * vocabulary, start, vocabulary, BLOCK)
            y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK)
            new_s, new_t = tl.maximum(top_s, tl.max(x, 0)), tl.maximum(top_t, tl.max(y, 0))
            shrink, weight = tl.exp(top_t - new_t), tl.exp(y - new_t)
            total_s = total_s * tl.exp(top_s - new_s) + tl.sum(tl.exp(x - new_s), 0)
            total_t = total_t * shrink + tl.sum(weight, 0)
            excess = excess * shrink + tl.sum(weight * tl.where(weight > 0, y - x, 0.0), 0)
            top_s, top_t = new_s, new_t
        lse_s, lse_t = top_s + tl.log(total_s), top_t + tl.log(total_t)
        tl.store(student_lse + n, lse_s)
        tl.store(teacher_lse + n, lse_t)
        tl.store(kl + n, excess / total_t - (lse_t - lse_s))

    assert_rejects("04.3", cold, "τ is not used")


def test_forward_kl_names_normalisers_that_are_exchanged(assert_rejects):
    @triton.jit
    def crossed(student, teacher, kl, student_lse, teacher_lse, vocabulary, temperature, BLOCK: tl.constexpr):
        forward_kl(student, teacher, kl, teacher_lse, student_lse, vocabulary, temperature, BLOCK)

    assert_rejects("04.3", crossed, "The two lse are exchanged")


def test_forward_kl_names_normalisers_that_are_not_stored(assert_rejects):
    @triton.jit
    def value_only(student, teacher, kl, student_lse, teacher_lse, vocabulary, temperature, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        total = 0.0
        lse_s = load_lse(student + n * vocabulary, vocabulary, temperature, BLOCK)
        lse_t = load_lse(teacher + n * vocabulary, vocabulary, temperature, BLOCK)
        for start in range(0, vocabulary, BLOCK):
            x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature - lse_s
            y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature - lse_t
            total += tl.sum(tl.exp(y) * tl.where(y > float("-inf"), y - x, 0.0), 0)
        tl.store(kl + n, total)

    assert_rejects("04.3", value_only, "The two lse are missing")


# ---- 04.4 -----------------------------------------------------------------------------------------------------------


def test_backward_names_the_sign(assert_rejects):
    @triton.jit
    def downhill(
        student, teacher, student_lse, teacher_lse, upstream, gradient, vocabulary, temperature, BLOCK: tl.constexpr
    ):
        n = tl.program_id(0)
        for start in range(0, vocabulary, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            q = tl.exp(
                load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(student_lse + n)
            )
            p = tl.exp(
                load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(teacher_lse + n)
            )
            slope = tl.load(upstream + n) * (p - q) / temperature
            tl.store(gradient + n * vocabulary + columns, slope, mask=columns < vocabulary)

    assert_rejects("04.4", downhill, "p − q")


def test_backward_names_the_missing_chain_rule(assert_rejects):
    @triton.jit
    def unsoftened(
        student, teacher, student_lse, teacher_lse, upstream, gradient, vocabulary, temperature, BLOCK: tl.constexpr
    ):
        n = tl.program_id(0)
        for start in range(0, vocabulary, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            q = tl.exp(
                load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(student_lse + n)
            )
            p = tl.exp(
                load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(teacher_lse + n)
            )
            slope = tl.load(upstream + n) * (q - p)
            tl.store(gradient + n * vocabulary + columns, slope, mask=columns < vocabulary)

    assert_rejects("04.4", unsoftened, "1/τ is missing")


def test_backward_names_the_upstream_that_is_ignored(assert_rejects):
    @triton.jit
    def alone(
        student, teacher, student_lse, teacher_lse, upstream, gradient, vocabulary, temperature, BLOCK: tl.constexpr
    ):
        n = tl.program_id(0)
        for start in range(0, vocabulary, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            q = tl.exp(
                load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(student_lse + n)
            )
            p = tl.exp(
                load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(teacher_lse + n)
            )
            tl.store(gradient + n * vocabulary + columns, (q - p) / temperature, mask=columns < vocabulary)

    assert_rejects("04.4", alone, "What comes from above is ignored")


def test_backward_names_the_store_without_a_mask(assert_rejects):
    @triton.jit
    def everywhere(
        student, teacher, student_lse, teacher_lse, upstream, gradient, vocabulary, temperature, BLOCK: tl.constexpr
    ):
        n = tl.program_id(0)
        for start in range(0, vocabulary, BLOCK):
            columns = start + tl.arange(0, BLOCK)
            q = tl.exp(
                load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(student_lse + n)
            )
            p = tl.exp(
                load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(teacher_lse + n)
            )
            tl.store(gradient + n * vocabulary + columns, tl.load(upstream + n) * (q - p) / temperature)

    assert_rejects("04.4", everywhere, "writes beyond the end")


# ---- 04.5 -----------------------------------------------------------------------------------------------------------


def test_steady_kl_names_the_plain_sum(assert_rejects):
    @triton.jit
    def plain(student, teacher, student_lse, teacher_lse, kl, vocabulary, temperature, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        total = 0.0
        for start in range(0, vocabulary, BLOCK):
            x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(student_lse + n)
            y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(teacher_lse + n)
            total += tl.sum(tl.exp(y) * tl.where(y > float("-inf"), y - x, 0.0), 0)
        tl.store(kl + n, total)

    assert_rejects("04.5", plain, "This is Σ p·d")


def test_steady_kl_names_the_signs(assert_rejects):
    @triton.jit
    def doubled(student, teacher, student_lse, teacher_lse, kl, vocabulary, temperature, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        total = 0.0
        for start in range(0, vocabulary, BLOCK):
            x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(student_lse + n)
            y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(teacher_lse + n)
            p, q = tl.exp(y), tl.exp(x)
            total += tl.sum(tl.where(p > 0, p * (y - x), 0.0) + p - q, 0)
        tl.store(kl + n, total)

    assert_rejects("04.5", doubled, "signs of p and q")


def test_steady_kl_names_the_nan_beyond_the_row(assert_rejects):
    @triton.jit
    def unguarded(student, teacher, student_lse, teacher_lse, kl, vocabulary, temperature, BLOCK: tl.constexpr):
        n = tl.program_id(0)
        total = 0.0
        for start in range(0, vocabulary, BLOCK):
            x = load_block(student + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(student_lse + n)
            y = load_block(teacher + n * vocabulary, start, vocabulary, BLOCK) / temperature - tl.load(teacher_lse + n)
            total += tl.sum(tl.exp(y) * (y - x) - tl.exp(y) + tl.exp(x), 0)
        tl.store(kl + n, total)

    assert_rejects("04.5", unguarded, "NaN from the lanes beyond the row")
