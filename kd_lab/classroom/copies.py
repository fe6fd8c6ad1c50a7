"""A learner's own copies of the lessons: laid out once, renewed while untouched, never overwritten once edited.

A copy is untouched as long as its cells say what they said when it was laid out; that it was run since does not count,
for answers are kept elsewhere (`progress`). A newer edition of a lesson lies beside an edited copy, under a name of its
own. Beside the copies, `.kd_lab.json` notes which edition was laid out under which name.
"""

import contextlib
import hashlib
import json
import platform
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbformat.sign import NotebookNotary

from kd_lab.classroom.lesson import Lesson, edition_of, with_card
from kd_lab.models.files import write_file

NOTES = ".kd_lab.json"

MEASURED = re.compile(r"From top to bottom it takes about .*? CPU cores\.")
"""The sentence of a lesson's card that another build changes; it makes no new edition."""

KERNEL = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
"""A Python kernel's account of its language. Where a notebook says anything else, opening it already edits it."""


def lay_out(lessons: list[Lesson], folder: Path) -> list[str]:
    """Bring the copies in a folder up to date, and lose nothing that a learner wrote.

    Args:
        lessons: those to copy.
        folder: where to; it is made if need be.

    Returns:
        A line for each copy that was renewed and for each newer edition laid beside an edited one.

    Raises:
        ValueError: `folder` cannot be made or written, or the checkout's notebook of a lesson cannot be read.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        laid = notes(folder)
        lines = [line for lesson in lessons if (line := lay_one(lesson, folder, laid))]
        write_file(folder / NOTES, json.dumps(laid, indent=1, sort_keys=True).encode())
    except OSError as error:
        raise ValueError(
            f"the lessons cannot be copied into {str(folder)!r} ({error}); name a folder that you may write"
        ) from error
    return lines


def lay_one(lesson: Lesson, folder: Path, laid: dict[str, str]) -> str | None:
    """Lay out one lesson under the first name that is free or untouched; note it in `laid`. Returns what to say."""
    notebook = fresh(lesson)
    edition = fingerprint(notebook)
    if holder(lesson, edition, folder, laid) is not None:
        return None
    edited = []
    for file in names(folder, lesson.name):
        there = fingerprint_of(file)
        if there == edition:
            laid[file.name] = edition
            return None
        if file.exists() and (there is None or there != laid.get(file.name)):
            edited.append(file.name)
            continue
        renewed = file.exists()
        write_file(file, (json.dumps(notebook, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode())
        trust(notebook)
        laid[file.name] = edition
        if edited:
            return f"{edited[-1]} is as you left it; a newer edition lies beside it: {file.name}"
        return f"{file.name} is now the newer edition; you had not edited it" if renewed else None
    raise AssertionError("the names never end")


def trust(notebook: dict[str, Any]) -> None:
    """Sign a copy for this user, as running all its cells would: else JupyterLab strips the styles from its outputs."""
    with contextlib.suppress(OSError, sqlite3.Error):  # a data folder that cannot be written costs those styles alone
        NotebookNotary().sign(nbformat.from_dict(notebook))


def names(folder: Path, name: str) -> Iterator[Path]:
    """02_name.ipynb, 02_name (newer).ipynb, 02_name (newer 2).ipynb, …"""
    yield folder / f"{name}.ipynb"
    yield folder / f"{name} (newer).ipynb"
    number = 2
    while True:
        yield folder / f"{name} (newer {number}).ipynb"
        number += 1


def latest(lesson: Lesson, folder: Path) -> Path:
    """The copy to open: the one of a lesson's newest edition, under whichever name `lay_out` found for it.

    Raises:
        ValueError: as `fresh`.
    """
    edition, laid = fingerprint(fresh(lesson)), notes(folder)
    return holder(lesson, edition, folder, laid) or next(names(folder, lesson.name))


def holder(lesson: Lesson, edition: str, folder: Path, laid: dict[str, str]) -> Path | None:
    """The copy that was laid out from an edition of a lesson, edited since or not; None where it is not there."""
    own = re.compile(rf"{re.escape(lesson.name)}( \(newer( \d+)?\))?\.ipynb")
    held = [folder / name for name, one in laid.items() if one == edition and own.fullmatch(name)]
    return min(filter(Path.exists, held), key=lambda file: (len(file.name), file.name), default=None)


def fresh(lesson: Lesson) -> dict[str, Any]:
    """A lesson's notebook as a new copy holds it: executed in a checkout, without outputs from an installed package.

    Raises:
        ValueError: the checkout's notebook cannot be read.
    """
    if lesson.notebook.exists():
        try:
            notebook = json.loads(lesson.notebook.read_text(encoding="utf-8"))
        except ValueError as error:  # as after a `git pull` that could not merge what someone wrote there
            raise ValueError(
                f"{lesson.notebook} is no notebook ({error}); keep a copy of what you wrote there, then take it back "
                f"with git checkout HEAD -- lessons/{lesson.notebook.name}"
            ) from error
    else:  # a wheel holds the sources alone
        notebook = json.loads(nbformat.writes(with_card(edition_of(lesson, "unsolved"), lesson.measured)))
    notebook["metadata"]["language_info"] = KERNEL | {"version": platform.python_version()}
    return notebook


def fingerprint(notebook: dict[str, Any]) -> str:
    """A hash of what the cells say; outputs, metadata and the measured cost do not count."""
    cells = [(cell["cell_type"], MEASURED.sub("", "".join(cell["source"]))) for cell in notebook["cells"]]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()[:16]


def fingerprint_of(file: Path) -> str | None:
    """The fingerprint of a copy; None where there is none, or one that cannot be read, which counts as edited."""
    try:
        return fingerprint(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def notes(folder: Path) -> dict[str, str]:
    """File name → the edition that was laid out under it; empty where the notes are missing or damaged."""
    try:
        kept = json.loads((folder / NOTES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(name): str(edition) for name, edition in kept.items()} if isinstance(kept, dict) else {}
