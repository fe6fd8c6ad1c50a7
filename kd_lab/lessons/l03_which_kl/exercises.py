"""Exercises of lesson 03: reference solutions in NumPy, and the mistakes that their checks name."""

import math

import numpy as np

from kd_lab.classroom.answers import logs, quiet
from kd_lab.classroom.diagnosis import Case, Exercise, Misconception, Mistake


def forward_kl(student_logp, teacher_logp):
    """KL(p‖q) in nats at each position: [..., V], [..., V] -> [...]. log 0 is -inf."""
    p = np.exp(teacher_logp)
    # What the teacher never says adds nothing: 0 · log 0 counts as 0, though floating point calls it NaN.
    log_ratio = np.subtract(teacher_logp, student_logp, out=np.zeros_like(p), where=p > 0)
    return (p * log_ratio).sum(-1)


def fit_forward(x, cell, teacher_logp):
    """Mean and width (standard deviation) of the Gaussian with the least forward KL: [N], float, [N] -> two floats."""
    mass = np.exp(teacher_logp) * cell  # a density is probability per unit of x; times the cell it is a probability
    mean = (mass * x).sum()
    # Spread within the modes and between them alike: both are distance from the one mean.
    return mean, np.sqrt((mass * (x - mean) ** 2).sum())


def reverse_kl_gradient(student_logp, teacher_logp):
    """Gradient of KL(q‖p) with respect to the student's logits: [..., V], [..., V] -> [..., V]."""
    q = np.exp(student_logp)
    log_ratio = student_logp - teacher_logp
    # Descent lowers only tokens whose log-ratio exceeds the student's own average, which is the reverse KL.
    return q * (log_ratio - (q * log_ratio).sum(-1, keepdims=True))


def never_said_by_the_student(candidate):
    """Forward KL has no bound: a small number inside the logarithm would give it one."""
    student_logp, teacher_logp = logs([1.0, 0.0]), logs([0.5, 0.5])
    with np.errstate(all="ignore"):
        got = np.asarray(candidate(student_logp, teacher_logp), dtype=float)
    if np.isfinite(got).all():
        raise Misconception(
            "The student gives probability 0 to a token that the teacher says, and the answer is finite. A small "
            "number inside the logarithm, a clip, or `nan_to_num` does that, and which number comes out depends on it. "
            "Forward KL is infinite there, and rightly so.",
            ("case: p = (½, ½), q = (1, 0)", f"your function gives {got:.4g}", "expected inf"),
        )
    if not np.isposinf(got).all():
        raise Misconception(
            "The student gives probability 0 to a token that the teacher says. There forward KL is +∞, neither NaN nor "
            "−∞: a product with p > 0 needs no guard, and log(p/q) grows upwards as q → 0.",
            ("case: p = (½, ½), q = (1, 0)", f"your function gives {got:.4g}", "expected inf"),
        )


def in_single_precision(student_logp, teacher_logp):
    student_logp, teacher_logp = np.float32(student_logp), np.float32(teacher_logp)
    p = np.exp(teacher_logp)
    with np.errstate(invalid="ignore"):
        return np.where(p == 0, np.float32(0), p * (teacher_logp - student_logp)).sum(axis=-1)


def token_by_token(student_logp, teacher_logp):
    answer = np.zeros(student_logp.shape[:-1])
    for index in np.ndindex(answer.shape):
        total = 0
        for log_q, log_p in zip(student_logp[index], teacher_logp[index], strict=True):
            if log_p > -np.inf:
                total += math.exp(log_p) * (log_p - log_q)
        answer[index] = total
    return answer


def by_torch(student_logp, teacher_logp):
    import torch

    log_q, log_p = torch.as_tensor(student_logp), torch.as_tensor(teacher_logp)
    return torch.where(log_p > -math.inf, log_p.exp() * (log_p - log_q), 0.0).sum(-1).numpy()


def by_weighted_average(x, cell, teacher_logp):
    weights = np.exp(teacher_logp)
    mean = np.average(x, weights=weights)
    return mean, np.average((x - mean) ** 2, weights=weights) ** 0.5


def by_moments_in_a_loop(x, cell, teacher_logp):
    import torch

    first = second = 0
    for place, log_p in zip(x.tolist(), teacher_logp.tolist(), strict=True):
        first += math.exp(log_p) * cell * place
        second += math.exp(log_p) * cell * place**2
    return torch.tensor(first), math.sqrt(second - first**2)


def by_autograd(student_logp, teacher_logp):
    import torch

    logits = torch.tensor(student_logp, requires_grad=True)
    log_q = logits.log_softmax(-1)
    (log_q.exp() * (log_q - torch.as_tensor(teacher_logp))).sum().backward()
    return logits.grad.numpy()


