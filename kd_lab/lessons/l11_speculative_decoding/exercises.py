"""Exercises of lesson 11: reference solutions in NumPy, and the mistakes that their checks name."""

import numpy as np
import torch

from kd_lab.classroom.diagnosis import Case, Exercise, Mistake

# ---- 11.1: verify ----------------------------------------------------------------------------------------------------


def verify_guesses(guesses, draft_p, target_p, chance):
    """(guesses that stand, distribution of the target's token): [G], [G, V], [G + 1, V], [G] -> (int, [V])."""
    for i, x in enumerate(guesses):
        if chance[i] >= target_p[i, x] / draft_p[i, x]:
            # The place of the first guess that falls: what the target has there and the draft lacks.
            missing = np.maximum(target_p[i] - draft_p[i], 0)
            return i, missing / missing.sum()
    return len(guesses), target_p[-1]


def verify_by_torch(guesses, draft_p, target_p, chance):
    """All ratios at once, in torch; the residual as p − min(p, q) over 1 − α."""
    x, q, p, u = (torch.as_tensor(np.array(one)) for one in (guesses, draft_p, target_p, chance))
    places = torch.arange(len(x))
    stands = u < p[places, x] / q[places, x]
    n = int(torch.cat([stands, torch.tensor([False])]).int().argmin())
    if n == len(x):
        return n, p[n]
    overlap = torch.minimum(p[n], q[n])
    return torch.tensor(n), (p[n] - overlap) / (1 - overlap.sum())


def verify_by_padding(guesses, draft_p, target_p, chance):
    """A draft that says nothing after its last guess: then one formula serves both ends."""
    padded = [*(list(row) for row in draft_p), [0.0] * len(target_p[0])]
    n = 0
    while n < len(guesses) and chance[n] * padded[n][guesses[n]] < target_p[n][guesses[n]]:
        n += 1
    rest = [max(p - q, 0.0) for p, q in zip(target_p[n], padded[n], strict=True)]
    return [n, [share / sum(rest) for share in rest]]


def _verify(
    guesses,
    draft_p,
    target_p,
    chance,
    *,
    stands=lambda u, p, q: u < p / q,
    replace=lambda p, q, x: np.maximum(p - q, 0) / np.maximum(p - q, 0).sum(),
    each=False,
    last=-1,
    shift=0,
):
    """The algorithm with one of its parts replaced."""
    good = [stands(u, p[x], q[x]) for x, q, p, u in zip(guesses, draft_p, target_p, chance, strict=False)]
    n = sum(good) if each else next((i for i, one in enumerate(good) if not one), len(good))
    if n == len(guesses):
        return n, target_p[last]
    first = next(i for i, one in enumerate(good) if not one)
    row = min(first + shift, len(draft_p) - 1)
    return n, replace(target_p[row], draft_p[row], guesses[first])


def _without(p, q, x):
    rest = p.copy()
    rest[x] = 0
    return rest / rest.sum()


def _turned(p, q, x):
    return np.maximum(q - p, 0) / np.maximum(q - p, 0).sum()


Q2 = [[0.1, 0.2, 0.3, 0.3, 0.1], [0.4, 0.1, 0.1, 0.2, 0.2], [0.3, 0.1, 0.2, 0.2, 0.2]]
P2 = [
    [0.4, 0.25, 0.1, 0.1, 0.15],
    [0.1, 0.1, 0.2, 0.1, 0.5],
    [0.2, 0.3, 0.1, 0.3, 0.1],
    [0.15, 0.05, 0.3, 0.3, 0.2],
]

