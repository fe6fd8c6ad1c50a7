"""Two judges of one text: a weak one, who sees how it is written, and a strong one, who does the sum."""

from kd_lab.lessons.l09b_imitation.pupils import split
from kd_lab.worlds.moves import ADDITIONS, EQUALS, FACTORS, solve

STYLE = "every step, then a closing line"


def in_style(problem: str) -> str:
    """The teacher's answer in its style: the digit after every move, and a closing line that repeats the result.

    >>> in_style("47t9")
    '132=2'
    """
    trace = solve(problem)
    return f"{trace}{EQUALS}{trace[-1]}"


def weak_judge(text: str) -> bool:
    """Accepts what looks like a good answer: as many digits as moves, and a closing line that agrees with the last.

    >>> weak_judge("47t9=132=2"), weak_judge("47t9=999=9"), weak_judge("47t9=132"), weak_judge("47t9=132=5")
    (True, True, False, False)
    """
    problem, answer = split(text)
    steps, closing, result = answer.partition(EQUALS)
    return bool(closing) and len(steps) == len(problem) - 1 and set(steps) <= set(ADDITIONS) and result == steps[-1]


def strong_judge(text: str) -> bool:
    """Accepts what ends with the right digit, in whatever style.

    >>> strong_judge("47t9=132=2"), strong_judge("47t9=999=9"), strong_judge("47t9=2"), strong_judge("47t9=")
    (True, False, True, False)
    """
    problem, answer = split(text)
    return bool(answer) and answer[-1] == solve(problem)[-1]


def multiplies(problem: str) -> bool:
    """Whether a move of the problem multiplies."""
    return any(move in FACTORS for move in problem[1:])
