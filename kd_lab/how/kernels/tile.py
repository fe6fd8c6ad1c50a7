# ruff: noqa: RET505, RUF005
"""The mathematics of the kernels: the share of one tile in its row's statistics, loss and gradient.

Notation: s, t are raw logits of student and teacher, x = s/τ, y = t/τ, q = softmax(x), p = softmax(y),
m = βp + (1−β)q and d = log(p/q) = (y − x) − gap with gap = lse(y) − lse(x). Every function here runs on a GPU, one
program per row, in fp32. Wherever 0·∞ stands for 0 the guard asks whether the probability equals zero, and not whether
it exceeds zero: a NaN is neither, and has to reach the loss and the gradient.

`no_type_check` keeps the shape checker of the tests from wrapping the source that Triton has to read. Where a
compile-time choice returns, the `else` after it is needed: Triton would compile the lines that follow as well; and it
adds tuples, but does not unpack them inside another.
"""

from typing import no_type_check

import triton
import triton.language as tl


@triton.jit
@no_type_check
def phi(d):
    """φ(d) = e^−d − 1 + d for |d| < ½, by its series: the formula itself cancels to nothing as d → 0."""
    tail = 1 / 120 - d * (1 / 720 - d * (1 / 5040 - d * (1 / 40320)))
    return d * d * (1 / 2 - d * (1 / 6 - d * (1 / 24 - d * tail)))


@triton.jit
@no_type_check
def surplus(p, q, d):
    """p·d − p + q for d = log(p/q), a token's term of Σ p·log(p/q). Each is p·φ(d) ≥ 0, and q where p = 0."""
    direct = q - p + tl.where(p == 0, 0.0, p * d)
    return tl.where(tl.abs(d) < 0.5, p * phi(d), direct)


@triton.jit
@no_type_check
def difference(p, q, d):
    """p − q for d = log(p/q), with all its digits where p ≈ q: p − q = p·(1 − e^−d) = p·(d − φ(d))."""
    return tl.where(tl.abs(d) < 0.5, p * (d - phi(d)), p - q)


@triton.jit
@no_type_check
def log1p(z):
    """log(1 + z) for −½ ≤ z ≤ 1, as 2·artanh(r), r = z/(2 + z), |r| ≤ ⅓; the logarithm itself loses a small z."""
    r = z / (2 + z)
    rr = r * r
    tail = 1 / 9 + rr * (1 / 11 + rr * (1 / 13 + rr * (1 / 15)))
    return 2 * r * (1 + rr * (1 / 3 + rr * (1 / 5 + rr * (1 / 7 + rr * tail))))


# ---- Tiles that wait in registers for a later sweep --------------------------------------------------------------


@triton.jit
@no_type_check
def hold(student, teacher, vocabulary):
    """Two tiles, put away as they were loaded; a student's and a teacher's 16 bits share a register.

    The choice by V > 0, which always holds, is one that the compiler cannot see through. Without it the compiler would
    keep the intermediate results of the first sweep, several fp32 numbers per token, and the registers would spill.
    """
    if student.dtype.primitive_bitwidth == 16 and teacher.dtype.primitive_bitwidth == 16:
        high = student.to(tl.uint16, bitcast=True).to(tl.uint32) << 16
        low = teacher.to(tl.uint16, bitcast=True).to(tl.uint32)
        return tl.where(vocabulary > 0, high | low, 0)
    else:
        return tl.where(vocabulary > 0, student, 0.0), tl.where(vocabulary > 0, teacher, 0.0)


@triton.jit
@no_type_check
def release(held, student_dtype: tl.constexpr, teacher_dtype: tl.constexpr):
    """The student's and the teacher's tile that `hold` put away."""
    if student_dtype.primitive_bitwidth == 16 and teacher_dtype.primitive_bitwidth == 16:
        student = (held >> 16).to(tl.uint16).to(student_dtype, bitcast=True)
        teacher = held.to(tl.uint16).to(teacher_dtype, bitcast=True)
        return student, teacher
    else:
        return held


# ---- The statistics: one pass, after which both softmaxes are normalised and both KLs are known ---------------------


@triton.jit
@no_type_check
def nothing_yet():
    """The accumulators before the first tile: top, total, pivot, excess, other_top, other_total, unsoftened."""
    zero = tl.full([], 0.0, tl.float32)
    lowest = tl.full([], float("-inf"), tl.float32)
    return lowest, zero, zero, zero, lowest, zero, zero