def by_jacobian(student_logp, teacher_logp):
    q = np.exp(student_logp)
    jacobian = q[..., :, None] * (np.eye(q.shape[-1]) - q[..., None, :])
    return (jacobian @ (student_logp - teacher_logp + 1)[..., None])[..., 0]


def two_hills_on_a_grid(points=401, weight=0.25):
    """A line with hills of unequal weight and width, 3 apart."""
    x = np.linspace(-6, 10, points)
    density = (1 - weight) * np.exp(-0.5 * (x / 0.5) ** 2) / 0.5 + weight * np.exp(-0.5 * ((x - 3) / 1.0) ** 2)
    return x, x[1] - x[0], np.log(density / math.sqrt(2 * math.pi))


def other_hills(generator):
    """A grid and weights for a grade; the density still sums to 1 over its cells."""
    return two_hills_on_a_grid(int(generator.integers(150, 500)), float(generator.uniform(0.15, 0.45)))


def from_the_other_side(function):
    """The same function with teacher and student exchanged."""
    return lambda student_logp, teacher_logp, *more: function(teacher_logp, student_logp, *more)


THREE_TOKENS = Case("p = (½, ¼, ¼), q = (¼, ¼, ½)", lambda: (logs([0.25, 0.25, 0.5]), logs([0.5, 0.25, 0.25])))
UNEVEN = Case("p = (0.7, 0.2, 0.1), q = (0.2, 0.3, 0.5)", lambda: (logs([0.2, 0.3, 0.5]), logs([0.7, 0.2, 0.1])))
NEVER_SAID = Case("p = (½, ½, 0), q = (¼, ½, ¼)", lambda: (logs([0.25, 0.5, 0.25]), logs([0.5, 0.5, 0.0])))
NEITHER_SAYS = Case("p = (0.9, 0.1, 0), q = (0.4, 0.6, 0)", lambda: (logs([0.4, 0.6, 0.0]), logs([0.9, 0.1, 0.0])))
TWO_POSITIONS = Case(
    "two positions with five tokens each",
    lambda: (
        logs([0.1, 0.2, 0.3, 0.3, 0.1], [0.4, 0.1, 0.1, 0.2, 0.2]),
        logs([0.4, 0.3, 0.1, 0.1, 0.1], [0.1, 0.1, 0.2, 0.1, 0.5]),
    ),
)

