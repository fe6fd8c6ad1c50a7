"""Exercises of lesson 10b: reference solutions in NumPy and torch, and the mistakes that their checks name."""

import math

import numpy as np
import torch

from kd_lab.classroom.diagnosis import Case, Exercise, Mistake
from kd_lab.lessons.l10b_what_is_passed_on.collapse import expected_diversity

# ---- references ------------------------------------------------------------------------------------------------------


def fidelity(student_logp, teacher_logp, mask):
    """Agreement, and KL(p‖q) in nats per counted position: [B, T, V], [B, T, V], [B, T] -> (float, float)."""
    q, p = student_logp[mask], teacher_logp[mask]  # [n, V]: what does not count is gone before anything is averaged
    agreement = (q.argmax(-1) == p.argmax(-1)).mean()
    kl = (np.exp(p) * (p - q)).sum(-1).mean()
    return agreement, kl


def watermark_z(tokens, mask, green, base):
    """Standard deviations above unmarked text: [B, T + 1], [B, T], [V, V], float -> float."""
    hits = green[tokens[:, :-1], tokens[:, 1:]][mask]  # one truth value per counted transition
    expected, variance = base * len(hits), base * (1 - base) * len(hits)
    return float(hits.sum() - expected) / variance**0.5


# ---- cases -----------------------------------------------------------------------------------------------------------


def logp(*rows):
    return np.log(np.asarray(rows, dtype=float))


def one_text():
    """One text of two counted positions and a padded one, over three letters."""
    q = logp([0.6, 0.3, 0.1], [0.1, 0.5, 0.4], [0.2, 0.2, 0.6])[None]
    p = logp([0.5, 0.25, 0.25], [0.2, 0.3, 0.5], [0.8, 0.1, 0.1])[None]
    return q, p, np.array([[True, True, False]])


def three_texts():
    generator = np.random.default_rng(5)
    z = generator.standard_normal((2, 3, 4, 5)) * 1.5
    mask = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [1, 0, 0, 0]], dtype=bool)
    q, p = z - np.log(np.exp(z).sum(-1, keepdims=True))
    return q, p, mask


def small_green():
    return torch.tensor([[False, True, True], [True, False, True], [False, False, True]])


def one_name():
    """b, a, end: the transitions end→b, b→a, a→end count; the padding after them does not."""
    tokens = torch.tensor([[0, 2, 1, 0, 0, 0]])
    return tokens, torch.tensor([[True, True, True, False, False]]), small_green(), 0.5


def many_names():
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randint(0, 5, (7, 9), generator=generator)
    mask = torch.arange(8) < torch.tensor([[8], [3], [5], [1], [7], [2], [6]])
    return tokens, mask, torch.rand((5, 5), generator=generator) < 0.6, 0.35


# ---- right answers that look nothing like the reference's ------------------------------------------------------------


def diversity_by_recursion(samples, generations, accumulate):
    left = [1.0]
    for k in range(1, generations + 1):
        left.append(left[-1] - left[-1] / (samples * (k * k if accumulate else 1)))
    return left


def diversity_by_logs(samples, generations, accumulate):
    k = torch.arange(generations + 1, dtype=torch.float64)
    if not accumulate:
        return (k * math.log1p(-1 / samples)).exp() if samples > 1 else (k == 0).double()
    factors = 1 - 1 / (samples * k[1:] ** 2)
    return torch.cat([torch.ones(1, dtype=torch.float64), factors.cumprod(0)])


def fidelity_by_sums(student_logp, teacher_logp, mask):
    p = np.exp(teacher_logp)
    gap = np.einsum("btv,btv->bt", p, teacher_logp - student_logp)
    same = np.argmax(student_logp, 2) == np.argmax(teacher_logp, 2)
    return float((same * mask).sum() / mask.sum()), float((gap * mask).sum() / mask.sum())


def fidelity_in_torch(student_logp, teacher_logp, mask):
    q, p, counts = (torch.as_tensor(one) for one in (student_logp, teacher_logp, mask))
    same = (q.argmax(-1) == p.argmax(-1))[counts].double().mean()
    gap = torch.nn.functional.kl_div(q[counts], p[counts], log_target=True, reduction="batchmean")
    return same, gap


def z_from_the_share(tokens, mask, green, base):
    share = green[tokens[:, :-1], tokens[:, 1:]][mask].double().mean()
    return (share - base) * mask.sum().double().sqrt() / math.sqrt(base * (1 - base))