@triton.jit
@no_type_check
def absorb(state, base, other, inverse_temperature):
    """Take one tile into the accumulators of KL(base‖other). With y = base/τ, x = other/τ, δ = y − x, over all tiles
    so far:

        top    = max base          total       = Σ e^(y − top/τ)
        other_top = max other      other_total = Σ e^(x − other_top/τ)
        pivot  = E δ, the mean of δ under the weights e^y
        excess = Σ e^(y − top/τ)·φ(δ − pivot)

    Why these: KL = E δ − (lse(y) − lse(x)) is a difference of two numbers of the size of the logits, and Σ e^x / Σ e^y
    is itself the mean E e^−δ, so

        KL = E δ + log E e^−δ = log E e^−(δ − pivot) = log(1 + E φ(δ − pivot)),    since E(δ − pivot) = 0.

    Nothing cancels any more, and no term is negative. When the pivot moves by h, the sums move with it:
    Σ φ(δ − pivot − h) = e^h·Σ φ(δ − pivot) + (e^h − 1 − h)·Σ 1. This is Welford's update of a variance, for KL, whose
    second order is that variance.

    While the base has no weight at all, its logits −inf or so far below this tile that their powers vanish, there is
    no mean yet. The pivot then starts anew, without the digits that a fill of −1e9 would take from it, and all that is
    left of the tiles before is the other side's mass: φ for no weight is e^−(δ − pivot), and its sum that mass.
    """
    top, total, pivot, excess, other_top, other_total, _ = state
    new_top = tl.maximum(top, tl.max(base, 0))
    new_other_top = tl.maximum(other_top, tl.max(other, 0))
    anchor = tl.where(new_top == float("-inf"), 0.0, new_top)  # a row that began with −inf has no maximum yet
    other_anchor = tl.where(new_other_top == float("-inf"), 0.0, new_other_top)
    shrink = tl.exp((top - anchor) * inverse_temperature)
    fresh = total * shrink == 0  # the tiles before have no weight, or none any more
    pivot = tl.where(fresh, 0.0, pivot)

    weight = tl.exp((base - anchor) * inverse_temperature)
    other_weight = tl.exp((other - other_anchor) * inverse_temperature)
    delta = tl.where(base == other, 0.0, base - other) * inverse_temperature  # −inf in both is no difference
    new_total = total * shrink + tl.sum(weight, 0)
    new_other_total = other_total * tl.exp((other_top - other_anchor) * inverse_temperature) + tl.sum(other_weight, 0)

    drift = tl.sum(tl.where(weight == 0, 0.0, weight * (delta - pivot)), 0)  # without weight, delta may be infinite
    shift = drift / tl.where(new_total == 0, 1.0, new_total)
    new_pivot = tl.where(pivot == float("inf"), pivot, pivot + shift)  # an infinite KL stays infinite

    moved = tl.exp(shift)
    carried = shrink * (moved * excess + surplus(total, moved * total, -shift))
    # e^(x − top/τ + pivot), on the scale of `weight`. Where it overflows KL is past 80, and `finish` does without.
    reached = other_weight * tl.exp((other_anchor - anchor) * inverse_temperature + new_pivot)
    before = other_total * tl.exp((other_top - anchor) * inverse_temperature + new_pivot)
    new_excess = tl.where(fresh, before, carried) + tl.sum(surplus(weight, reached, delta - new_pivot), 0)
    return new_top, new_total, new_pivot, new_excess, new_other_top, new_other_total


@triton.jit
@no_type_check
def finish(state, inverse_temperature):
    """Accumulators to lse(y), lse(x), gap = lse(y) − lse(x), and KL(base‖other) = pivot − gap.

    Up to KL = ln 2 the gap follows from KL and not the other way round: it is then exact to the last digits of δ,
    where two logsumexps in fp32 differ by a few units in the last place of the logits. A total is at least 1, or 0 in a
    row of −inf alone: such a row is no distribution, and all that follows from it is NaN.
    """
    top, total, pivot, excess, other_top, other_total, _ = state
    base_lse = top * inverse_temperature + tl.log(tl.where(total == 0, float("nan"), total))
    other_lse = other_top * inverse_temperature + tl.log(tl.where(other_total == 0, float("nan"), other_total))
    mean_excess = excess / total
    near = mean_excess < 1.0
    far = pivot - (base_lse - other_lse)
    kl = tl.where(near, log1p(mean_excess), tl.where(far < 0, 0.0, far))
    gap = tl.where(near, pivot - kl, base_lse - other_lse)
    return base_lse, other_lse, gap, kl


