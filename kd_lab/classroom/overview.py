"""The course at a glance: its lessons and how far they are done, versions, the cache, and what to type."""

import platform
import re
import shutil
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from kd_lab.classroom.lesson import Lesson, lessons_of
from kd_lab.classroom.progress import SOLVED
from kd_lab.models.files import cache_folder

SHOWN = ("kd_lab", "torch", "triton", "numpy", "ipywidgets", "jupyterlab")

COMMANDS = {
    "lab [03]": "open a lesson in JupyterLab, by default the first that is not done",
    "progress": "predictions, quiz answers and solved exercises",
    "cache [--clear]": "the models that lessons keep between runs",
    "lessons copy DIR": "the lessons as notebooks in a folder of your own",
}

TRAINED = re.compile(r"[\w-]*-[0-9a-f]{16}\.safetensors")
"""The files of `trained`. In a folder of models that is named as the cache, the others are their owner's."""

CUT_SHORT = re.compile(rf"\.{TRAINED.pattern}-\w+")
"""The remains of such a file whose write was killed: see `whole_file`."""

A_WRITE = 60.0
"""Seconds after which a folder of that name is no write under way."""

FOLDERS = re.compile(r"SmolLM2-.+-\d[\w.]*|lesson-13-\d+(-float32)?")
"""The folders of lesson 13 in the cache: SmolLM2 as transformers reads it, and its experiment under way."""

FOR_TEACHERS = {
    "class init COURSE": "a graded course for nbgrader; class --help names what else a teacher types",
}


def commands() -> dict[str, str]:
    """The commands that are here: a class's own package has no part for teachers."""
    return COMMANDS | (FOR_TEACHERS if find_spec("kd_lab.teaching") else {})


def title_of(lesson: Lesson) -> str:
    """Such as "03 · HOW: which KL"."""
    found = re.search(r"^# # (.+)$", lesson.source.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else lesson.name


def minutes_of(lesson: Lesson) -> str:
    """The minutes to read and do, from the lesson's card; empty where the card names none."""
    found = re.search(r"^# \*\*Time:?\*\*.*?(\d+) minutes", lesson.source.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""


def exercises_of(lesson: Lesson) -> list[str]:
    """The identifiers of a lesson's exercises in order."""
    return re.findall(r'^@exercise\("([^"]+)"\)', lesson.source.read_text(encoding="utf-8"), re.MULTILINE)


def is_done(lesson: Lesson, kept: dict[str, str]) -> bool:
    """Whether every exercise of a lesson is solved."""
    return all(kept.get(identifier) == SOLVED for identifier in exercises_of(lesson))


def table(kept: dict[str, str]) -> list[str]:
    """A line for each lesson: title, minutes, and how many of its exercises are solved."""
    rows = []
    for lesson in lessons_of():
        exercises = exercises_of(lesson)
        solved = sum(kept.get(identifier) == SOLVED for identifier in exercises)
        state = "done" if is_done(lesson, kept) else f"{solved} of {len(exercises)} exercises solved"
        rows.append((title_of(lesson), minutes_of(lesson), state))
    width = max(len(title) for title, _, _ in rows)
    return [f"  {title:<{width}}  {minutes:>3} min  {state}" for title, minutes, state in rows]


def versions() -> str:
    """Python and the packages that a report of a fault should name."""
    found = [f"Python {platform.python_version()}"]
    for name in SHOWN:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
    return " · ".join(found)


def overview(kept: dict[str, str], copies: Path, program: str = "python -m kd_lab") -> str:
    """All of it as one page.

    Args:
        kept: the learner's answers.
        copies: the folder of the learner's copies.
        program: how this command is typed.
    """
    listed = commands()
    width = max(map(len, listed))
    return "\n".join(
        [
            "Lessons",
            *table(kept),
            "",
            f"Your copies: {copies}" + ("" if copies.is_dir() else " (not there yet)"),
            cache_line(),
            versions(),
            "",
            *(f"{program} {words:<{width}}  {purpose}" for words, purpose in listed.items()),
        ]
    )


def cached_files() -> list[Path]:
    """The trained models in the cache; whatever else lies in that folder is left out."""
    return sorted(file for file in cache_folder().glob("*") if TRAINED.fullmatch(file.name) and file.is_file())


def cut_short() -> list[Path]:
    """The folders that killed writes of trained models have left in the cache."""
    found = [one for one in cache_folder().glob(".*") if CUT_SHORT.fullmatch(one.name) and one.is_dir()]
    return sorted(one for one in found if time.time() - one.stat().st_mtime > A_WRITE)


def cached_folders() -> list[Path]:
    """The folders that lesson 13 keeps in the cache."""
    return sorted(folder for folder in cache_folder().glob("*") if FOLDERS.fullmatch(folder.name) and folder.is_dir())


def megabytes(files: Iterable[Path]) -> str:
    """The size of files and folders together."""
    parts = [part for file in files for part in (file.rglob("*") if file.is_dir() else [file])]
    return f"{sum(part.stat().st_size for part in parts if part.is_file()) / 1e6:.1f} MB"


def cache_line() -> str:
    """Where the cache is, and what it holds how much of."""
    files = cached_files()
    models = f"{len(files)} trained model{'' if len(files) == 1 else 's'}, {megabytes([*files, *cut_short()])}"
    return "; ".join(
        [f"Cache: {cache_folder()}, {models}", *(f"{one.name}, {megabytes([one])}" for one in cached_folders())]
    )


def clear_cache() -> str:
    """Remove what `cache_line` counts, and say what was removed. Lessons make it again when they are next run.

    Raises:
        ValueError: some of it cannot be removed.
    """
    line = cache_line()
    for one in [*cached_files(), *cut_short(), *cached_folders()]:
        try:
            if one.is_dir() and not one.is_symlink():
                shutil.rmtree(one)
            else:
                one.unlink(missing_ok=True)
        except OSError as error:
            raise ValueError(
                f"{one} cannot be removed ({error}); shut down the kernels that use it, and clear again"
            ) from error
    return f"{line}: removed"
