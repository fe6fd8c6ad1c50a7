"""The draws on which an exercise is graded: chosen where its solutions are, repeated where they are not."""

import hashlib
import time
from dataclasses import dataclass
from typing import Any

from kd_lab.classroom.answers import close, finite
from kd_lab.classroom.diagnosis import Case, Exercise, asked
from kd_lab.classroom.recorded import decode, encode
from kd_lab.teaching.fresh import draw, zero_like

EACH = 2
"""The draws for each case of an exercise."""

ENOUGH, MOST = 2, 20
"""The draws that have to count before an exercise is graded, and the rounds in which they are looked for."""

TRIES = 12
"""Seeds that are tried for a draw which the solution and every unusual one answer alike."""


@dataclass(frozen=True)
class Draw:
    """One call on which a submission is graded, and what it should answer."""

    case: int  # the number of the case among the exercise's
    seed: int | None  # None for the case itself, which students know
    bold: bool
    expected: Any
    easy: bool  # whether zeros, None, or an argument handed back would be right as well
    seconds: float  # that the solution took

    def inputs(self, exercise: Exercise) -> tuple[Any, ...]:
        """The arguments, fresh for each call."""
        return inputs(exercise.cases[self.case], self.seed, self.bold)

    @property
    def counts(self) -> bool:
        """Whether it earns credit by itself; the others are conditions of full credit."""
        return self.seed is not None and not self.easy


def inputs(case: Case, seed: int | None, bold: bool) -> tuple[Any, ...]:
    return case.inputs() if seed is None else draw(case, seed, bold)


def draws_of(identifier: str, exercise: Exercise, secret: str) -> list[Draw]:
    """The draws of an exercise, the same for every student of a course: two fresh ones for each case, and itself.

    The case itself is a condition beside them: what it shows may need its very numbers, such as a row of zeros.

    Args:
        identifier: such as "03.1".
        exercise: with its solutions.
        secret: of the course; anyone who has it can draw the same.
    """
    found = [measured(exercise, number, None, False) for number in range(len(exercise.cases))]
    known = [one.expected for one in found]
    for turn in range(MOST):
        if turn >= EACH and sum(one.counts for one in found) >= ENOUGH:
            break
        for number, answer in enumerate(known):
            if one := fresh_draw(identifier, exercise, number, answer, secret, turn):
                found.append(one)
    return found


def fresh_draw(identifier: str, exercise: Exercise, number: int, known: Any, secret: str, turn: int) -> Draw | None:
    """One draw for a case: one that is answered in one way only, and otherwise than the case that students know."""
    for attempt in range(TRIES):
        text = f"{secret} {identifier} {number} {turn} {attempt}"
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
        try:
            one = measured(exercise, number, seed, bold=attempt >= TRIES // 2)
            if close(one.expected, known, exercise.tolerance) or (finite(known) and not finite(one.expected)):
                continue
            others = [asked(exercise, other)(*one.inputs(exercise)) for other in exercise.unusual]
        except Exception:  # arguments that the solution does not take
            continue
        if all(close(other, one.expected, exercise.tolerance) for other in others):
            return one
    return None


def measured(exercise: Exercise, number: int, seed: int | None, bold: bool) -> Draw:
    """A draw with the solution's answer."""
    arguments = inputs(exercise.cases[number], seed, bold)
    began = time.process_time()
    expected = asked(exercise, exercise.reference)(*arguments)
    seconds = time.process_time() - began
    handed_back = [None, zero_like(expected), *inputs(exercise.cases[number], seed, bold)]
    easy = any(close(decode(encode(one)), expected, exercise.tolerance) for one in handed_back)
    return Draw(number, seed, bold, expected, easy, seconds)
