"""Exercises as data, and the diagnosis of an answer: which misconception, at which smallest counterexample.

A check calls the learner's function on a few small cases. Where the answer differs from the reference's, it is compared
with what known mistakes would have answered there, so that the learner hears which mistake it looks like and sees the
case, never the solution.
"""

import dis
import linecache
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from inspect import signature, unwrap
from typing import Any

import numpy as np

from kd_lab.classroom.answers import brief, close, difference, finite, unchanged
from kd_lab.classroom.guard import Endless, contained, time_limit
from kd_lab.classroom.parts import part_of
from kd_lab.classroom.recorded import Replay
from kd_lab.optional_torch import Tensor


class Misconception(Exception):
    """The fault of an answer: a sentence, and the smallest case that shows it as lines of text."""

    def __init__(self, message: str, example: tuple[str, ...] = (), name: str = ""):
        super().__init__(message)
        self.message, self.example = message, example
        self.name = name  # of the known mistake that explains it


class NotStarted(Exception):
    """The learner's function has no body yet."""


@dataclass(frozen=True)
class Case:
    """One call of the function under check. Put the smallest first: it is the one that a learner sees."""

    description: str  # such as "p = (½, ¼, ¼), q = (¼, ¼, ½)"
    inputs: Callable[[], tuple[Any, ...]]  # fresh positional arguments, so that no call sees what another one changed
    drawn: Callable[[np.random.Generator], tuple[Any, ...]] | None = None  # other arguments of this kind, for a grade


@dataclass(frozen=True)
class Mistake:
    """A plausible wrong answer: what it is called, what its author is told, and the wrong function itself."""

    name: str  # two or three words, such as "direction reversed"
    message: str  # names the misconception and points at the idea; never gives the solution
    function: Callable[..., Any]


@dataclass(frozen=True)
class Exercise:
    """A function that the learner writes.

    The body of `reference` is the solution: the builder puts it into the solved edition and, with `explanation`, into
    the fold under the exercise.
    """

    reference: Callable[..., Any]
    explanation: str  # markdown: why the solution is what it is
    cases: tuple[Case, ...]
    mistakes: tuple[Mistake, ...]
    unusual: tuple[Callable[..., Any], ...] = ()  # right answers that look nothing like the reference's
    check: Callable[[Callable[..., Any]], None] | None = None  # anything beyond values: raises Misconception
    run: Callable[..., Any] | None = None  # run(function, *inputs) -> answer, such as a kernel's launch
    entries: tuple[
        str, ...
    ] = ()  # what the entries of an answer are called that is a tuple, such as ("tokens", "mask")
    tolerance: float = 1e-5  # relative, and absolute near zero
    seconds: float = 20.0  # a call that runs longer is stopped and called endless