def z_one_by_one(tokens, mask, green, base):
    hits = total = 0
    for row, counts in zip(tokens.tolist(), mask.tolist(), strict=True):
        for previous, following, counted in zip(row, row[1:], counts, strict=False):
            hits += bool(counted and green[previous][following])
            total += counted
    return (hits - base * total) / (total * base * (1 - base)) ** 0.5


# ---- wrong answers ---------------------------------------------------------------------------------------------------


def product(factors):
    return np.concatenate([[1.0], np.cumprod(factors)])


def counted_from_one(samples, generations, accumulate):
    """Leaves out the first draw, from the real distribution."""
    k = np.arange(2, generations + 2)
    return product(1 - 1 / (samples * k**2)) if accumulate else expected_diversity(samples, generations, False)


def summed(samples, generations, accumulate):
    k = np.arange(1, generations + 1)
    return np.concatenate([[1.0], 1 - np.cumsum(1 / (samples * (k**2 if accumulate else k**0)))])


def shrinking_share(samples, generations, accumulate):
    k = np.arange(1, generations + 1)
    return product(1 - 1 / (samples * (k if accumulate else k**0)))


def z_with(hits, total, base):
    return (hits - base * total) / (total * base * (1 - base)) ** 0.5


def greens(tokens, mask, green, counted=True):
    seen = green[tokens[:, :-1], tokens[:, 1:]]
    return seen[mask].double() if counted else seen.double().flatten()


def z_against_half(tokens, mask, green, base):
    hits = greens(tokens, mask, green)
    return z_with(hits.sum().item(), len(hits), green.double().mean().item())


def z_of_padding(tokens, mask, green, base):
    hits = greens(tokens, mask, green, counted=False)
    return z_with(hits.sum().item(), len(hits), base)


def z_turned(tokens, mask, green, base):
    hits = greens(tokens, mask, green.T)
    return z_with(hits.sum().item(), len(hits), base)


def z_without_root(tokens, mask, green, base):
    hits = greens(tokens, mask, green)
    return (hits.sum().item() - base * len(hits)) / (len(hits) * base * (1 - base))


def z_of_the_share(tokens, mask, green, base):
    return (greens(tokens, mask, green).mean().item() - base) / (base * (1 - base)) ** 0.5


