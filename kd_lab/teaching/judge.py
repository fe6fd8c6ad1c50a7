"""Grades: what a submission's functions returned on fresh cases, against what the solutions return.

The judge has the solutions and runs no line of a submission. The worker runs the submission and has no solutions
(`box`). So what a submission prints, patches, raises or compares changes no grade: only values count.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kd_lab.classroom.answers import close, finite, in_words
from kd_lab.classroom.diagnosis import BROKEN, Exercise, Mistake, asked, exercises_of
from kd_lab.classroom.guard import time_limit
from kd_lab.classroom.lesson import Lesson, edition_of
from kd_lab.classroom.recorded import decode
from kd_lab.teaching.box import run
from kd_lab.teaching.draws import Draw, draws_of
from kd_lab.teaching.slices import NotThere, Slice, slice_of
from kd_lab.teaching.strip import PACKAGE

SETTING_UP = 10.0
"""Seconds for the lines before a function, and for an exercise's own check."""

SLOWER, LEAST = 20.0, 2.0
"""A call may take so many times as long as the solution's, and at least so many seconds."""


@dataclass(frozen=True)
class Verdict:
    """The grade of one exercise."""

    identifier: str
    share: float  # of the points, from 0 to 1
    state: (
        str  # "right", "partly right", "wrong", "error", "endless", "syntax error", "library", "missing", "not started"
    )
    message: str  # for the student
    mistake: str = ""  # the name of the known mistake that explains all of its answers


def grade(
    cells: Sequence[str], lesson: Lesson, secret: str, box: Path, forbidden: Sequence[Path] = ()
) -> list[Verdict]:
    """Grade a notebook.

    Args:
        cells: the source of its code cells.
        lesson: that it answers.
        secret: of the course, from which the cases are drawn.
        box: of `box_in`.
        forbidden: folders beside the package's own that a submission may not read.

    Returns:
        A verdict for each exercise of the lesson, in their order.
    """
    exercises, verdicts, slices = exercises_of(lesson.number), {}, {}
    for identifier in exercises:
        try:
            slices[identifier] = admitted(slice_of(cells, identifier), lesson, identifier)
        except NotThere as absent:
            verdicts[identifier] = Verdict(identifier, 0.0, absent.state, str(absent))
    draws = {identifier: draws_of(identifier, exercises[identifier], secret) for identifier in slices}
    requests = {
        identifier: request(identifier, exercises[identifier], answer, draws[identifier])
        for identifier, answer in slices.items()
    }
    replies = run(box, lesson.number, requests, [PACKAGE, *forbidden]) if requests else {}
    for identifier, reply in replies.items():
        verdicts[identifier] = verdict(identifier, exercises[identifier], draws[identifier], reply)
    return [verdicts[identifier] for identifier in exercises]


def admitted(answer: Slice, lesson: Lesson, identifier: str) -> Slice:
    """An answer that takes nothing from the course's own library but what the lesson itself puts into its hands."""
    sources = [cell.source for cell in edition_of(lesson, "solved").cells if cell.cell_type == "code"]
    taken = library_in(answer.source) - library_in(slice_of(sources, identifier).source)
    if taken:
        raise NotThere(
            "library", f"It takes {in_words(sorted(taken))} from the course's library. Write the lines yourself."
        )
    return answer


def library_in(source: str) -> set[str]:
    """The parts of kd_lab that a piece of source imports, or names in a text."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {given.name for given in node.names if given.name.partition(".")[0] == "kd_lab"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "kd_lab":
            found |= {f"{node.module}.{given.name}" for given in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("kd_lab"):
            found.add(node.value)
    return found


def request(identifier: str, exercise: Exercise, answer: Slice, draws: Sequence[Draw]) -> dict[str, Any]:
    """The worker's part of a grade: how to call the function, and not what it should return."""
    calls = [
        {
            "case": one.case,
            "seed": one.seed,
            "bold": one.bold,
            "seconds": min(max(LEAST, SLOWER * one.seconds), max(LEAST, exercise.seconds)),
        }
        for one in draws
    ]
    library = sorted(library_in(answer.source))
    start = {
        "library": library,
        "exercise": identifier,
        "source": answer.source,
        "name": answer.name,
        "seconds": SETTING_UP,
    }
    return start | {"draws": calls}


# ---- what came back --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Returned:
    """The answer of a submission to one draw."""

    value: Any  # NaN where it stopped
    right: bool
    error: str = ""
    endless: bool = False
    changed: bool = False  # whether an argument was another one afterwards


