"""Sums told move by move, with a verifier: a world in which an answer is right or wrong, and each step of it too.

A problem is a digit and a few moves, and its answer is the digit at the end. A move adds a digit, or multiplies by 3
(t), 7 (s) or 9 (n); of each result the last digit is kept. The trace writes the digit after every move:

    47t9=132     4 + 7 = 11, keep 1; 1 · 3 = 3; 3 + 9 = 12, keep 2: the answer is 2

Answering at once means doing all the moves in the head; a trace does one at a time.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.arguments import checked
from kd_lab.worlds.batch import Batch, Vocabulary
from kd_lab.worlds.world import World

FACTORS = {"t": 3, "s": 7, "n": 9}
"""The moves that multiply. Each has an inverse modulo 10, so that no digit is lost on the way."""

ADDITIONS = "0123456789"
MOVES = ADDITIONS + "".join(FACTORS)
EQUALS = "="
SYMBOLS = Vocabulary("." + MOVES + EQUALS)

MULTIPLICATIONS = 0.25
"""The share of the moves that multiply."""

MOST_STEPS, MOST_PROBLEMS = 100, 10_000_000

Facts = Mapping[tuple[int, str], int]
"""(digit, move) → the digit after the move."""

FACTS: Facts = {
    (digit, move): (digit * FACTORS[move] if move in FACTORS else digit + int(move)) % 10
    for digit in range(10)
    for move in MOVES
}
"""All 130 of them, as they are."""


@checked
def solve(problem: str, facts: Facts = FACTS) -> str:
    """The trace of a problem: the digit after every move.

    Args:
        problem: a digit and then moves.
        facts: of the one who solves it; somebody's may be wrong.

    Raises:
        ValueError: the problem does not begin with a digit, has no move, or one that nobody knows.

    >>> solve("47t9")
    '132'
    >>> solve("47t9", {**FACTS, (1, "t"): 5})  # one wrong fact, and the rest of the trace follows from it
    '154'
    """
    _check_facts(facts)
    return _trace(problem, facts)


def _check_facts(facts: Facts) -> None:
    wanting = [key for key in FACTS if facts.get(key) not in range(10)]
    if wanting:
        raise ValueError(
            f"facts gives {facts.get(wanting[0])!r:.50} for {wanting[0]}, and no digit for {len(wanting)} of "
            f"{len(FACTS)} pairs of a digit and a move; expected a digit for each: begin with {{**FACTS, …}}"
        )


def _check_problem(problem: str) -> None:
    if len(problem) < 2 or problem[0] not in ADDITIONS or not set(problem[1:]) <= set(MOVES):
        raise ValueError(f"problem is {problem!r:.200}; expected a digit and then moves from {MOVES!r}, such as '47t9'")


def _trace(problem: str, facts: Facts = FACTS) -> str:
    """As `solve`; a world asks for tens of thousands, and its facts need to be checked but once."""
    _check_problem(problem)
    digit, written = int(problem[0]), []
    for move in problem[1:]:
        digit = facts[digit, move]
        written.append(str(digit))
    return "".join(written)


@checked
def verify(text: str) -> bool:
    """Whether a text such as "47t9=132" ends with the right digit. This is the outcome alone: the way may be any.

    At most as many digits count as an answer as there are moves; whatever else stands behind the "=" is wrong.

    Raises:
        ValueError: digits stand behind the "=" and what stands before it is no problem.

    >>> [verify(text) for text in ("47t9=132", "47t9=2", "47t9=002", "47t9=131", "47t9=", "47t9=1322")]
    [True, True, True, False, False, False]
    """
    return _right(text)


def _right(text: str) -> bool:
    problem, _, answer = text.partition(EQUALS)
    if not answer or len(answer) > len(problem) - 1 or not set(answer) <= set(ADDITIONS):
        return False
    return answer[-1] == _trace(problem)[-1]


@checked
def verified_steps(text: str) -> list[bool]:
    """For each digit of a trace, whether the move before it was done right from the digit that the trace itself wrote.

    So a slip is one wrong step, and the steps that follow from it may be right again. Digits beyond the moves are left
    out, as are moves without a digit: `verify` is what says that a text is right.

    Raises:
        ValueError: what stands before the "=" is no problem.

    >>> verified_steps("47t9=154")
    [True, False, True]
    """
    problem, _, answer = text.partition(EQUALS)
    _check_problem(problem)
    before = problem[0] + answer
    return [
        digit in ADDITIONS and before[i] in ADDITIONS and FACTS[int(before[i]), move] == int(digit)
        for i, (move, digit) in enumerate(zip(problem[1:], answer, strict=False))
    ]


@checked
def draw_problems(count: int, generator: torch.Generator, steps: int = 5) -> list[str]:
    """Different problems of `steps` moves, a quarter of which multiply.

    Raises:
        ValueError: `count` or `steps` is below 1, or there are hardly as many problems.
    """
    if count < 1 or not 1 <= steps <= MOST_STEPS:
        raise ValueError(
            f"count is {count} and steps is {steps}; expected at least 1 of each, and {MOST_STEPS} steps at most"
        )
    if 2 * count > 10 * len(MOVES) ** steps or count > MOST_PROBLEMS:
        raise ValueError(
            f"count is {count} for problems of {steps} moves; expected at most {MOST_PROBLEMS:,}, and at most half of "
            f"the {10 * len(MOVES) ** steps:,} that there are: ask for fewer problems, or for more steps"
        )
    found: dict[str, None] = {}
    while len(found) < count:
        first = torch.randint(10, (count,), generator=generator)
        multiplies = torch.rand(count, steps, generator=generator) < MULTIPLICATIONS
        added = torch.randint(10, (count, steps), generator=generator)
        factors = 10 + torch.randint(len(FACTORS), (count, steps), generator=generator)
        moves = torch.where(multiplies, factors, added).tolist()
        for digit, row in zip(first.tolist(), moves, strict=True):
            found[str(digit) + "".join(MOVES[i] for i in row)] = None
    return list(found)[:count]


@checked
def answered(problems: Sequence[str], answers: Sequence[str], width: int | None = None) -> Batch:
    """Problems with their answers as a batch: all up to the "=" is given, and the answer counts with its end.

    Args:
        problems: such as "47t9".
        answers: as many texts, such as "132", or "2" alone.
        width: columns of the batch, L; by default as many as the longest row needs.

    Raises:
        ValueError: numbers of problems and answers differ, or a row is longer than `width`.

    >>> batch = answered(["47t9", "12"], ["132", "3"])
    >>> SYMBOLS.decode(batch.tokens), batch.mask.sum(1).tolist()
    (['47t9=132', '12=3'], [4, 2])
    """
    if len(problems) != len(answers):
        raise ValueError(f"{len(problems)} problems came with {len(answers)} answers; expected one answer for each")
    tokens = SYMBOLS.encode(problem + EQUALS + answer for problem, answer in zip(problems, answers, strict=True))
    if width is not None and width < tokens.shape[1]:
        raise ValueError(f"width is {width}; expected at least {tokens.shape[1]}, the ids of the longest row")
    if width is not None:
        tokens = torch.nn.functional.pad(tokens, (0, width - tokens.shape[1]), value=SYMBOLS.pad)
    lengths = torch.tensor([len(problem) + 2 for problem in problems])  # the mark before it and the "=" behind it
    return Batch.from_tokens(tokens, lengths, end=SYMBOLS.end)


@checked
def moves(
    rows: int = 20_000, seed: int = 0, *, steps: int = 5, form: str = "trace", facts: Facts = FACTS, held_out: int = 500
) -> World:
    """Problems of `steps` moves and their answers, as a world: completion after the "=".

    Args:
        rows: training texts.
        seed: of the problems.
        steps: moves of each problem.
        form: "trace" writes every digit, "answer" the last one alone. Rows of both have as many columns, so that one
            student can read either.
        facts: of the one who wrote the training texts. The held-out texts are always right.
        held_out: problems that are in no training text.

    Raises:
        ValueError: there is no such form, or a number is out of range.

    >>> world = moves(rows=3, held_out=2)
    >>> world.vocabulary.decode(world.train.tokens[:1])
    ['3836n1=14001']
    >>> [verify(text) for text in world.vocabulary.decode(world.held_out.tokens)]
    [True, True]
    """
    if form not in ("trace", "answer"):
        raise ValueError(f'form is {form!r}; expected "trace" or "answer"')
    _check_facts(facts)
    if rows < 1 or held_out < 1:
        raise ValueError(f"rows is {rows} and held_out is {held_out}; expected at least one text of each")
    drawn = draw_problems(held_out + rows, torch.Generator().manual_seed(seed), steps)
    test, train = drawn[:held_out], drawn[held_out:]
    shown: Callable[[str], str] = (lambda trace: trace) if form == "trace" else (lambda trace: trace[-1])
    width = 2 * steps + 4  # the mark, the digit, the moves, "=", the trace, the end
    return World(
        "moves",
        SYMBOLS,
        answered(train, [shown(_trace(problem, facts)) for problem in train], width),
        answered(test, [shown(_trace(problem)) for problem in test], width),
    )


@checked
def rewards(texts: Sequence[str]) -> Float[Tensor, " B"]:
    """The verifier's reward of each text: 1 where the answer is right, else 0.

    >>> rewards(["47t9=132", "47t9=131"])
    tensor([1., 0.])
    """
    return torch.tensor([float(_right(text)) for text in texts])