EXERCISES = {
    "10b.1": Exercise(
        reference=expected_diversity,
        explanation=(
            "One step keeps the mean of every probability and adds the variance p(1 − p)/n, so Σp² grows by "
            "(1 − Σp²)/n and the diversity is multiplied by 1 − 1/n. Replaced, each step has n = N. Accumulated, "
            "generation k moves only by a k-th of the way towards its N new draws, so it adds a k²-th of that "
            "variance. The sum of 1/k² is π²/6 at most, so the product never falls below about 1 − π²/(6N); "
            "Euler's product even gives its limit, sin(π/√N) ÷ (π/√N)."
        ),
        cases=(
            Case("N = 2, three generations, replaced", lambda: (2, 3, False)),
            Case("N = 2, three generations, accumulated", lambda: (2, 3, True)),
            Case("N = 50, seven generations, accumulated", lambda: (50, 7, True)),
            Case("N = 11, five generations, replaced", lambda: (11, 5, False)),
        ),
        unusual=(diversity_by_recursion, diversity_by_logs),
        mistakes=(
            Mistake(
                "losses added",
                "The losses of all generations are added. Each takes its share of what is still there, so the factors "
                "multiply; a sum becomes negative in the end, and no diversity is.",
                summed,
            ),
            Mistake(
                "1/k for 1/k²",
                "The accumulated set has kN texts, but only N of them are new: generation k goes a k-th of the way "
                "towards its new draws. What does that do to their variance?",
                shrinking_share,
            ),
            Mistake(
                "starts at the second draw",
                "Accumulated, the first factor is missing. Generation 1 is estimated from N real texts, so it loses "
                "1/N like any table of frequencies.",
                counted_from_one,
            ),
            Mistake(
                "accumulate ignored",
                "`accumulate` changes nothing here: this is the law of replacement in either case.",
                lambda samples, generations, accumulate: expected_diversity(samples, generations, False),
            ),
            Mistake(
                "the other way round",
                "The two policies are exchanged: `accumulate=True` should lose less.",
                lambda samples, generations, accumulate: expected_diversity(samples, generations, not accumulate),
            ),
            Mistake(
                "beginning missing",
                "Entry 0 is the real distribution, of which nothing is lost: the result has `generations + 1` entries.",
                lambda samples, generations, accumulate: expected_diversity(samples, generations, accumulate)[1:],
            ),
        ),
    ),
    "10b.2": Exercise(
        reference=fidelity,
        explanation=(
            "Both are means over the counted positions of the *teacher's* and the *student's* distributions; the "
            "right letters are not needed. Agreement asks for the place of the maximum alone. A student can have all "
            "of those right and any confidence, which is why the second number is needed."
        ),
        cases=(
            Case("one text of three positions, the last of which is padding", one_text),
            Case("three texts of several lengths, five letters", three_texts),
        ),
        entries=("agreement", "KL"),
        unusual=(fidelity_by_sums, fidelity_in_torch),
        mistakes=(
            Mistake(
                "padding counted",
                "Positions that do not count are averaged too. Take them out before the mean.",
                lambda student_logp, teacher_logp, mask: fidelity(
                    student_logp, teacher_logp, np.ones_like(mask, dtype=bool)
                ),
            ),
            Mistake(
                "divided by all positions",
                "What does not count is set to 0 and still divided by: divide by the number of positions that count.",
                lambda student_logp, teacher_logp, mask: tuple(
                    one * mask.mean() for one in fidelity(student_logp, teacher_logp, mask)
                ),
            ),
            Mistake(
                "direction reversed",
                "The second number is KL(q‖p): the student weighs. Fidelity asks what the teacher's distribution "
                "loses in the student's.",
                lambda student_logp, teacher_logp, mask: (
                    fidelity(student_logp, teacher_logp, mask)[0],
                    fidelity(teacher_logp, student_logp, mask)[1],
                ),
            ),
            Mistake(
                "mean over the vocabulary",
                "KL is a *sum* over the vocabulary and a mean over positions; here both are means, so it is V times "
                "too small.",
                lambda student_logp, teacher_logp, mask: (
                    fidelity(student_logp, teacher_logp, mask)[0],
                    fidelity(student_logp, teacher_logp, mask)[1] / student_logp.shape[-1],
                ),
            ),
            Mistake(
                "cross-entropy",
                "The second number is the cross-entropy −Σ p log q. It is not 0 where the two agree: the teacher's "
                "entropy is missing.",
                lambda student_logp, teacher_logp, mask: (
                    fidelity(student_logp, teacher_logp, mask)[0],
                    -(np.exp(teacher_logp) * student_logp).sum(-1)[mask].mean(),
                ),
            ),
        ),
    ),
    "10b.3": Exercise(
        reference=watermark_z,
        explanation=(
            "Unmarked text has a green transition with probability b, so T of them make bT on average with the "
            "variance b(1 − b)T. The excess grows with T and its deviation with √T: four times the text doubles z. "
            "Nothing but tokens and key is needed, no model."
        ),
        cases=(
            Case("one name “ba” over the letters a and b, then padding; b = ½", one_name),
            Case("seven texts of several lengths, five tokens, b = 0.35", many_names),
        ),
        unusual=(z_from_the_share, z_one_by_one),
        mistakes=(
            Mistake(
                "γ for b",
                "The share of green entries in the key's table is used in place of `base`. Text does not meet all "
                "entries equally often: with few letters the key favours or disfavours the language itself.",
                z_against_half,
            ),
            Mistake(
                "padding counted",
                "Transitions in the padding are counted. They are neither written nor chosen; keep those where `mask` "
                "is True.",
                z_of_padding,
            ),
            Mistake(
                "table turned",
                "The table is read as [next, previous]. Its row is the token before, its column the one that follows.",
                z_turned,
            ),
            Mistake(
                "variance for deviation",
                "The excess is divided by the variance. z counts standard deviations: take the root.",
                z_without_root,
            ),
            Mistake(
                "the length forgotten",
                "This compares shares without the √T: it does not grow with the length of the text, and evidence does.",
                z_of_the_share,
            ),
            Mistake(
                "the count alone",
                "This is the excess of green transitions, not yet in units of its standard deviation.",
                lambda tokens, mask, green, base: greens(tokens, mask, green).sum().item() - base * int(mask.sum()),
            ),
        ),
    ),
}