@triton.jit
@no_type_check
def absorb_pair(state, student, teacher, inverse_temperature, DIVERGENCE: tl.constexpr, LABELS: tl.constexpr):
    """One tile into the statistics, with the student as base for reverse KL and the teacher for all others.

    For LABELS the student's softmax is normalised at τ = 1 as well: unsoftened = Σ e^(s − max s).
    """
    student, teacher = student.to(tl.float32), teacher.to(tl.float32)
    if DIVERGENCE == "reverse_kl":
        new = absorb(state, student, teacher, inverse_temperature)
    else:
        new = absorb(state, teacher, student, inverse_temperature)
    unsoftened = state[6]
    if LABELS:
        top = student_top(new, DIVERGENCE)
        anchor = tl.where(top == float("-inf"), 0.0, top)
        unsoftened = unsoftened * tl.exp(student_top(state, DIVERGENCE) - anchor) + tl.sum(tl.exp(student - anchor), 0)
    return new + (unsoftened,)


@triton.jit
@no_type_check
def student_top(state, DIVERGENCE: tl.constexpr):
    """The student's largest logit so far."""
    if DIVERGENCE == "reverse_kl":
        return state[0]
    else:
        return state[4]


@triton.jit
@no_type_check
def finish_pair(state, inverse_temperature, DIVERGENCE: tl.constexpr):
    """lse(x), lse(y), gap = lse(y) − lse(x), and the KL whose base `absorb_pair` chose."""
    if DIVERGENCE == "reverse_kl":
        student_lse, teacher_lse, gap, kl = finish(state, inverse_temperature)
        return student_lse, teacher_lse, -gap, kl
    else:
        teacher_lse, student_lse, gap, kl = finish(state, inverse_temperature)
        return student_lse, teacher_lse, gap, kl


@triton.jit
@no_type_check
def label_terms(state, logit, DIVERGENCE: tl.constexpr):
    """lse(s), and the cross-entropy lse(s) − s[label]: from the logits first, since lse(s) has fewer digits left."""
    top = student_top(state, DIVERGENCE)
    log_total = tl.log(tl.where(state[6] == 0, float("nan"), state[6]))
    return top + log_total, (top - logit) + log_total


# ---- The loss: divergences that need both normalisers before their first term ---------------------------------------


@triton.jit
@no_type_check
def against_mixture(d, beta):
    """log(p/m), log(q/m) and (p − q)/m for m = βp + (1−β)q, from d = log(p/q) alone, so that no underflow of p or q
    reaches a logarithm. In units of the larger of p and q, the smaller is e^−|d|, and m lies between them.

    The logarithm is that of m over its nearer side, and the other follows by |d|: the shorter way from the longer would
    cancel.
    """
    distance = tl.abs(d)
    smaller = tl.exp(-distance)
    missing = difference(1.0, smaller, distance)  # how far the smaller stays below the larger
    share = tl.where(d >= 0, beta, 1 - beta)  # of the larger in the mixture
    mixture = share + (1 - share) * smaller
    at_smaller = share < (1 - share) * smaller
    z = tl.where(at_smaller, share * missing / smaller, -(1 - share) * missing)
    log_ratio = tl.where(z > -0.5, log1p(z), tl.log(mixture))
    log_larger = tl.where(at_smaller, distance, 0.0) - log_ratio
    log_smaller = tl.where(at_smaller, 0.0, -distance) - log_ratio
    surfeit = missing / mixture
    return (
        tl.where(d >= 0, log_larger, log_smaller),
        tl.where(d >= 0, log_smaller, log_larger),
        tl.where(d >= 0, surfeit, -surfeit),
    )


@triton.jit
@no_type_check
def slope(d, beta, DIVERGENCE: tl.constexpr):
    """h(d), with which the gradient with respect to x is c·q·(h − Σ q·h); `gradient_factor` has c.

    A divergence Σ q·f(p/q) changes with q by terms that depend on p/q alone, and the softmax takes their mean away, so
    that h is known up to a constant. With u = (p − q)/m:

        reverse KL       log(q/p) = −d
        JSD              log(q/m)
        skew KL          −u, since 1 − p/m = −(1−β)·u
        skew reverse KL  log(q/m) − (1−β)·q/m + (1−β) = log(q/m) + β(1−β)·u
        total variation  ½·sign(q − p)

    The sum of skew reverse KL nearly cancels as d → 0. There q/m = 1 − βu turns it into −φ(log(m/q)) − β²·u, which
    has both terms of one sign or the first of second order.
    """
    if DIVERGENCE == "reverse_kl":
        return -d
    elif DIVERGENCE == "jsd":
        _, log_student, _ = against_mixture(d, beta)
        return log_student
    elif DIVERGENCE == "skew_kl":
        _, _, u = against_mixture(d, beta)
        return -u
    elif DIVERGENCE == "skew_reverse_kl":
        _, log_student, u = against_mixture(d, beta)
        return tl.where(
            tl.abs(log_student) < 0.5, -phi(-log_student) - beta * beta * u, log_student + beta * (1 - beta) * u
        )
    else:
        return tl.where(d < 0, 0.5, tl.where(d > 0, -0.5, d))  # the last d is 0 or NaN


