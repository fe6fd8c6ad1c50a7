"""Exercises of lesson 03b: reference solutions in NumPy, and the mistakes that their checks name."""

import numpy as np
import torch

from kd_lab.classroom.answers import logs, quiet
from kd_lab.classroom.diagnosis import Case, Exercise, Mistake


def kl(of, to):
    """KL(of‖to) in nats from log-probabilities: [..., V], [..., V] -> [...]; 0 · log 0 counts as 0."""
    weight = np.exp(of)
    return (weight * np.subtract(of, to, out=np.zeros_like(weight), where=weight > 0)).sum(-1)


def jsd(student_logp, teacher_logp, beta):
    """JSD(β) = β·KL(p‖m) + (1−β)·KL(q‖m), m = βp + (1−β)q, in nats: [..., V], [..., V] -> [...]."""
    # logaddexp is the log of a sum of probabilities; a weighted sum of logs is the log of something else.
    mixture_logp = np.logaddexp(np.log(beta) + teacher_logp, np.log1p(-beta) + student_logp)
    return beta * kl(teacher_logp, mixture_logp) + (1 - beta) * kl(student_logp, mixture_logp)


def jsd_gradient(student_logp, teacher_logp, beta):
    """Gradient of JSD(β) with respect to the student's logits: [..., V], [..., V], float -> [..., V]."""
    q = np.exp(student_logp)
    mixture_logp = np.logaddexp(np.log(beta) + teacher_logp, np.log1p(-beta) + student_logp)
    log_ratio = student_logp - mixture_logp
    # Reverse KL's gradient with m in p's place, and 1 − β in front; the terms from m's dependence on q cancel.
    return (1 - beta) * q * (log_ratio - (q * log_ratio).sum(-1, keepdims=True))


def softened_gradient(student_logits, teacher_logits, temperature):
    """Gradient of KL(p_τ‖q_τ) with respect to the student's logits: [..., V], [..., V], float -> [..., V]."""
    softened = []
    for logits in (student_logits, teacher_logits):
        p = np.exp((logits - logits.max(-1, keepdims=True)) / temperature)
        softened.append(p / p.sum(-1, keepdims=True))
    # q_τ − p_τ is the gradient with respect to z/τ; the chain rule divides by τ once more.
    return (softened[0] - softened[1]) / temperature


# ---- wrong answers ---------------------------------------------------------------------------------------------------


def skewed_sum(student_logp, teacher_logp, inner, outer):
    """outer·KL(p‖m) + (1−outer)·KL(q‖m) with m = inner·p + (1−inner)·q."""
    mixture_logp = np.logaddexp(np.log(inner) + teacher_logp, np.log1p(-inner) + student_logp)
    return outer * kl(teacher_logp, mixture_logp) + (1 - outer) * kl(student_logp, mixture_logp)


def mixture_of_logs(student_logp, teacher_logp, beta):
    mixture_logp = beta * teacher_logp + (1 - beta) * student_logp
    return beta * kl(teacher_logp, mixture_logp) + (1 - beta) * kl(student_logp, mixture_logp)


def kls_reversed(student_logp, teacher_logp, beta):
    mixture_logp = np.logaddexp(np.log(beta) + teacher_logp, np.log1p(-beta) + student_logp)
    return beta * kl(mixture_logp, teacher_logp) + (1 - beta) * kl(mixture_logp, student_logp)


def centred(student_logp, log_ratio):
    """q times what a log-ratio exceeds its average under q by."""
    q = np.exp(student_logp)
    return q * (log_ratio - (q * log_ratio).sum(-1, keepdims=True))


def log_mixture(student_logp, teacher_logp, beta):
    return np.logaddexp(np.log(beta) + teacher_logp, np.log1p(-beta) + student_logp)


def softmax(logits):
    p = np.exp(logits - logits.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True)


# ---- right answers that look nothing like the reference's ------------------------------------------------------------