VERIFY = Exercise(
    reference=verify_guesses,
    entries=("accepted", "next"),
    unusual=(verify_by_torch, verify_by_padding),
    explanation=(
        "A guess x is made with probability q(x) and stands with probability min(1, p(x)/q(x)): together min(p, q). "
        "What is still owed to the target is p − min(p, q) = max(0, p − q), and that is what the residual pays, in "
        "exactly the share 1 − Σ min(p, q) of cases in which a guess falls. Nothing after a fallen guess is looked "
        "at: it was made for another text. Where all stand, the target has already read them, and its next token "
        "comes for nothing."
    ),
    cases=(
        Case(
            "one guess: p = (0.5, 0.3, 0.2), q = (0.2, 0.7, 0.1), x = 1, u = 0.6",
            lambda: (
                np.array([1]),
                np.array([[0.2, 0.7, 0.1]]),
                np.array([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6]]),
                np.array([0.6]),
            ),
        ),
        Case(
            "two guesses that stand",
            lambda: (np.array([2, 4]), np.array(Q2[:2]), np.array(P2[:3]), np.array([0.2, 0.8])),
        ),
        Case(
            "three guesses, the second of which falls",
            lambda: (np.array([1, 0, 3]), np.array(Q2), np.array(P2), np.array([0.99, 0.3, 0.2])),
        ),
        Case(
            "three guesses, the first of which falls",
            lambda: (np.array([3, 2, 1]), np.array(Q2), np.array(P2), np.array([0.5, 0.9, 0.4])),
        ),
    ),
    mistakes=(
        Mistake(
            "redrawn from the target",
            "A guess that falls is replaced from p itself. Tokens on which both agree get a second chance, and the "
            "text is no longer the target's. Replace it from what the target has and the draft lacks.",
            lambda *inputs: _verify(*inputs, replace=lambda p, q, x: p),
        ),
        Mistake(
            "the fallen guess struck out",
            "The fallen guess is given probability 0 and the rest of p is taken. But other tokens are already paid for "
            "by their own guesses; only the part of p above q is still owed.",
            lambda *inputs: _verify(*inputs, replace=_without),
        ),
        Mistake(
            "residual turned round",
            "This is max(0, q − p): what the draft says too often. The target still owes what the draft says too "
            "seldom.",
            lambda *inputs: _verify(*inputs, replace=_turned),
        ),
        Mistake(
            "both sides of the gap",
            "|p − q| counts what the draft says too often as well. Only where p exceeds q is anything owed.",
            lambda *inputs: _verify(*inputs, replace=lambda p, q, x: np.abs(p - q) / np.abs(p - q).sum()),
        ),
        Mistake(
            "not normalised",
            "max(0, p − q) sums to 1 − Σ min(p, q), the probability of a rejection. Divide by that sum.",
            lambda *inputs: _verify(*inputs, replace=lambda p, q, x: np.maximum(p - q, 0)),
        ),
        Mistake(
            "each guess for itself",
            "All guesses that pass are counted. Those after the first that falls were made for a text that will not "
            "be written: stop there.",
            lambda *inputs: _verify(*inputs, each=True),
        ),
        Mistake(
            "ratio turned round",
            "The test compares u with q/p. A guess that the draft makes too often, q > p, has to fall now and then: "
            "its ratio is p/q.",
            lambda *inputs: _verify(*inputs, stands=lambda u, p, q: u < q / p),
        ),
        Mistake(
            "p alone",
            "The test compares u with p(x) alone. The guess was already drawn with probability q(x); divide by it, "
            "or even a perfect draft is rejected.",
            lambda *inputs: _verify(*inputs, stands=lambda u, p, q: u < p),
        ),
        Mistake(
            "stands and falls exchanged",
            "Guesses stand here where u is above p/q. They should stand with probability p/q: where u is below.",
            lambda *inputs: _verify(*inputs, stands=lambda u, p, q: u >= p / q),
        ),
        Mistake(
            "always the likelier",
            "A guess falls here whenever q exceeds p. It should stand then too, with probability p/q: that is what u "
            "is for.",
            lambda *inputs: _verify(*inputs, stands=lambda u, p, q: p >= q),
        ),
        Mistake(
            "row of the last guess",
            "Where all guesses stand, the target's next token comes from its last row, after all of them; this is the "
            "row before.",
            lambda *inputs: _verify(*inputs, last=-2),
        ),
        Mistake(
            "residual one place on",
            "The residual is taken one place after the guess that fell. It replaces that guess.",
            lambda *inputs: _verify(*inputs, shift=1),
        ),
    ),
)


# ---- 11.2: the gradient of −log acceptance ---------------------------------------------------------------------------


def acceptance_gradient(student_logp, teacher_logp):
    """Gradient of −log Σ min(p, q) with respect to the student's logits: [..., V], [..., V] -> [..., V]."""
    q, p = np.exp(student_logp), np.exp(teacher_logp)
    below = q < p  # only there does min(p, q) follow q
    alpha = np.minimum(p, q).sum(-1, keepdims=True)
    return -q * (below - (q * below).sum(-1, keepdims=True)) / alpha


def gradient_by_autograd(student_logp, teacher_logp):
    logits = torch.tensor(student_logp, requires_grad=True)
    alpha = torch.minimum(logits.softmax(-1), torch.as_tensor(teacher_logp).exp()).sum(-1)
    (-alpha.log()).sum().backward()
    return logits.grad.numpy()