EXERCISES = {
    "03.1": Exercise(
        reference=forward_kl,
        explanation=(
            "The distribution in front of the logarithm, p, decides where an error is costly. The sum runs over the "
            "tokens and nothing else, so each position keeps its own number. Where p is 0 the term is 0 by convention "
            "(t·log t → 0 as t → 0); `where=` keeps NumPy from computing 0·∞. Where p > 0 and q = 0 the answer is "
            "infinite, and rightly so. Reverse KL needs no second function: it is this one with its arguments "
            "exchanged."
        ),
        cases=(UNEVEN, NEVER_SAID, NEITHER_SAYS, TWO_POSITIONS),
        unusual=(token_by_token, by_torch, in_single_precision),
        check=never_said_by_the_student,
        mistakes=(
            Mistake(
                "direction reversed",
                "This is KL(q‖p), the reverse KL: the student weighs the terms. In forward KL a term is costly where "
                "the teacher is likely and the student is not.",
                quiet(from_the_other_side(forward_kl)),
            ),
            Mistake(
                "0 · log 0",
                "There is a NaN: 0·∞, or ∞ − ∞, where a token has probability 0. A token that the teacher never says "
                "adds 0 to forward KL, whatever the student gives it.",
                quiet(
                    lambda student_logp, teacher_logp: (np.exp(teacher_logp) * (teacher_logp - student_logp)).sum(-1)
                ),
            ),
            Mistake(
                "p log p missing",
                "This is the cross-entropy −Σ p·log q. It has the same gradient, since p does not depend on the "
                "student, but not the same value: at q = p it is the teacher's entropy and not 0.",
                quiet(lambda student_logp, teacher_logp: -(np.exp(teacher_logp) * student_logp).sum(-1)),
            ),
            Mistake(
                "mean over V",
                "The terms are averaged over the vocabulary. The weights p already sum to 1, so the sum of the terms "
                "is an expectation; a mean divides it by V once more.",
                lambda student_logp, teacher_logp: forward_kl(student_logp, teacher_logp) / student_logp.shape[-1],
            ),
            Mistake(
                "bits",
                "This is in bits: the logarithm has base 2. In this course a logarithm is natural and its unit the "
                "nat.",
                lambda student_logp, teacher_logp: forward_kl(student_logp, teacher_logp) / math.log(2),
            ),
            Mistake(
                "sign",
                "The ratio is upside down: log(q/p) weighted by p is minus the divergence, and a divergence is never "
                "negative.",
                lambda student_logp, teacher_logp: -forward_kl(student_logp, teacher_logp),
            ),
            Mistake(
                "summed over positions",
                "All positions were added into one number. A divergence belongs to one position: sum over the last "
                "axis only.",
                lambda student_logp, teacher_logp: forward_kl(student_logp, teacher_logp).sum(),
            ),
        ),
    ),
    "03.2": Exercise(
        reference=fit_forward,
        explanation=(
            "Set the derivatives of −∫ p·log q to zero: the mean of q must be the mean of p, and the variance of q "
            "the variance of p. Nothing else about p matters, neither how many hills it has nor what lies between "
            "them. The variance about the common mean is w₁σ₁² + w₂σ₂² + w₁w₂d², so the distance d between the hills "
            "enters as its square."
        ),
        cases=(
            Case("hills of weight ¾ and ¼ at 0 and 3, 401 points", two_hills_on_a_grid, other_hills),
            Case("hills of weight ⅗ and ⅖ at 0 and 3, 200 points", lambda: two_hills_on_a_grid(200, 0.4), other_hills),
        ),
        unusual=(by_weighted_average, by_moments_in_a_loop),
        mistakes=(
            Mistake(
                "variance",
                "The second number is the variance. The width is its square root, in the unit of x.",
                lambda x, cell, logp: (fit_forward(x, cell, logp)[0], fit_forward(x, cell, logp)[1] ** 2),
            ),
            Mistake(
                "cell forgotten",
                "A density was summed as if it were a probability. The probability of a cell is density × width of "
                "the cell; summed over the grid it should be 1.",
                lambda x, cell, logp: fit_forward(x, 1.0, logp),
            ),
            Mistake(
                "unweighted",
                "Every point of the grid counted alike: this is the middle of the grid. The teacher's probability "
                "weighs the points.",
                lambda x, cell, logp: (x.mean(), x.std()),
            ),
            Mistake(
                "the peak",
                "The first number is where the teacher peaks. Forward KL does not look for a peak: setting its "
                "derivative to zero gives an average over everything that the teacher says.",
                lambda x, cell, logp: (x[logp.argmax()], fit_forward(x, cell, logp)[1]),
            ),
            Mistake(
                "about zero",
                "The spread is taken about 0. It is the spread about the mean that the student's width has to match.",
                lambda x, cell, logp: (fit_forward(x, cell, logp)[0], np.sqrt((np.exp(logp) * cell * x**2).sum())),
            ),
        ),
    ),
    "03.3": Exercise(
        reference=reverse_kl_gradient,
        explanation=(
            "With q = softmax(z), ∂qᵢ/∂zⱼ = qᵢ(δᵢⱼ − qⱼ). So ∂/∂zⱼ Σ qᵢ·log(qᵢ/pᵢ) = qⱼ·(log(qⱼ/pⱼ) + 1) − "
            "qⱼ·Σ qᵢ·(log(qᵢ/pᵢ) + 1), and the two ones cancel. What remains is q times (log(q/p) less its mean). "
            "The factor q in front is the whole story of this lesson: where the student gives nothing, nothing pulls "
            "it back, even where the teacher gives much."
        ),
        cases=(UNEVEN, THREE_TOKENS, TWO_POSITIONS),
        unusual=(by_autograd, by_jacobian),
        mistakes=(
            Mistake(
                "forward KL's gradient",
                "This is q − p, the gradient of forward KL. It pulls up every token that the teacher says; reverse "
                "KL pulls only where the student already is.",
                lambda student_logp, teacher_logp: np.exp(student_logp) - np.exp(teacher_logp),
            ),
            Mistake(
                "baseline missing",
                "The softmax is missing: raising one logit lowers all other probabilities. The entries of a gradient "
                "with respect to logits sum to 0, because adding a constant to every logit changes nothing; these do "
                "not.",
                lambda student_logp, teacher_logp: np.exp(student_logp) * (student_logp - teacher_logp),
            ),
            Mistake(
                "gradient in q",
                "This is the derivative with respect to the probabilities, log(q/p) + 1. The parameters are the "
                "logits: send it through the softmax.",
                lambda student_logp, teacher_logp: student_logp - teacher_logp + 1,
            ),
            Mistake(
                "sign",
                "This is the downhill direction. The function should return the gradient itself; the optimizer "
                "subtracts it.",
                lambda student_logp, teacher_logp: -reverse_kl_gradient(student_logp, teacher_logp),
            ),
            Mistake(
                "the teacher's weight",
                "The weight in front is the teacher's p. In reverse KL the average is taken under the student.",
                lambda student_logp, teacher_logp: (
                    np.exp(teacher_logp)
                    * (
                        student_logp
                        - teacher_logp
                        - (np.exp(student_logp) * (student_logp - teacher_logp)).sum(-1, keepdims=True)
                    )
                ),
            ),
        ),
    ),
}