def jsd_in_probabilities(student_logp, teacher_logp, beta):
    p, q = np.exp(teacher_logp), np.exp(student_logp)
    with np.errstate(divide="ignore"):
        mixture = np.log(beta * p + (1 - beta) * q)
    return sum(share * kl(one, mixture) for share, one in ((beta, teacher_logp), (1 - beta, student_logp)))


def jsd_by_entropies(student_logp, teacher_logp, beta):
    p, q = np.exp(teacher_logp), np.exp(student_logp)

    def entropy(r):
        return -(r * np.log(np.where(r > 0, r, 1))).sum(-1)

    return entropy(beta * p + (1 - beta) * q) - beta * entropy(p) - (1 - beta) * entropy(q)


def jsd_gradient_by_autograd(student_logp, teacher_logp, beta):
    logits = torch.tensor(student_logp, requires_grad=True)
    q, p = logits.softmax(-1), torch.as_tensor(teacher_logp).exp()
    m = beta * p + (1 - beta) * q
    (beta * (p * (p / m).log()).sum() + (1 - beta) * (q * (q / m).log()).sum()).backward()
    return logits.grad.numpy()


def jsd_gradient_by_jacobian(student_logp, teacher_logp, beta):
    q = np.exp(student_logp)
    slope = (1 - beta) * (student_logp - np.log(beta * np.exp(teacher_logp) + (1 - beta) * q))
    return slope * q - q * np.einsum("...v,...v->...", q, slope)[..., None]


def softened_by_autograd(student_logits, teacher_logits, temperature):
    logits = torch.tensor(student_logits, requires_grad=True)
    log_q = (logits / temperature).log_softmax(-1)
    target = torch.as_tensor(teacher_logits / temperature).softmax(-1)
    torch.nn.functional.kl_div(log_q, target, reduction="sum").backward()
    return logits.grad.numpy()


def softened_by_powers(student_logits, teacher_logits, temperature):
    def soft(logits):
        p = softmax(logits) ** (1 / temperature)
        return p / p.sum(-1, keepdims=True)

    return soft(student_logits) / temperature - soft(teacher_logits) / temperature


# ---- cases -----------------------------------------------------------------------------------------------------------

P3, Q3 = [0.7, 0.2, 0.1], [0.2, 0.3, 0.5]
P25 = [[0.4, 0.3, 0.1, 0.1, 0.1], [0.1, 0.1, 0.2, 0.1, 0.5]]
Q25 = [[0.1, 0.2, 0.3, 0.3, 0.1], [0.4, 0.1, 0.1, 0.2, 0.2]]

THREE = ("p = (0.7, 0.2, 0.1), q = (0.2, 0.3, 0.5), β = 0.1", lambda: (logs(Q3), logs(P3), 0.1))
POSITIONS = ("two positions with five tokens, β = 0.8", lambda: (logs(*Q25), logs(*P25), 0.8))