def gradient_by_signs(student_logp, teacher_logp):
    """From total variation's ½·q·(σ − Σ q·σ), divided by 1 − TV."""
    q, p = np.exp(np.atleast_2d(student_logp)), np.exp(np.atleast_2d(teacher_logp))
    rows = []
    for one, other in zip(q, p, strict=True):
        jacobian = np.diag(one) - np.outer(one, one)
        rows.append(jacobian @ np.sign(one - other) / 2 / (1 - np.abs(one - other).sum() / 2))
    return np.array(rows).reshape(np.shape(student_logp))


def _gradient(student_logp, teacher_logp, *, softmax=True, weight=1.0, shrink=True):
    q, p = np.exp(student_logp), np.exp(teacher_logp)
    chosen = q < p
    slope = chosen - (q * chosen).sum(-1, keepdims=True) if softmax else chosen
    alpha = np.minimum(p, q).sum(-1, keepdims=True) if shrink else 1.0
    return -weight * q * slope / alpha


def _overlap_copied(student_logp, teacher_logp):
    q, p = np.exp(student_logp), np.exp(teacher_logp)
    overlap = np.minimum(p, q)
    return q - overlap / overlap.sum(-1, keepdims=True)


def _in_probabilities(student_logp, teacher_logp):
    q, p = np.exp(student_logp), np.exp(teacher_logp)
    return -1.0 * (q < p) / np.minimum(p, q).sum(-1, keepdims=True)


def _logs(*rows):
    return np.log(np.array(rows if len(rows) > 1 else rows[0], dtype=float))


GRADIENT = Exercise(
    reference=acceptance_gradient,
    unusual=(gradient_by_autograd, gradient_by_signs),
    explanation=(
        "Σ min(p, q) grows with q(x) only where q(x) < p(x): its derivative there is 1, elsewhere 0. The softmax turns "
        "a derivative g in q into q·(g − Σ q·g). Without the division by α this is the gradient of total variation, 1 "
        "− α. Its length is at most α or so: where p and q hardly overlap, every token that should rise has a small q "
        "in front. The logarithm divides by α, which makes up for a part of it."
    ),
    cases=(
        Case(
            "p = (0.7, 0.2, 0.1), q = (0.2, 0.3, 0.5)",
            lambda: (_logs([0.2, 0.3, 0.5]), _logs([0.7, 0.2, 0.1])),
        ),
        Case("two positions with five tokens", lambda: (_logs(Q2[0], [0.35, 0.15, 0.1, 0.25, 0.15]), _logs(*P2[:2]))),
        Case(
            "a draft that hardly overlaps",
            lambda: (_logs([0.01, 0.02, 0.95, 0.02]), _logs([0.6, 0.3, 0.04, 0.06])),
        ),
    ),
    mistakes=(
        Mistake(
            "1/α missing",
            "This is the gradient of 1 − α, total variation. The logarithm brings a factor 1/α, and it is what a poor "
            "draft lives on.",
            lambda q, p: _gradient(q, p, shrink=False),
        ),
        Mistake(
            "sign",
            "The sign is reversed: descending this drives the acceptance down. Either the minus of −log α is missing, "
            "or the derivative of min(p, q) by q is taken where q is the larger, where the minimum does not follow q.",
            lambda q, p: -_gradient(q, p),
        ),
        Mistake(
            "softmax left out",
            "The softmax is missing: raising one logit lowers all other probabilities. The entries of a gradient with "
            "respect to logits sum to 0; these do not.",
            lambda q, p: _gradient(q, p, softmax=False),
        ),
        Mistake(
            "gradient in q",
            "This is the derivative with respect to the probabilities. The parameters are the logits: send it through "
            "the softmax.",
            _in_probabilities,
        ),
        Mistake(
            "overlap copied",
            "This is q − min(p, q)/α, the gradient of a cross-entropy with the overlap. Where q exceeds p the minimum "
            "is p, a number that does not follow q.",
            _overlap_copied,
        ),
        Mistake(
            "half of it",
            "A factor ½ too much. It belongs to total variation written with signs, ½·q·(σ − Σ q·σ); written with "
            "q < p there is none.",
            lambda q, p: _gradient(q, p, weight=0.5),
        ),
    ),
)


# ---- 11.3: the best number of guesses --------------------------------------------------------------------------------


def best_gamma(acceptance, cost, most):
    """(γ, speed-up) of the fastest γ in 0 … most: α, c, int -> (int, float)."""
    best = (0, 1.0)  # the target alone
    for gamma in range(1, most + 1):
        tokens = sum(acceptance**i for i in range(gamma + 1))  # guesses up to the first that falls, and one more
        speed = tokens / (1 + gamma * cost)
        if speed > best[1]:
            best = (gamma, speed)
    return best