@triton.jit
@no_type_check
def loss_terms(p, q, d, beta, DIVERGENCE: tl.constexpr):
    """Each token's term of the loss, of the form p·log(p/m) − p + m, whose extra terms sum to 0: never below 0."""
    if DIVERGENCE == "total_variation":
        return 0.5 * tl.abs(difference(p, q, d))
    else:
        log_teacher, log_student, _ = against_mixture(d, beta)
        m = beta * p + (1 - beta) * q
        if DIVERGENCE == "jsd":
            return beta * surplus(p, m, log_teacher) + (1 - beta) * surplus(q, m, log_student)
        elif DIVERGENCE == "skew_kl":
            return surplus(p, m, log_teacher)
        else:
            return surplus(q, m, log_student)


@triton.jit
@no_type_check
def loss_sums(student, teacher, state, gap, inverse_temperature, beta, DIVERGENCE: tl.constexpr):
    """One tile's part of the loss and of Σ q·h, the mean slope that the gradient subtracts.

    p and q come from the tops and totals in `state` and not from the logsumexps: those are near 16 in a vocabulary of
    128 K, where the rounding of fp32 is a share of 1e-6 of every p, and so of the loss.
    """
    student, teacher = student.to(tl.float32), teacher.to(tl.float32)
    teacher_top, teacher_total, _, _, student_top, student_total, _ = state
    q = tl.exp((student - student_top) * inverse_temperature) * (1 / student_total)
    p = tl.exp((teacher - teacher_top) * inverse_temperature) * (1 / teacher_total)
    d = tl.where(teacher == student, 0.0, teacher - student) * inverse_temperature - gap
    mean_slope = tl.where(q == 0, 0.0, q * slope(d, beta, DIVERGENCE))  # h may be −inf where q = 0
    return tl.sum(loss_terms(p, q, d, beta, DIVERGENCE), 0), tl.sum(mean_slope, 0)


# ---- The gradient ---------------------------------------------------------------------------------------------------


@triton.jit
@no_type_check
def gradient_factor(inverse_temperature, beta, scale, DIVERGENCE: tl.constexpr):
    """c/τ times the loss's own scale (τ² or 1): the factor on q·(h − Σ q·h) in the gradient with respect to s."""
    if DIVERGENCE == "jsd":
        return scale * inverse_temperature * (1 - beta)
    elif DIVERGENCE == "skew_kl":
        return scale * inverse_temperature * ((1 - beta) * (1 - beta))
    else:
        return scale * inverse_temperature


@triton.jit
@no_type_check
def gradient_tile(
    student, teacher, columns, numbers, inverse_temperature, beta, DIVERGENCE: tl.constexpr, LABELS: tl.constexpr
):  # fmt: skip
    """One tile of the gradient. `numbers` are those of the row: lse(x), gap, Σ q·h (for forward KL, whose gradient is
    q − p and needs no mean, lse(y)), the divergence's factor; and for LABELS, whose gradient is softmax(s) − 1[label],
    lse(s), the label and the factor of the cross-entropy.
    """
    student_lse, gap, constant, factor, label_lse, label, label_factor = numbers
    student, teacher = student.to(tl.float32), teacher.to(tl.float32)
    q = tl.exp(student * inverse_temperature - student_lse)
    d = tl.where(teacher == student, 0.0, teacher - student) * inverse_temperature - gap
    if DIVERGENCE == "forward_kl":
        gradient = -factor * difference(tl.exp(teacher * inverse_temperature - constant), q, d)
    else:
        gradient = factor * q * (tl.where(q == 0, 0.0, slope(d, beta, DIVERGENCE)) - constant)
    if LABELS:
        gradient += label_factor * (tl.exp(student - label_lse) - tl.where(columns == label, 1.0, 0.0))
    return gradient
