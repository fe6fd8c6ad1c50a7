"""Exercises of lesson 09b: reference solutions, and the mistakes that their checks name."""

import numpy as np
import torch
from torch import tensor

from kd_lab.classroom.diagnosis import Case, Exercise, Mistake

# ---- 09b.1: how often a judge is fooled -----------------------------------------------------------------------------


def fooled(accepted, right):
    """The share of the wrong answers that the judge accepts, 0 where no answer is wrong: two bool [N] -> float."""
    wrong = ~right
    # Of the wrong ones alone: a judge who never meets a wrong answer cannot be fooled.
    return float(accepted[wrong].float().mean()) if wrong.any() else 0.0


def fooled_by_counting(accepted, right):
    """Two counters, answer by answer."""
    taken = met = 0
    for yes, good in zip(accepted.tolist(), right.tolist(), strict=True):
        met += not good
        taken += yes and not good
    return taken / max(met, 1)


def fooled_by_numpy(accepted, right):
    """A ratio of sums in numpy."""
    yes, bad = np.asarray(accepted, dtype=float), 1 - np.asarray(right, dtype=float)
    return np.divide((yes * bad).sum(), bad.sum(), out=np.zeros(()), where=bad.sum() > 0)


def _ratio(part, whole):
    return float(part.sum()) / max(float(whole.sum()), 1.0)


FOOLED = Exercise(
    reference=fooled,
    unusual=(fooled_by_counting, fooled_by_numpy),
    explanation=(
        "The condition decides: among the answers that are *wrong*, how many pass? It is the false-positive rate of "
        "the "
        "judge. A judge who accepts everything has 1, one who accepts nothing has 0, and both are useless; so it is "
        "read beside the share of right answers that pass."
    ),
    cases=(
        Case(
            "five answers, three of them wrong, of which the judge takes two",
            lambda: (tensor([True, True, False, True, False]), tensor([False, True, False, False, True])),
        ),
        Case(
            "seven answers, one of them right",
            lambda: (
                tensor([True, False, True, True, False, True, True]),
                tensor([True, False, False, False, False, False, False]),
            ),
        ),
        Case("four answers, all right", lambda: (tensor([True, False, True, True]), torch.ones(4, dtype=torch.bool))),
    ),
    mistakes=(
        Mistake(
            "of all answers",
            "The accepted wrong answers are divided by all answers. A student with few wrong ones then makes every "
            "judge "
            "look careful. Divide by the wrong ones.",
            lambda accepted, right: _ratio(accepted & ~right, torch.ones_like(right)),
        ),
        Mistake(
            "of the accepted ones",
            "This is the share of wrong ones among the accepted. It depends on how good the student is; asked for "
            "is how "
            "many of the wrong ones pass.",
            lambda accepted, right: _ratio(accepted & ~right, accepted),
        ),
        Mistake(
            "acceptance of all",
            "This is how often the judge accepts at all, right answers included.",
            lambda accepted, right: float(accepted.float().mean()),
        ),
        Mistake(
            "of the right ones",
            "This is the share of the *right* answers that pass.",
            lambda accepted, right: _ratio(accepted & right, right),
        ),
        Mistake(
            "every error of the judge",
            "This counts every disagreement between judge and truth, right answers that are refused among them. "
            "A judge is fooled by a wrong answer that it accepts.",
            lambda accepted, right: float((accepted != right).float().mean()),
        ),
        Mistake(
            "nothing divided by nothing",
            "Where no answer is wrong this is 0/0. Nobody was fooled there: return 0.",
            lambda accepted, right: float(accepted[~right].float().mean()),
        ),
    ),
)


# ---- 09b.2: evolution ----------------------------------------------------------------------------------------------


def evolve(seeds, rewrite, rounds):
    """All generations of problems in one list: the seeds, then every rewrite that changed something."""
    everything, current = list(seeds), list(seeds)
    for number in range(1, rounds + 1):
        rewritten = [rewrite(problem, number) for problem in current]
        everything += [new for new, old in zip(rewritten, current, strict=True) if new != old]
        # What could not be rewritten stays as it was, and is tried again in the next round.
        current = rewritten
    return everything