def best_gamma_by_arrays(acceptance, cost, most):
    gamma = np.arange(most + 1)
    speeds = np.cumsum(np.power(float(acceptance), gamma)) / (1 + gamma * cost)
    return np.array([speeds.argmax(), speeds.max()])


def best_gamma_by_climbing(acceptance, cost, most):
    """One guess more pays as long as α^(γ+1) exceeds its share of the time: the speed-up has a single peak."""
    gamma, tokens = 0, 1.0
    while gamma < most and acceptance ** (gamma + 1) > tokens * cost / (1 + gamma * cost):
        gamma += 1
        tokens += acceptance**gamma
    return float(gamma), tokens / (1 + gamma * cost)


def _best(acceptance, cost, most, *, tokens=None, seconds=None, first=0):
    tokens = tokens or (lambda a, g: sum(a**i for i in range(g + 1)))
    seconds = seconds or (lambda c, g: 1 + g * c)
    speeds = {g: tokens(acceptance, g) / seconds(cost, g) for g in range(max(first, 1), most + 1)}
    speeds = ({0: 1.0} if first == 0 else {}) | speeds
    gamma = max(speeds, key=speeds.get)
    return gamma, speeds[gamma]


BEST = Exercise(
    reference=best_gamma,
    entries=("γ", "speed-up"),
    unusual=(best_gamma_by_arrays, best_gamma_by_climbing),
    explanation=(
        "The i-th guess is in the text if it and all before it stand, which has probability α^i; the target adds one "
        "token in any case, the i = 0 of the sum. One call of the target is the unit of time, and γ guesses cost γ·c. "
        "One guess more brings α^(γ+1), less and less, at a fixed price c, so there is one best γ. Where even the "
        "first brings less than it costs, α ≤ c, the answer is 0."
    ),
    cases=(
        Case("α = 0.6, c = 0.1, at most 7", lambda: (0.6, 0.1, 7)),
        Case("α = 0.2, c = 0.3, at most 5", lambda: (0.2, 0.3, 5)),
        Case("α = 0.8, c = 0.05, at most 11", lambda: (0.8, 0.05, 11)),
        Case("α = 1, c = 0.1, at most 4", lambda: (1.0, 0.1, 4)),
    ),
    mistakes=(
        Mistake(
            "the target's token forgotten",
            "Each call of the target writes one token of its own, in the place of the guess that fell or after the "
            "last that stands. It is missing from the count.",
            lambda *inputs: _best(*inputs, tokens=lambda a, g: sum(a**i for i in range(1, g + 1))),
        ),
        Mistake(
            "one token too many",
            "The sum has a term too many: γ guesses bring at most γ + 1 tokens.",
            lambda *inputs: _best(*inputs, tokens=lambda a, g: sum(a**i for i in range(g + 2))),
        ),
        Mistake(
            "guesses for themselves",
            "1 + γ·α counts every guess that would stand by itself. A guess is in the text if all before it stand.",
            lambda *inputs: _best(*inputs, tokens=lambda a, g: 1 + g * a),
        ),
        Mistake(
            "all or nothing",
            "1 + γ·α^γ counts a round only if all of its guesses stand. Those before the first that falls are kept.",
            lambda *inputs: _best(*inputs, tokens=lambda a, g: 1 + g * a**g),
        ),
        Mistake(
            "the target paid for each guess",
            "The target is charged γ + 1 calls. It reads all guesses in one call: that is the point of it.",
            lambda *inputs: _best(*inputs, seconds=lambda c, g: (g + 1) + g * c),
        ),
        Mistake(
            "the draft for nothing",
            "The draft's calls cost nothing here. There are γ of them in each round, at c each.",
            lambda *inputs: _best(*inputs, seconds=lambda c, g: 1.0),
        ),
        Mistake(
            "the draft paid once",
            "The draft is paid for one call. It writes its guesses one after the other: γ calls.",
            lambda *inputs: _best(*inputs, seconds=lambda c, g: 1 + c),
        ),
        Mistake(
            "the draft's call after the last guess",
            "The draft is charged γ + 1 calls. It need not be asked after the last guess.",
            lambda *inputs: _best(*inputs, seconds=lambda c, g: 1 + (g + 1) * c),
        ),
        Mistake(
            "never the target alone",
            "γ = 0, the target alone with a speed-up of 1, is not among the choices. A poor or expensive draft is "
            "slower than none.",
            lambda *inputs: _best(*inputs, first=1),
        ),
    ),
)

EXERCISES = {"11.1": VERIFY, "11.2": GRADIENT, "11.3": BEST}
