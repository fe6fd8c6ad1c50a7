"""`kd-lab class init DIR`: the folder of a graded course, as nbgrader expects it.

It may run again over a course that is in use. As with a learner's copies (`kd_lab.classroom.copies`), a file is renewed
while it says what the last run wrote, and is never overwritten once its teacher edited it: a newer edition then lies
under `newer/`, outside `source/`, where nbgrader would take it for a second notebook of the assignment.
"""

import contextlib
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from string import Template

import nbformat

from kd_lab.classroom.copies import MEASURED, NOTES, notes
from kd_lab.classroom.lesson import Lesson, lessons_of
from kd_lab.models.files import write_file
from kd_lab.teaching.assignment import assignment_of
from kd_lab.teaching.grading import OWN

TEMPLATES = Path(__file__).parent / "course"
NEWER = "newer"

IGNORED = (
    *(f"{OWN}/", f"{NEWER}*/", "submitted/", "autograded/", "feedback/", "downloaded/", "solution/"),
    *(".ipynb_checkpoints/", "gradebook.db*", "grades.csv", "students.csv", "report.html", ".nbgrader.log"),
)
"""The parts of a course that Git leaves out: names, grades, the secret, and solutions outside `source/`."""


def init(course: Path, numbers: Sequence[str] = ()) -> list[str]:
    """Lay out a course, or renew one: what its teacher edited stays, and so does all that nbgrader made.

    Args:
        course: its folder.
        numbers: of the lessons, such as ["03"]; by default those that the course has, or all where it has none yet.

    Returns:
        Lines that say what was written.

    Raises:
        ValueError: there is no such lesson, or the folder cannot be written.
    """
    chosen = chosen_lessons(numbers or numbers_in(course))
    try:
        (course / OWN).mkdir(parents=True, exist_ok=True)
        secret = course / OWN / "secret"
        if not secret.exists():
            with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(secrets.token_hex(32) + "\n")
        laid = notes(course / OWN)
        renewed = [line for name, text in files_of(course, chosen) if (line := lay(course, name, text, laid))]
        write_file(course / OWN / NOTES, json.dumps(laid, indent=1, sort_keys=True).encode())
    except OSError as error:
        raise ValueError(f"the course cannot be written to {str(course)!r} ({error}); name another folder") from error
    names = ", ".join(lesson.number for lesson in chosen)
    return [
        f"The course is in {course.resolve()}; its README.md says what comes next",
        f"lessons {names}: sources with solutions under source/",
        *renewed,
        f"{course / OWN / 'secret'} decides the cases of the grades; keep it, and show it to nobody",
    ]


def numbers_in(course: Path) -> list[str]:
    """The lessons that a course has."""
    return [lesson.number for lesson in lessons_of() if (course / "source" / lesson.number).is_dir()]


def chosen_lessons(numbers: Sequence[str]) -> list[Lesson]:
    lessons = lessons_of()
    if unknown := set(numbers) - {lesson.number for lesson in lessons}:
        known = ", ".join(lesson.number for lesson in lessons)
        raise ValueError(f"there is no lesson {', '.join(sorted(unknown))}; expected some of {known}")
    return [lesson for lesson in lessons if not numbers or lesson.number in numbers]


def files_of(course: Path, lessons: Sequence[Lesson]) -> Iterator[tuple[str, str]]:
    """The name and the text of each file of a course, such as source/03/03_which_kl.ipynb.

    Nothing goes to release/, where nbgrader would take it for its own and skip it.
    """
    facts = {"python": repr(sys.executable), "name": course.resolve().name}
    for template in sorted(TEMPLATES.glob("*.template")):
        yield template.stem, Template(template.read_text(encoding="utf-8")).substitute(facts)
    yield ".gitignore", "\n".join([*IGNORED, ""])
    for lesson in lessons:
        notebook = nbformat.writes(assignment_of(lesson)).rstrip("\n") + "\n"
        yield f"source/{lesson.number}/{lesson.notebook.name}", notebook


def lay(course: Path, name: str, text: str, laid: dict[str, str]) -> str | None:
    """Write one file of a course, under `newer/` if the one that is there was edited.

    Args:
        course: its folder.
        name: of the file in that folder.
        text: of the file.
        laid: name → the fingerprint of what was last written there; noted anew.

    Returns:
        A line to print, or None where there is nothing to say.
    """
    file, edition = course / name, fingerprint(name, text)
    there = fingerprint_of(course, name, name)
    if there is not None and there not in (edition, laid.get(name)):
        return lay_beside(course, name, text, laid)
    laid[name] = edition
    if there == edition:
        return None
    put(file, text)
    return f"{name} is now the newer edition; you had not edited it" if there is not None else None


def lay_beside(course: Path, name: str, text: str, laid: dict[str, str]) -> str | None:
    """The same for a file that its teacher edited: into newer/ or, where that was edited too, newer-2/, and so on."""
    edition, edited = fingerprint(name, text), [name]
    if edition in [known for key, known in laid.items() if key == name or key.endswith(f"/{name}")]:
        return None  # nothing that the teacher has not seen
    for place in places():
        beside = f"{place}/{name}"
        if fingerprint_of(course, name, beside) in (None, edition, laid.get(beside)):
            break
        edited.append(beside)
    put(course / beside, text)
    laid[beside] = edition
    left = f"{' and '.join(edited)} are as you left them" if len(edited) > 1 else f"{name} is as you left it"
    return f"{left}; a newer edition is in {beside}"


def places() -> Iterator[str]:
    """newer, newer-2, newer-3, …"""
    yield NEWER
    for number in count(2):
        yield f"{NEWER}-{number}"


def fingerprint_of(course: Path, name: str, where: str) -> str | None:
    """The fingerprint of the file `where` in a course, an edition of `name`; None where there is none."""
    file = course / where
    return fingerprint(name, file.read_text(encoding="utf-8", errors="replace")) if file.exists() else None


def put(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, text.encode())


def fingerprint(name: str, text: str) -> str:
    """A hash of what a file says: of a notebook its cells with their tags and points, but neither outputs nor costs."""
    if name.endswith(".ipynb"):
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):  # no notebook: taken as it stands
            cells = [
                (
                    cell["cell_type"],
                    MEASURED.sub("", "".join(cell["source"])),
                    cell["metadata"].get("nbgrader"),
                    cell["metadata"].get("tags"),
                )
                for cell in json.loads(text)["cells"]
            ]
            text = json.dumps(cells, sort_keys=True)
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