def written(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as somebody wrote it, from under decorators that keep it: `functools.wraps`, or Triton's `jit`."""
    return unwrap(getattr(function, "fn", function))


def find_exercise(identifier: str) -> Exercise:
    """The exercise "02.1" of kd_lab/lessons/l02_…/exercises.py.

    Raises:
        ValueError: no lesson has this exercise.
    """
    lesson = identifier.partition(".")[0]
    exercises = exercises_of(lesson)
    if identifier not in exercises:
        known = ", ".join(sorted(exercises)) or "none"
        raise ValueError(
            f"there is no exercise {identifier!r}; lesson {lesson!r} has {known}. "
            f"Exercises are the entries of EXERCISES in kd_lab/lessons/l{lesson}_…/exercises.py"
        )
    return exercises[identifier]


def exercises_of(lesson: str) -> dict[str, Exercise]:
    """All exercises of the lesson with this number; none where there is no such lesson."""
    module = part_of(lesson, "exercises")
    return module.EXERCISES if module else {}


def diagnose(exercise: Exercise, candidate: Callable[..., Any]) -> Misconception | None:
    """The first misconception that a case or the exercise's own check finds in a candidate; None where it is right.

    Raises:
        NotStarted: the candidate has no body, or a line of its own raises NotImplementedError.
    """
    everything = 2 * exercise.seconds * (len(exercise.cases) + 1)  # the answers are also compared and printed
    try:
        if is_empty(written(candidate)):
            raise NotStarted
        with contained(candidate), time_limit(everything):
            for case in exercise.cases:
                compare(exercise, candidate, case)
            if exercise.check is not None:
                call(exercise, candidate, exercise.check, (candidate,), ())
    except (NotStarted, KeyboardInterrupt):
        raise
    except Misconception as misconception:
        return misconception
    except BaseException as error:  # an answer whose comparison or printing breaks, in whatever way
        return Misconception(f"What it returns cannot be used: {said_by(error)}.")
    return None


def compare(exercise: Exercise, candidate: Callable[..., Any], case: Case) -> None:
    """Hold a candidate's answer on one case against the reference's and, where they differ, against known mistakes'.

    Raises:
        Misconception: the answers differ, or the candidate stops with an error, never ends, or changes its arguments.
    """
    inputs, untouched = case.inputs(), case.inputs()
    names = list(signature(asked(exercise, exercise.reference)).parameters)
    arguments = tuple(f"{name} = {brief(value)}" for name, value in zip(names, untouched, strict=False))
    example = (f"case: {case.description}", *arguments)
    got = call(exercise, candidate, asked(exercise, candidate), inputs, example)
    expected = known_answer(exercise, exercise.reference, case)
    answers = (*example, f"your function gives {brief(got)}", f"expected {brief(expected)}")
    if not close(got, expected, exercise.tolerance):
        mistake = recognise(exercise, candidate, case, got)
        message = mistake.message if mistake else difference(got, expected, exercise.tolerance, exercise.entries)
        raise Misconception(message, answers, mistake.name if mistake else "")
    for name, before, after in zip(names, untouched, inputs, strict=False):
        if not unchanged(before, after):
            kinds = ((Tensor, "tensor"), (np.ndarray, "array"), (object, type(before).__name__))
            kind = next(kind for form, kind in kinds if isinstance(before, form))
            raise Misconception(
                f"The value is right, but the argument {name} is changed on the way, and the caller "
                f"still needs it. Work on a new {kind} instead of in place.",
                (*example, f"afterwards {name} = {brief(after)}"),
            )


def asked(exercise: Exercise, function: Callable[..., Any]) -> Callable[..., Any]:
    """The call that turns a case's inputs into the function's answer: the function itself, or the exercise's `run`."""
    return function if exercise.run is None else partial(exercise.run, function)


def known_answer(exercise: Exercise, function: Callable[..., Any], case: Case) -> Any:
    """The answer of a reference or a mistake to a case: computed, or recorded where the function itself is not here."""
    if isinstance(function, Replay):
        return function.answers[exercise.cases.index(case)]
    return asked(exercise, function)(*case.inputs())


def recognise(exercise: Exercise, candidate: Callable[..., Any], case: Case, got: Any) -> Mistake | None:
    """The known mistake that answers as the candidate does on every case, of which `case` is the first that differs.

    On one small case mistakes agree by coincidence. A case on which the candidate breaks for a reason of its own, a
    logarithm of 0 perhaps, speaks for no mistake and against none; but one case alone names none.
    """
    others = [(other, answer_to(exercise, candidate, other)) for other in exercise.cases if other is not case]

    def alike(mistake: Mistake) -> bool:
        if not close(got, answer_to(exercise, mistake.function, case), exercise.tolerance):
            return False
        agreed = 0
        for other, own in others:
            theirs = answer_to(exercise, mistake.function, other)
            if close(own, theirs, exercise.tolerance):
                agreed += 1
            elif finite(own) or not finite(theirs):
                return False
        return agreed > 0 or not others

    return next(filter(alike, exercise.mistakes), None)


BROKEN = float("nan")
"""The answer of a function that stops with an error, or never ends: no number."""


def answer_to(exercise: Exercise, function: Callable[..., Any], case: Case) -> Any:
    try:
        with time_limit(exercise.seconds):
            return known_answer(exercise, function, case)
    except (Exception, Endless, SystemExit):
        return BROKEN


def call(
    exercise: Exercise,
    candidate: Callable[..., Any],
    function: Callable[..., Any],
    inputs: tuple[Any, ...],
    example: tuple[str, ...],
) -> Any:
    """Call `function`, which is the candidate or a check of it, and turn whatever goes wrong into a misconception."""
    try:
        with time_limit(exercise.seconds):
            return function(*inputs)
    except Misconception:
        raise
    except Endless as error:
        raise Misconception(
            f"It did not end within {exercise.seconds:g} seconds: a loop that never meets its end, most likely.",
            example,
        ) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # SystemExit is no Exception
        if type(error).__name__ == "InterpreterError" and error.__cause__ is not None:
            error = error.__cause__  # Triton's interpreter wraps what happened in the kernel
        if isinstance(error, NotImplementedError) and raised_in(error, candidate):
            raise NotStarted from error
        said = said_by(error)
        where = line_of(error, candidate)
        if where is None and function is exercise.check:
            raise Misconception(f"What it returns cannot be used: {said}.", example) from error
        raise Misconception(f"It stops with {said}{where or ''}.".replace("..", "."), example) from error


def said_by(error: BaseException) -> str:
    """Type and message of an error, whose message may itself be one."""
    try:
        return f"{type(error).__name__}: {error}".rstrip(": ")
    except Exception:
        return type(error).__name__


def raised_in(error: BaseException, candidate: Callable[..., Any]) -> bool:
    """Whether a `raise` in the candidate's own file raised an error, and not a function of a library that it calls."""
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    if step is None:
        return False
    code, own = step.tb_frame.f_code, getattr(written(candidate), "__code__", None)
    raises = dis.opname[code.co_code[step.tb_lasti]] == "RAISE_VARARGS"  # what is written in C has no frame of its own
    return raises and own is not None and code.co_filename == own.co_filename


def line_of(error: BaseException, candidate: Callable[..., Any]) -> str | None:
    """The deepest line that an error passed through in the candidate or a function of its file that it calls."""
    code = getattr(written(candidate), "__code__", None)
    line, entered = None, False
    step = error.__traceback__
    while step is not None:
        # By file and name: Triton's interpreter runs a rewritten copy.
        entered = entered or (
            code is not None
            and (step.tb_frame.f_code.co_filename, step.tb_frame.f_code.co_name) == (code.co_filename, code.co_name)
        )
        if entered and step.tb_frame.f_code.co_filename == code.co_filename:
            line = step.tb_lineno
        step = step.tb_next
    if line is None:
        return None
    text = linecache.getline(code.co_filename, line).strip()
    return f", at the line `{text}`" if text else f", at line {line}"


def is_empty(candidate: Callable[..., Any]) -> bool:
    """Whether a function's body is nothing but a docstring, `...` or `pass`.

    >>> def unsolved(x):
    ...     '''Twice x.'''
    ...     ...
    >>> is_empty(unsolved), is_empty(lambda x: 2 * x)
    (True, False)
    """

    code = getattr(candidate, "__code__", None)
    if code is None:
        return False
    steps = [step for step in dis.get_instructions(code) if step.opname not in ("RESUME", "NOP")]
    return len(steps) <= 2 and steps[0].argval is None and steps[-1].opname.startswith("RETURN")
