"""The outputs of submitted notebooks, read: the state of each exercise, the mistakes, and the answers."""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kd_lab.classroom.diagnosis import exercises_of
from kd_lab.classroom.exercise import EXERCISE_MIME
from kd_lab.classroom.handed_in import ANSWERS_MIME
from kd_lab.classroom.lesson import lessons_of
from kd_lab.classroom.questions import questions_of

STATES = ("right", "partly right", "not there yet", "not started")
"""The states that a report tells apart; every other one is one of the last two."""

AS = {"wrong": "not there yet", "error": "not there yet", "endless": "not there yet", "library": "not there yet"}
AS |= {"syntax error": "not there yet", "missing": "not started", "stopped": "right"}


@dataclass(frozen=True)
class Submission:
    """One student's notebook of one lesson. Texts that are none of the course's own are left out."""

    student: str
    lesson: str
    states: dict[str, str] = field(default_factory=dict)  # exercise → one of STATES
    mistakes: dict[str, set[str]] = field(default_factory=dict)  # exercise → names of known mistakes, all that were met
    answers: dict[str, str] = field(default_factory=dict)  # prediction or question → the option that was chosen


def read_all(folder: Path) -> list[Submission]:
    """The submissions under nbgrader's folder: STUDENT/NN/NN_name.ipynb.

    Raises:
        ValueError: there is none.
    """
    names = {lesson.notebook.name: lesson.number for lesson in lessons_of()}
    files = submissions_in(folder)
    if not files:
        expected = "expected STUDENT/NN/NN_name.ipynb under it, as in nbgrader's folder submitted/"
        raise ValueError("\n".join([f"{str(folder)!r} holds no submission; {expected}", *not_read(folder)]))
    return [read(file, names[file.name]) for file in files]


def submissions_in(folder: Path) -> list[Path]:
    names = {lesson.notebook.name for lesson in lessons_of()}
    return [file for file in sorted(folder.glob("*/*/*.ipynb")) if file.name in names]


def not_read(folder: Path) -> list[str]:
    """A line for each further notebook under a folder: one of another name, such as "03_which_kl (1).ipynb".

    Of autograded/ also a line for each notebook of a graded assignment that was handed in and is not there.
    """
    read = submissions_in(folder)
    lines = [f"not read: {name}" for name in notebooks_in(folder) if folder / name not in read]
    if is_graded(folder):
        assignments = {file.parts[-2] for file in read}
        handed_in = [name for name in notebooks_in(submitted_beside(folder)) if Path(name).parent.name in assignments]
        lines += [f"not graded: {name}" for name in handed_in if not (folder / name).exists()]
    return lines


def notebooks_in(folder: Path) -> list[str]:
    """The notebooks under a folder, such as "ada/03/03_which_kl.ipynb"; no checkpoint of JupyterLab's."""
    files = [file for file in folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in file.parts]
    return sorted(file.relative_to(folder).as_posix() for file in files)


def submitted_beside(folder: Path) -> Path:
    """nbgrader's folder submitted/ of the course whose folder autograded/ this is."""
    return folder.resolve().with_name("submitted")


def is_graded(folder: Path) -> bool:
    """Whether this is nbgrader's folder autograded/, whose states are grades and whose notebooks show nothing else."""
    return folder.resolve().name == "autograded"


def read(file: Path, lesson: str) -> Submission:
    """One notebook; what cannot be read counts as not started.

    Grading clears the outputs of a notebook: the answers of a graded one are read where it was handed in.
    """
    one = Submission(file.parts[-3], lesson)
    known = exercises_of(lesson)
    for data in carried(file):
        note(one, data.get(EXERCISE_MIME), known)
        collect(one, data.get(ANSWERS_MIME), known)
    if is_graded(folder := file.parents[2]):
        for data in carried(submitted_beside(folder).joinpath(*file.parts[-3:])):
            collect(one, data.get(ANSWERS_MIME), known)
    for identifier in known:
        one.states.setdefault(identifier, "not started")
    return one


def carried(file: Path) -> list[dict[str, Any]]:
    """The data of a notebook's outputs; none where it cannot be read."""
    try:
        cells = json.loads(file.read_text(encoding="utf-8"))["cells"]
        given = [output.get("data") for cell in cells for output in cell.get("outputs", ())]
        return [data for data in given if isinstance(data, dict)]
    except (OSError, RecursionError, ValueError, KeyError, TypeError, AttributeError):
        return []


def note(one: Submission, said: Any, known: dict[str, Any]) -> None:
    """The state that one output carries; the last of an exercise counts."""
    if not isinstance(said, dict) or said.get("id") not in list(known):  # a list asks for no hash
        return
    state = AS.get(str(said.get("state")), str(said.get("state")))
    one.states[said["id"]] = state if state in STATES else "not there yet"
    name = said.get("mistake")
    if name in [mistake.name for mistake in known[said["id"]].mistakes]:
        one.mistakes.setdefault(said["id"], set()).add(name)


def collect(one: Submission, said: Any, known: dict[str, Any]) -> None:
    """Answers and earlier mistakes, from the cell that hands them in."""
    if not isinstance(said, dict) or said.get("lesson") != one.lesson:
        return
    options = options_of(one.lesson)
    answers, mistakes = said.get("answers"), said.get("mistakes")
    for key, chosen in answers.items() if isinstance(answers, dict) else ():
        if chosen in options.get(key, ()):
            one.answers[key] = chosen
    for identifier, names in mistakes.items() if isinstance(mistakes, dict) else ():
        if identifier in known and isinstance(names, list):
            right = [mistake.name for mistake in known[identifier].mistakes]
            one.mistakes.setdefault(identifier, set()).update(name for name in names if name in right)


def options_of(lesson: str) -> dict[str, tuple[str, ...]]:
    """Question → the options that the course offers. A prediction whose options the lesson computes has none here."""
    module = questions_of(lesson)
    options = {key: tuple(prediction.options) for key, prediction in module.PREDICTIONS.items()}
    return options | {f"{lesson}.quiz.{number}": tuple(one.options) for number, one in enumerate(module.QUIZ, 1)}


def counted_states(submissions: Iterable[Submission], identifier: str) -> Counter[str]:
    return Counter(one.states[identifier] for one in submissions if identifier in one.states)


def counted_mistakes(submissions: Iterable[Submission], identifier: str) -> Counter[str]:
    """In how many submissions each known mistake occurred."""
    return Counter(name for one in submissions for name in one.mistakes.get(identifier, ()))
