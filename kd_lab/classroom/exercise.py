"""`@exercise("02.1")`: checks the function under it at once, and lets the notebook run on whatever came."""

from collections.abc import Callable
from functools import wraps
from inspect import unwrap
from typing import Any

from kd_lab.classroom import progress
from kd_lab.classroom.answers import alike, precision
from kd_lab.classroom.diagnosis import Exercise, NotStarted, diagnose, find_exercise, known_answer
from kd_lab.classroom.panel import Panel, show
from kd_lab.classroom.recorded import StandIn

EXERCISE_MIME = "application/vnd.kd-lab.exercise+json"
"""The output in which an executed notebook carries the state of an exercise: {"id": "02.1", "state": "right"}.

Where a known mistake explains an answer that is not there yet, its name stands under "mistake"."""


def exercise(identifier: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate the learner's function of one exercise.

    The function is checked where it is defined. If it is right it is kept, and guarded where later cells call it; if
    not, the name is bound to the reference solution instead and the panel says so. So a notebook runs correctly to its
    last cell, whatever was written.

    Args:
        identifier: lesson and number, such as "02.1".

    Raises:
        ValueError: there is no such exercise.
    """
    chosen = find_exercise(identifier)

    def decorate(candidate: Callable[..., Any]) -> Callable[..., Any]:
        panel = outcome(identifier, chosen, candidate)
        show(panel)
        state = panel.data[EXERCISE_MIME]["state"]
        if state != "not started":
            mistake = panel.data[EXERCISE_MIME].get("mistake", "")
            if trouble := progress.attempt(identifier, state, candidate, mistake):
                show(Panel(trouble, tone="attention"))
        if state != progress.SOLVED:
            return chosen.reference
        kept = guarded(identifier, chosen, candidate)
        if isinstance(chosen.reference, StandIn):  # the lesson's own experiments run on the learner's function
            chosen.reference.solved = kept
        return kept

    return decorate


def outcome(identifier: str, chosen: Exercise, candidate: Callable[..., Any]) -> Panel:
    """The panel that a learner sees about a candidate."""

    def panel(
        state: str, *paragraphs: str, listing: tuple[str, ...] = (), tone: str = "plain", mistake: str = ""
    ) -> Panel:
        heading = f"Exercise {identifier}: {state}"
        data = {"id": identifier, "state": state} | ({"mistake": mistake} if mistake else {})
        return Panel(heading, paragraphs, listing, tone, {EXERCISE_MIME: data})

    fallback = (
        "Until it is right, the cells below that need it stop."
        if isinstance(chosen.reference, StandIn)
        else "Until it is right, the cells below use the reference solution."
    )
    try:
        misconception = diagnose(chosen, candidate)
    except NotStarted:
        before = progress.solution(identifier)
        words = ("You have solved this before; these were your lines:",) if before else ()
        invitation = "Replace the ... with your lines and run the cell again."
        return panel("not started", invitation, fallback, *words, listing=tuple((before or "").splitlines()))
    if misconception is not None:
        said, name = (misconception.message, fallback), misconception.name
        return panel("not there yet", *said, listing=misconception.example, tone="attention", mistake=name)
    return panel("right", "The cells below use your function.", tone="good")


def guarded(identifier: str, chosen: Exercise, candidate: Callable[..., Any]) -> Callable[..., Any]:
    """A right answer as the cells below use it: an unusual one stops none of them.

    What it returns comes in the form of the reference's answer: a tensor where that is one, though the learner
    returned a number. Where it stops with an error the reference answers in its place, and a panel says so once.
    """
    told: list[bool] = []

    def falling_back(own: Callable[..., Any], reference: Callable[..., Any], form: Any = None) -> Callable[..., Any]:
        @wraps(own)
        def call(*arguments: Any, **named: Any) -> Any:
            try:
                return alike(own(*arguments, **named), form, precision(arguments))
            except Exception as error:
                try:
                    answer = reference(*arguments, **named)
                except Exception:
                    raise error from None  # the call itself is wrong
                if not told:
                    show(stopped(identifier, error))
                    told.append(True)  # and not the error, which holds the arguments of its call
                return answer

        return call

    reference = candidate if isinstance(chosen.reference, StandIn) else chosen.reference
    if hasattr(candidate, "fn"):
        return GuardedKernel(candidate, lambda grid: falling_back(candidate[grid], reference[grid]))
    plain = chosen.run is None and chosen.cases  # where a call is the answer, a case shows its form
    form = known_answer(chosen, chosen.reference, chosen.cases[0]) if plain else None
    return falling_back(candidate, reference, form)


class GuardedKernel:
    """A learner's Triton kernel whose launches `kernel[grid](…)` are guarded; in all else it is the kernel."""

    def __init__(self, kernel: Any, launcher: Callable[[Any], Callable[..., Any]]):
        self.kernel, self.launcher = kernel, launcher

    def __getitem__(self, grid: Any) -> Callable[..., Any]:
        return self.launcher(grid)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.kernel(*arguments, **named)  # says what a kernel says that is called without a grid

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kernel, name)


def stopped(identifier: str, error: Exception) -> Panel:
    """The panel for a right answer that a later cell calls in a way that it does not stand."""
    return Panel(
        f"Exercise {identifier}: your function stops here",
        (
            f"It was right on all of its cases. In this cell it stops with {type(error).__name__}: {error}",
            "The reference solution answers in its place, here and wherever it stops again.",
        ),
        tone="attention",
        data={EXERCISE_MIME: {"id": identifier, "state": "stopped"}},
    )


def assert_solved(identifier: str, function: Callable[..., Any]) -> None:
    """Say whether an exercise is solved: the cell that a student of a graded class runs before handing in.

    No grade comes from it: anyone who can run it can change it. Grades come from `kd_lab.teaching.judge`.

    Args:
        identifier: lesson and number, such as "02.1".
        function: what the exercise's name is bound to after its cell has run.

    Raises:
        AssertionError: the function is missing or wrong, with the diagnosis.
    """
    chosen = find_exercise(identifier)
    # A wrong answer was replaced by the reference, which would pass every check.
    assert function is not chosen.reference, f"exercise {identifier} is not solved yet: see the panel under its cell"
    misconception = diagnose(chosen, function.kernel if isinstance(function, GuardedKernel) else unwrap(function))
    assert misconception is None, f"exercise {identifier} is not there yet: {misconception}"