def verdict(identifier: str, exercise: Exercise, draws: Sequence[Draw], reply: dict[str, Any]) -> Verdict:
    """Judge what the worker sent. Nothing in it is believed but that these are the values that came."""
    sent = reply.get("answers")
    if not isinstance(sent, list) or len(sent) != len(draws):
        why = f"It stops before any case: {said(reply.get('error'))}."
        return Verdict(identifier, 0.0, "endless" if "did not end" in why else "error", why)
    returned = [received(exercise, one, answer) for one, answer in zip(draws, sent, strict=True)]
    checked = exercise.check is None or reply.get("check") == ""
    share = share_of(draws, [one.right for one in returned], exercise.check is not None, checked)
    if share == 1:
        return Verdict(
            identifier,
            1.0,
            "right",
            f"Right on all cases, and on {sum(one.seed is not None for one in draws)} like them.",
        )
    mistake = recognised(exercise, draws, returned)
    passed = sum(
        all(one.right for draw, one in zip(draws, returned, strict=True) if draw.case == case) for case in cases(draws)
    )
    return Verdict(
        identifier,
        share,
        state_of(share, returned),
        f"{passed} of {len(cases(draws))} cases are right. {explained(mistake, returned, reply, checked)}",
        mistake.name if mistake else "",
    )


def received(exercise: Exercise, draw: Draw, answer: Any) -> Returned:
    """One answer, decoded and compared; anything that cannot be read is wrong."""
    if not isinstance(answer, dict) or "value" not in answer:
        endless = isinstance(answer, dict) and answer.get("endless") is True
        return Returned(float("nan"), False, said(answer.get("error") if isinstance(answer, dict) else None), endless)
    try:
        value, after = decode(answer["value"]), [decode(one) for one in answer["after"]]
    except (ValueError, KeyError, TypeError) as error:
        return Returned(float("nan"), False, said(str(error)))
    before = draw.inputs(exercise)
    arrays = (torch.Tensor, np.ndarray)
    changed = len(after) != len(before) or any(
        isinstance(one, arrays) and not close(other, one, 0.0) for one, other in zip(before, after, strict=False)
    )
    return Returned(value, close(value, draw.expected, exercise.tolerance) and not changed, changed=changed)


def share_of(draws: Sequence[Draw], right: Sequence[bool], has_check: bool, checked: bool) -> float:
    """The share of the points: so many cases as are right on each of their draws.

    What anyone could have guessed earns nothing alone: a case without a fresh draw that counts, and the exercise's own
    check, are added once all other cases are right.
    """
    numbers = cases(draws)
    passed = {case: all(ok for one, ok in zip(draws, right, strict=True) if one.case == case) for case in numbers}
    earning = {case for case in numbers if any(one.counts for one in draws if one.case == case)}
    own = sum(passed[case] for case in earning)
    if own == len(earning):
        own += sum(passed[case] for case in numbers if case not in earning) + (has_check and checked)
    return own / (len(numbers) + has_check)


def cases(draws: Sequence[Draw]) -> list[int]:
    return sorted({one.case for one in draws})


def state_of(share: float, returned: Sequence[Returned]) -> str:
    if share > 0:
        return "partly right"
    if any(one.endless for one in returned):
        return "endless"
    return "error" if all(one.error for one in returned) else "wrong"


def recognised(exercise: Exercise, draws: Sequence[Draw], returned: Sequence[Returned]) -> Mistake | None:
    """The known mistake that would have answered every draw as the submission did.

    As in the classroom, a draw on which the submission breaks for a reason of its own speaks for none and against none.
    """

    def theirs(mistake: Mistake, draw: Draw) -> Any:
        try:
            with time_limit(exercise.seconds):
                return asked(exercise, mistake.function)(*draw.inputs(exercise))
        except Exception:
            return BROKEN

    def fits(mistake: Mistake) -> bool:
        agreed = 0
        for draw, one in zip(draws, returned, strict=True):
            other = theirs(mistake, draw)
            if close(one.value, other, exercise.tolerance):
                agreed += not one.right and finite(one.value)
            elif finite(one.value) or not finite(other):
                return False
        return agreed > 0 or (not all(one.error for one in returned) and not any(map(telling, returned)))

    def telling(one: Returned) -> bool:
        return not one.right and finite(one.value)

    return next(filter(fits, exercise.mistakes), None)


def explained(mistake: Mistake | None, returned: Sequence[Returned], reply: dict[str, Any], checked: bool) -> str:
    """The sentence for a student. No number stands in it: the same cases may be asked again."""
    if mistake is not None:
        return mistake.message
    if error := next((one.error for one in returned if one.error), ""):
        return f"It stops: {error}."
    if any(one.changed for one in returned):
        return "An argument is changed on the way, and the caller still needs it."
    if all(one.right for one in returned) and not checked:
        return said(reply.get("check"))
    return "The others differ from what the solution returns."


def said(text: Any) -> str:
    """A line from the worker: shortened, and printable."""
    line = text if isinstance(text, str) else "it sent nothing that can be read"
    return "".join(one if one.isprintable() else " " for one in line[:400]).rstrip(". ")
