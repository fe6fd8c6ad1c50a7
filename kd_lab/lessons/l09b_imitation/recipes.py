"""Four recipes for examples, on one synthetic teacher that can write problems and solve them, now and then with a slip.

- Self-Instruct: from a pool of seed problems the teacher writes more like them.
- Evol-Instruct: in rounds, it rewrites each problem into a harder one.
- Explanations, as in Orca: it answers with its steps and not with the result alone.
- Verified sampling: it answers several times, and a verifier keeps an answer that is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kd_lab.worlds import verify
from kd_lab.worlds.moves import ADDITIONS, FACTORS, FACTS

SLIP = 0.04  # the chance that a move of the teacher's goes wrong, by one
EXAMPLES, SEEDS, ROUNDS, MOST_MOVES, TRIES = 4000, 40, 6, 5, 6


@dataclass(frozen=True)
class Data:
    """A recipe for examples."""

    evolved: bool = False  # problems from Evol-Instruct, else from Self-Instruct
    explained: bool = False  # answers are traces, else the last digit alone
    verified: bool = False  # answers are sampled until the verifier accepts one


RECIPES = {
    "Self-Instruct": Data(),
    "Evol-Instruct": Data(evolved=True),
    "explanations, easy problems": Data(explained=True),
    "explanations": Data(evolved=True, explained=True),
    "explanations, verified": Data(evolved=True, explained=True, verified=True),
}
"""All four, and one control: explanations without the evolution."""


def seed_problems(generator: np.random.Generator, count: int = SEEDS) -> list[str]:
    """Problems that people wrote: short ones, of one or two moves."""
    found: dict[str, None] = {}
    while len(found) < count:
        found[str(generator.integers(10)) + "".join(_move(generator) for _ in range(generator.integers(1, 3)))] = None
    return list(found)


def _move(generator: np.random.Generator) -> str:
    kinds = ADDITIONS if generator.random() < 0.75 else "".join(FACTORS)
    return kinds[generator.integers(len(kinds))]


def self_instruct(pool: Sequence[str], count: int, generator: np.random.Generator) -> list[str]:
    """`count` examples' problems: more like those of the pool, each from the halves of two of them.

    A problem that is there already is not taken again while there are others, as the source drops what is too similar.
    """
    found = dict.fromkeys(pool)
    for _ in range(20 * count):
        if len(found) >= count:
            break
        one, other = generator.choice(list(pool), 2)
        cut = generator.integers(1, len(one) + 1)
        new = (one[:cut] + other[min(cut, len(other) - 1) :])[: max(len(one), len(other))]
        new = str(generator.integers(10)) + new[1:]
        if len(new) >= 2:
            found[new] = None
    problems = list(found)[:count]
    return [problems[i] for i in generator.integers(len(problems), size=count)] if len(problems) < count else problems


def harder(problem: str, generator: np.random.Generator) -> str:
    """One step of evolution in depth: a move more, or an addition turned into a multiplication."""
    additions = [place for place, move in enumerate(problem[1:], 1) if move in ADDITIONS]
    if len(problem) <= MOST_MOVES and (not additions or generator.random() < 0.7):
        return problem + _move(generator)
    if not additions:
        return problem
    place = additions[generator.integers(len(additions))]
    return problem[:place] + list(FACTORS)[generator.integers(len(FACTORS))] + problem[place + 1 :]


def evol_instruct(
    pool: Sequence[str], count: int, generator: np.random.Generator, rounds: int = ROUNDS
) -> list[list[str]]:
    """The problems of each round: round 0 is like the pool, and every other makes those before it harder.

    Returns:
        rounds + 1 lists of about `count` / (rounds + 1) problems each; together they are the examples' problems.
    """
    share = -(-count // (rounds + 1))
    generations = [self_instruct(pool, share, generator)]
    for _ in range(rounds):
        generations.append([harder(problem, generator) for problem in generations[-1]])
    return generations


def teacher_solves(problem: str, generator: np.random.Generator) -> str:
    """The teacher's trace: each move goes wrong with probability SLIP, and the rest follows from it."""
    digit, trace = int(problem[0]), ""
    for move in problem[1:]:
        digit = (FACTS[digit, move] + (generator.random() < SLIP)) % 10
        trace += str(digit)
    return trace


def examples(data: Data, seed: int) -> tuple[list[str], list[str]]:
    """EXAMPLES problems and the teacher's answers, by one recipe."""
    generator = np.random.default_rng(seed)
    pool = seed_problems(generator)
    if data.evolved:
        problems = [problem for generation in evol_instruct(pool, EXAMPLES, generator) for problem in generation]
    else:
        problems = self_instruct(pool, EXAMPLES, generator)
    kept, answers = [], []
    for problem in problems:
        for _ in range(TRIES if data.verified else 1):
            trace = teacher_solves(problem, generator)
            if not data.verified or verify(f"{problem}={trace}"):
                kept.append(problem)
                answers.append(trace if data.explained else trace[-1])
                break
    return kept, answers
