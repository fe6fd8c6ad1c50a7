"""`kd-lab class init DIR`: the folder of a graded course, as nbgrader expects it."""

import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template

import nbformat

from kd_lab.classroom.lesson import Lesson, lessons_of
from kd_lab.teaching.assignment import assignment_of
from kd_lab.teaching.grading import OWN

TEMPLATES = Path(__file__).parent / "course"


def init(course: Path, numbers: Sequence[str] = ()) -> list[str]:
    """Lay out a course, or renew one: sources and settings are written anew, all that nbgrader made stays.

    Args:
        course: its folder.
        numbers: of the lessons, such as ["03"]; all by default.

    Returns:
        Lines that say what was written.

    Raises:
        ValueError: there is no such lesson, or the folder cannot be written.
    """
    chosen = chosen_lessons(numbers)
    try:
        (course / OWN).mkdir(parents=True, exist_ok=True)
        secret = course / OWN / "secret"
        if not secret.exists():
            with os.fdopen(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32) + "\n")
        name = course.resolve().name
        facts = {"python": repr(sys.executable), "name": name, "name_in_python": repr(name)}
        facts["course_in_python"] = repr(str(course.resolve()))
        for template in sorted(TEMPLATES.glob("*.template")):
            text = Template(template.read_text(encoding="utf-8")).substitute(facts)
            (course / template.stem).write_text(text, encoding="utf-8")
        (course / ".gitignore").write_text(f"{OWN}/\ngradebook.db\n", encoding="utf-8")
        for lesson in chosen:
            write(lesson, course)
    except OSError as error:
        raise ValueError(f"the course cannot be written to {str(course)!r} ({error}); name another folder") from error
    names = ", ".join(lesson.number for lesson in chosen)
    return [
        f"The course is in {course.resolve()}; its README.md says what comes next",
        f"lessons {names}: sources with solutions under source/",
        f"{course / OWN / 'secret'} decides the cases of the grades; keep it, and show it to nobody",
    ]


def chosen_lessons(numbers: Sequence[str]) -> list[Lesson]:
    lessons = lessons_of()
    if unknown := set(numbers) - {lesson.number for lesson in lessons}:
        known = ", ".join(lesson.number for lesson in lessons)
        raise ValueError(f"there is no lesson {', '.join(sorted(unknown))}; expected some of {known}")
    return [lesson for lesson in lessons if not numbers or lesson.number in numbers]


def write(lesson: Lesson, course: Path) -> None:
    """source/03/03_which_kl.ipynb. Nothing goes to release/, where nbgrader would take it for its own and skip it."""
    file = course / "source" / lesson.number / lesson.notebook.name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(nbformat.writes(assignment_of(lesson)).rstrip("\n") + "\n", encoding="utf-8")
