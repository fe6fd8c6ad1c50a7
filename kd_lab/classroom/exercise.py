"""`@exercise("02.1")`: checks the function under it at once, and lets the notebook run on whatever came."""

from collections.abc import Callable
from typing import Any

from kd_lab.classroom import progress
from kd_lab.classroom.diagnosis import Exercise, NotStarted, diagnose, find_exercise
from kd_lab.classroom.panel import Panel, show

EXERCISE_MIME = "application/vnd.kd-lab.exercise+json"
"""The output in which an executed notebook carries the state of an exercise: {"id": "02.1", "state": "right"}."""


def exercise(identifier: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Decorate the learner's function of one exercise.

    The function is checked where it is defined. If it is right it is kept; if not, the name is bound to the reference
    solution instead and the panel says so: an unsolved notebook runs correctly to its last cell.

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
            progress.attempt(identifier, state, candidate)
        return candidate if state == progress.SOLVED else chosen.reference

    return decorate


def outcome(identifier: str, chosen: Exercise, candidate: Callable[..., Any]) -> Panel:
    """The panel that a learner sees about a candidate."""

    def panel(state: str, *paragraphs: str, listing: tuple[str, ...] = (), tone: str = "plain") -> Panel:
        heading = f"Exercise {identifier}: {state}"
        return Panel(heading, paragraphs, listing, tone, {EXERCISE_MIME: {"id": identifier, "state": state}})

    fallback = "Until it is right, the cells below use the reference solution."
    try:
        misconception = diagnose(chosen, candidate)
    except NotStarted:
        before = progress.solution(identifier)
        words = ("You have solved this before; these were your lines:",) if before else ()
        invitation = "Replace the ... with your lines and run the cell again."
        return panel("not started", invitation, fallback, *words, listing=tuple((before or "").splitlines()))
    if misconception is not None:
        return panel("not there yet", misconception.message, fallback, listing=misconception.example, tone="attention")
    return panel("right", "The cells below use your function.", tone="good")


def assert_solved(identifier: str, function: Callable[..., Any]) -> None:
    """The graded cell of a class's edition.

    Args:
        identifier: lesson and number, such as "02.1".
        function: what the exercise's name is bound to after its cell has run.

    Raises:
        AssertionError: the function is missing or wrong, with the diagnosis.
    """
    chosen = find_exercise(identifier)
    # A wrong answer was replaced by the reference, which would pass every check.
    assert function is not chosen.reference, f"exercise {identifier} is not solved yet: see the panel under its cell"
    misconception = diagnose(chosen, function)
    assert misconception is None, f"exercise {identifier} is not there yet: {misconception}"