def evolve_by_lineage(seeds, rewrite, rounds):
    """Round by round into a list of lists, joined at the end; a tuple."""
    lines = [[problem] for problem in seeds]
    grown = [tuple(seeds)]
    for number in range(rounds):
        born = []
        for line in lines:
            child = rewrite(line[-1], number + 1)
            if child != line[-1]:
                line.append(child)
                born.append(child)
        grown.append(tuple(born))
    return tuple(problem for generation in grown for problem in generation)


def evolve_by_recursion(seeds, rewrite, rounds, number=1):
    """The first generation, and then the rest of the evolution from there."""
    if number > rounds:
        return [*seeds]
    after = [rewrite(problem, number) for problem in seeds]
    rest = evolve_by_recursion(after, rewrite, rounds, number + 1)
    kept = [new for new, old in zip(after, seeds, strict=True) if new != old]
    return [*seeds, *kept, *rest[len(after) :]]


def _rewrite(problem, number):
    """A move more, as long as there is room; in round 1 nothing that ends with a "t" can be rewritten."""
    if len(problem) >= 5 or (number == 1 and problem.endswith("t")):
        return problem
    return problem + str(number)


def _last_round_only(seeds, rewrite, rounds):
    current = list(seeds)
    for number in range(1, rounds + 1):
        current = [rewrite(problem, number) for problem in current]
    return current


def _always_from_the_seeds(seeds, rewrite, rounds):
    everything = list(seeds)
    for number in range(1, rounds + 1):
        rewritten = [rewrite(problem, number) for problem in seeds]
        everything += [new for new, old in zip(rewritten, seeds, strict=True) if new != old]
    return everything


def _keeps_failures(seeds, rewrite, rounds):
    everything, current = list(seeds), list(seeds)
    for number in range(1, rounds + 1):
        current = [rewrite(problem, number) for problem in current]
        everything += current
    return everything


def _gives_up(seeds, rewrite, rounds):
    everything, current = list(seeds), list(seeds)
    for number in range(1, rounds + 1):
        pairs = [(problem, rewrite(problem, number)) for problem in current]
        current = [new for old, new in pairs if new != old]
        everything += current
    return everything


def _everything_again(seeds, rewrite, rounds):
    everything = list(seeds)
    for number in range(1, rounds + 1):
        rewritten = [rewrite(problem, number) for problem in everything]
        everything += [new for new, old in zip(rewritten, everything, strict=True) if new != old]
    return everything


EVOLVE = Exercise(
    reference=evolve,
    unusual=(evolve_by_lineage, evolve_by_recursion),
    explanation=(
        "Each round starts from the problems as the last one left them, so that difficulty grows step by step; all "
        "rounds stay in the data, so that the student meets easy problems as well as hard ones. A rewrite that changed "
        "nothing has failed: it would only repeat a problem, and is tried again later."
    ),
    cases=(
        Case("two seeds, one round", lambda: (["47", "12"], _rewrite, 1)),
        Case("two seeds, two rounds", lambda: (["47", "12"], _rewrite, 2)),
        Case("three seeds, three rounds; the second fails in round 1", lambda: (["47", "5t", "3n2"], _rewrite, 3)),
    ),
    mistakes=(
        Mistake(
            "the last round alone",
            "Only the hardest problems are returned. The mixture of all rounds is the data: easy ones teach what hard "
            "ones are made of.",
            _last_round_only,
        ),
        Mistake(
            "always from the seeds",
            "Each round rewrites the seeds once more, so that nothing gets harder than one step. Go on from the last "
            "round's problems.",
            _always_from_the_seeds,
        ),
        Mistake(
            "failures kept",
            "A rewrite that changed nothing is added to the data, where it repeats a problem. Leave it out.",
            _keeps_failures,
        ),
        Mistake(
            "given up",
            "A problem whose rewrite failed is never tried again. Keep it for the next round as it was.",
            _gives_up,
        ),
        Mistake(
            "all generations rewritten",
            "Each round rewrites everything there is, old generations too, and the data double with each round. Go "
            "on from "
            "the last round's problems.",
            _everything_again,
        ),
        Mistake(
            "seeds left out",
            "The seeds are missing. They are round 0, and part of the data.",
            lambda seeds, rewrite, rounds: evolve(seeds, rewrite, rounds)[len(seeds) :],
        ),
    ),
)


# ---- 09b.3: verified sampling ---------------------------------------------------------------------------------------