EXERCISES = {
    "03b.1": Exercise(
        reference=jsd,
        explanation=(
            "The mixture is one of probabilities, so its logarithm is a logaddexp and not a weighted sum of "
            "logarithms: the latter is the log of p^β·q^(1−β), which does not even sum to 1. β goes with the teacher "
            "twice, inside m and in front of KL(p‖m). `log1p(-beta)` is log(1 − β) without the loss of digits near 0."
        ),
        cases=(
            Case(*THREE),
            Case("p = (1, 0), q = (0, 1), β = 0.3", lambda: (logs([0.0, 1.0]), logs([1.0, 0.0]), 0.3)),
            Case(*POSITIONS),
        ),
        unusual=(jsd_in_probabilities, jsd_by_entropies),
        mistakes=(
            Mistake(
                "mixture of logs",
                "The logarithms were mixed: β·log p + (1−β)·log q is a geometric mean, whose probabilities do not "
                "sum to 1. Mix the probabilities and take the logarithm of the mixture.",
                quiet(mixture_of_logs),
            ),
            Mistake(
                "outer weights swapped",
                "The mixture is right, but the two KLs carry each other's weights: β belongs to KL(p‖m), the "
                "teacher's. That is another divergence: towards β = 0 it tends to KL(p‖q) itself, where JSD(β) tends "
                "to 0.",
                quiet(lambda student_logp, teacher_logp, beta: skewed_sum(student_logp, teacher_logp, beta, 1 - beta)),
            ),
            Mistake(
                "mixture's weights swapped",
                "The KLs carry the right weights, but m is (1−β)p + βq here: β is the teacher's share of the mixture.",
                quiet(lambda student_logp, teacher_logp, beta: skewed_sum(student_logp, teacher_logp, 1 - beta, beta)),
            ),
            Mistake(
                "β for 1 − β",
                "This is JSD(1−β): teacher and student have changed places. Some papers and libraries count β (or λ) "
                "from the student's side; here it is the teacher's share.",
                quiet(lambda student_logp, teacher_logp, beta: jsd(student_logp, teacher_logp, 1 - beta)),
            ),
            Mistake(
                "KLs to the mixture reversed",
                "These are KL(m‖p) and KL(m‖q): the mixture weighs. In JSD, p and q each weigh their own KL, and the "
                "mixture is the second argument; that is what keeps it bounded.",
                quiet(kls_reversed),
            ),
            Mistake(
                "outer weights missing",
                "The two KLs to the mixture are added without their weights β and 1 − β.",
                quiet(
                    lambda student_logp, teacher_logp, beta: (
                        skewed_sum(student_logp, teacher_logp, beta, 1.0)
                        + skewed_sum(student_logp, teacher_logp, beta, 0.0)
                    )
                ),
            ),
            Mistake(
                "one half",
                "β is ignored: this is the symmetric divergence, with ½ everywhere.",
                quiet(lambda student_logp, teacher_logp, beta: jsd(student_logp, teacher_logp, 0.5)),
            ),
        ),
    ),
    "03b.2": Exercise(
        reference=jsd_gradient,
        explanation=(
            "Differentiate with respect to q first. β·KL(p‖m) gives −β(1−β)·p/m, and (1−β)·KL(q‖m) gives "
            "(1−β)·(log(q/m) + 1 − (1−β)·q/m). The fractions add up to −(1−β)·m/m, which cancels against the 1: what "
            "remains is (1−β)·log(q/m). The softmax turns it into q times (that less its average under q). So the "
            "gradient is reverse KL's towards m, times 1 − β: at β near 1 it is a small multiple of reverse KL's, and "
            "near 0 the ratio q/m itself is near 1."
        ),
        cases=(Case(*THREE), Case(*POSITIONS)),
        unusual=(jsd_gradient_by_autograd, jsd_gradient_by_jacobian),
        mistakes=(
            Mistake(
                "1 − β missing",
                "The factor 1 − β is missing: this is the gradient of KL(q‖m) with m held fixed. It points the right "
                "way, and at β near 1 it is many times too long.",
                lambda student_logp, teacher_logp, beta: jsd_gradient(student_logp, teacher_logp, beta) / (1 - beta),
            ),
            Mistake(
                "the teacher in the mixture's place",
                "This is (1−β) times the gradient of reverse KL: the logarithm compares q with p. In JSD it compares q "
                "with the mixture m.",
                lambda student_logp, teacher_logp, beta: (
                    (1 - beta) * centred(student_logp, student_logp - teacher_logp)
                ),
            ),
            Mistake(
                "baseline missing",
                "The softmax is missing: raising one logit lowers all other probabilities. The entries of a gradient "
                "with respect to logits sum to 0; these do not.",
                lambda student_logp, teacher_logp, beta: (
                    (1 - beta) * np.exp(student_logp) * (student_logp - log_mixture(student_logp, teacher_logp, beta))
                ),
            ),
            Mistake(
                "gradient in q",
                "This is the derivative with respect to the probabilities. The parameters are the logits: send it "
                "through the softmax.",
                lambda student_logp, teacher_logp, beta: (
                    (1 - beta) * (student_logp - log_mixture(student_logp, teacher_logp, beta))
                ),
            ),
            Mistake(
                "β for 1 − β",
                "The factor in front is β. The teacher's half, β·KL(p‖m), depends on the student only through m, and "
                "that part cancels: 1 − β remains.",
                lambda student_logp, teacher_logp, beta: (
                    jsd_gradient(student_logp, teacher_logp, beta) * beta / (1 - beta)
                ),
            ),
            Mistake(
                "sign",
                "This is the downhill direction. The function should return the gradient itself; the optimizer "
                "subtracts it.",
                lambda student_logp, teacher_logp, beta: -jsd_gradient(student_logp, teacher_logp, beta),
            ),
        ),
    ),
    "03b.3": Exercise(
        reference=softened_gradient,
        explanation=(
            "With u = z/τ, forward KL's gradient in u is q_τ − p_τ, and ∂u/∂z = 1/τ. For large τ the exponentials are "
            "nearly linear: q_τ ≈ 1/V + (z − z̄)/(Vτ), and so the gradient is about (z_q − z_p)/(Vτ²), for logits "
            "whose mean is 0 on both sides. One τ comes from the chain rule, the other from the softened "
            "distributions, which move closer. Hinton's factor τ² undoes both."
        ),
        cases=(
            Case(
                "logits z_p = (2, 1, 0), z_q = (0, 1, 0), τ = 2",
                lambda: (np.array([0.0, 1.0, 0.0]), np.array([2.0, 1.0, 0.0]), 2.0),
            ),
            Case(
                "two positions with five tokens, τ = 4",
                lambda: (3.0 + logs(*Q25), 2.0 * logs(*P25), 4.0),
            ),
        ),
        unusual=(softened_by_autograd, softened_by_powers),
        mistakes=(
            Mistake(
                "1/τ missing",
                "This is q_τ − p_τ, the gradient with respect to the softened logits z/τ. The parameters are the "
                "logits z: the chain rule brings one factor more.",
                lambda student_logits, teacher_logits, temperature: (
                    temperature * softened_gradient(student_logits, teacher_logits, temperature)
                ),
            ),
            Mistake(
                "times τ²",
                "The factor τ² of Hinton's loss is in it. Leave it out: we want to see what the factor has to make up "
                "for.",
                lambda student_logits, teacher_logits, temperature: (
                    temperature**2 * softened_gradient(student_logits, teacher_logits, temperature)
                ),
            ),
            Mistake(
                "only the teacher softened",
                "The student was not softened. Both sides of KL(p_τ‖q_τ) carry τ.",
                lambda student_logits, teacher_logits, temperature: (
                    softmax(student_logits) - softmax(teacher_logits / temperature)
                ),
            ),
            Mistake(
                "times τ inside",
                "The logits were multiplied by τ, which sharpens. Softening divides them.",
                lambda student_logits, teacher_logits, temperature: (
                    softened_gradient(student_logits, teacher_logits, 1 / temperature) / temperature**2
                ),
            ),
            Mistake(
                "sign",
                "This is the downhill direction, p_τ − q_τ. The function should return the gradient itself.",
                lambda student_logits, teacher_logits, temperature: (
                    -softened_gradient(student_logits, teacher_logits, temperature)
                ),
            ),
            Mistake(
                "not normalised",
                "The powers were not normalised: p^(1/τ) sums to more than 1. Soften the logits and take the softmax "
                "of the result.",
                lambda student_logits, teacher_logits, temperature: (
                    (softmax(student_logits) ** (1 / temperature) - softmax(teacher_logits) ** (1 / temperature))
                    / temperature
                ),
            ),
        ),
    ),
}