def verified(problems, ask, right, tries):
    """One right answer for each problem that gets one within `tries`: a list of (problem, answer)."""
    kept = []
    for problem in problems:
        for attempt in range(tries):
            answer = ask(problem, attempt)
            if right(problem, answer):
                kept.append((problem, answer))
                break  # the first is enough: more of them would repeat what the teacher finds easy
    return kept


def verified_by_next(problems, ask, right, tries):
    """The first right answer, or None, with `next`."""
    firsts = (next((a for i in range(tries) if right(p, a := ask(p, i))), None) for p in problems)
    return [(p, a) for p, a in zip(problems, firsts, strict=True) if a is not None]


def verified_in_rounds(problems, ask, right, tries):
    """Ask all, then those again that are still without an answer; a tuple of lists."""
    found = {}
    for attempt in range(tries):
        for place, problem in enumerate(problems):
            if place not in found and right(problem, answer := ask(problem, attempt)):
                found[place] = answer
    return tuple([problems[place], found[place]] for place in sorted(found))


def _ask(problem, attempt):
    """The answers of a teacher who gets some problems right at once, some later, and some never."""
    return {"47": ["1", "1", "2"], "12": ["5", "3", "3"], "9t": ["1", "1", "1"], "8n": ["0", "0", "2"]}[problem][
        attempt
    ]


def _right(problem, answer):
    return answer == {"47": "1", "12": "3", "9t": "7", "8n": "2"}[problem]


def _first_only(problems, ask, right, tries):
    return [(problem, ask(problem, 0)) for problem in problems if right(problem, ask(problem, 0))]


def _last_if_none(problems, ask, right, tries):
    kept = []
    for problem in problems:
        answers = [ask(problem, attempt) for attempt in range(tries)]
        kept.append((problem, next((one for one in answers if right(problem, one)), answers[-1])))
    return kept


def _all_right_ones(problems, ask, right, tries):
    answers = [(problem, ask(problem, attempt)) for problem in problems for attempt in range(tries)]
    return [(problem, answer) for problem, answer in answers if right(problem, answer)]


def _stops(problems, ask, right, tries):
    kept = []
    for problem in problems:
        found = verified([problem], ask, right, tries)
        if not found:
            break
        kept += found
    return kept


VERIFIED = Exercise(
    reference=verified,
    unusual=(verified_by_next, verified_in_rounds),
    entries=(),
    explanation=(
        "Two loops and a `break`. One answer for each problem keeps the mixture of problems as it was asked for, "
        "but for "
        "those that the teacher never solves: they are gone, and with them what they could have taught. That is the "
        "ceiling of lesson 09."
    ),
    cases=(
        Case("one problem, solved at the first try", lambda: (["47"], _ask, _right, 3)),
        Case("two problems, the second solved at the second try", lambda: (["47", "12"], _ask, _right, 3)),
        Case("the first is never solved", lambda: (["9t", "8n", "12"], _ask, _right, 3)),
        Case("two tries alone", lambda: (["8n", "12"], _ask, _right, 2)),
    ),
    mistakes=(
        Mistake(
            "one try",
            "Only the first answer is looked at. A problem that the teacher solves at its second try is lost, and "
            "those "
            "are the harder ones.",
            _first_only,
        ),
        Mistake(
            "unverified answer kept",
            "Where no answer is right the last one is kept all the same. An example that the verifier refused "
            "teaches a "
            "mistake; leave the problem out.",
            _last_if_none,
        ),
        Mistake(
            "every right answer kept",
            "All right answers of a problem are kept, so that easy problems stand in the data most often. Stop at the "
            "first.",
            _all_right_ones,
        ),
        Mistake(
            "everything stopped",
            "A problem that is never solved ends the whole loop. Go on with the next one.",
            _stops,
        ),
        Mistake(
            "a try too few",
            "One try too few is made.",
            lambda problems, ask, right, tries: verified(problems, ask, right, tries - 1),
        ),
        Mistake(
            "wrong ones kept",
            "The test is the wrong way round: it keeps the answers that the verifier refuses.",
            lambda problems, ask, right, tries: verified(problems, ask, lambda p, a: not right(p, a), tries),
        ),
    ),
)

EXERCISES = {"09b.1": FOOLED, "09b.2": EVOLVE, "09b.3": VERIFIED}
