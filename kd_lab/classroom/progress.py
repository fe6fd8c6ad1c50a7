"""A learner's own answers, kept on disk: predictions, quizzes and solved exercises outlive the kernel.

`python -m kd_lab progress` lists them. Nothing leaves the machine.
"""

import contextlib
import inspect
import json
import os
import re
import textwrap
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from kd_lab.models.files import write_file

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # elsewhere
    msvcrt = None  # type: ignore[assignment]

SOLVED = "right"
"""The state in which an exercise counts as solved."""

PATIENCE = 2.0
"""Seconds for which an answer waits while another kernel writes; one that was stopped in the middle holds nobody up."""

PRIVATE = 0o600
"""The mode of the file: a learner's answers are for nobody else on the machine."""

told: list[str] = []
"""The sentence that this kernel has said about answers that cannot be kept."""


def file() -> Path:
    """`$KD_LAB_PROGRESS`, else one in the user's data folder. Not in the cache, which anyone may move or delete."""
    if place := os.environ.get("KD_LAB_PROGRESS"):
        return Path(place)
    from platformdirs import user_data_dir  # only where nobody has named a place

    own = Path(user_data_dir("kd_lab", appauthor=False)) / "progress.json"
    if cache := os.environ.get("KD_LAB_CACHE"):
        with contextlib.suppress(OSError, ValueError):  # one that cannot be read now is taken over another time
            _take_over(Path(cache).absolute() / "progress.json", own)
    return own


def _take_over(earlier: Path, own: Path) -> None:
    """Add once the answers that an earlier edition kept in `$KD_LAB_CACHE`. Its file is left as it is.

    An answer in both stays the learner's own, but what was solved in either is solved. Beside the own file a list names
    those taken over, so that a learner who begins anew does not get them back.

    Raises:
        OSError: one of the files cannot be read or written now.
        ValueError: one of them is damaged.
    """
    taken = own.with_name(f"{own.name}.taken")

    def is_taken() -> bool:
        return taken.exists() and str(earlier) in taken.read_text(encoding="utf-8").splitlines()

    if is_taken() or not earlier.exists():
        return
    own.parent.mkdir(parents=True, exist_ok=True)
    with alone(own):
        if is_taken():  # by another kernel meanwhile
            return
        found, kept = _read(earlier), _read(own) if own.exists() else {}
        solved = {key: SOLVED for key in found if re.fullmatch(r"[^.]+\.\d+", key) and found[key] == SOLVED}
        write_file(own, _written(found | kept | solved), PRIVATE)
        with taken.open("a", encoding="utf-8") as names:
            names.write(f"{earlier}\n")


def answers() -> dict[str, str]:
    """Everything that was answered, by identifier; empty where the file is missing or damaged."""
    try:
        return _read(file())
    except (OSError, ValueError):
        return {}


def _read(place: Path) -> dict[str, str]:
    """The answers in a file.

    Raises:
        OSError: it is not there, or cannot be read now.
        ValueError: it is damaged.
    """
    try:
        kept = json.loads(place.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise ValueError(f"{place} nests deeper than answers do") from error
    if not isinstance(kept, dict):
        raise ValueError(f"{place} holds a {type(kept).__name__}; expected an object with a line for each answer")
    return {str(key): str(value) for key, value in kept.items()}


def recall(identifier: str) -> str | None:
    """The last answer to a question, or the state of an exercise; None where there is none."""
    return answers().get(identifier)


def record(identifier: str, answer: str) -> str:
    """Keep an answer. Where the disk refuses, the lesson goes on without: an answer is not worth an error.

    Returns:
        What to tell the learner: a sentence the first time that an answer could not be kept, else nothing.
    """
    return _add(lambda kept: {identifier: answer})


def _add(news: Callable[[dict[str, str]], dict[str, str]]) -> str:
    """Add what `news` makes of the answers so far. A file that cannot be read now is left as it is."""
    try:
        place = file()
        place.parent.mkdir(parents=True, exist_ok=True)
        with alone(place):
            before = _read_or_move_aside(place)
            write_file(place, _written(before | news(before)), PRIVATE)
    except (OSError, ValueError) as error:  # ValueError: a place that names no file
        if not told:
            told.append(f"Your answers cannot be kept ({error}): set KD_LAB_PROGRESS to a file that can be written.")
            return told[0]
    return ""


def _written(kept: dict[str, str]) -> bytes:
    """Answers as their file holds them."""
    return json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False).encode()


def _read_or_move_aside(place: Path) -> dict[str, str]:
    """The answers in a file. Of a damaged one someone may yet fix the lines, so it gets another name."""
    try:
        return _read(place)
    except FileNotFoundError:
        return {}
    except ValueError:
        names = (f"{place.name}.damaged{'' if n == 1 else f'-{n}'}" for n in count(1))
        place.rename(next(aside for aside in map(place.with_name, names) if not aside.exists()))
        return {}


@contextlib.contextmanager
def alone(place: Path) -> Iterator[None]:
    """Keep the other kernels from writing a file. However a process ends, the system takes its lock away."""
    with place.with_name(f"{place.name}.lock").open("ab") as lock:
        until = time.monotonic() + PATIENCE
        while not _locked(lock) and time.monotonic() < until:
            time.sleep(0.01)
        yield


def _locked(lock: BinaryIO) -> bool:
    """Take a lock; False where somebody has it. A browser and some network drives know no locks: True there."""
    try:
        if fcntl is not None:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt is not None:
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:
        return True
    return True


def attempt(identifier: str, state: str, candidate: Callable[..., Any], mistake: str = "") -> str:
    """Keep how an attempt at an exercise ended, the mistakes that were named, and the source of a right answer.

    Once solved it stays solved. Returns what `record` returns.
    """

    def news(kept: dict[str, str]) -> dict[str, str]:
        found = {} if kept.get(identifier) == SOLVED else {identifier: state}
        if mistake:
            named = {*names_in(kept.get(f"{identifier}.mistakes")), mistake}
            found[f"{identifier}.mistakes"] = json.dumps(sorted(named), ensure_ascii=False)
        if state == SOLVED:
            with contextlib.suppress(OSError, TypeError):  # defined where no source can be read
                source = inspect.getsource(getattr(candidate, "fn", candidate))  # of a Triton kernel, its function
                found[f"{identifier}.solution"] = textwrap.dedent(source).rstrip()
        return found

    return _add(news)


def names_in(kept: str | None) -> list[str]:
    """The mistakes under "02.1.mistakes"; none where there are none, or the line is damaged.

    >>> names_in('["direction reversed"]'), names_in("["), names_in(None)
    (['direction reversed'], [], [])
    """
    try:
        names = json.loads(kept or "[]")
    except ValueError:
        return []
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def solution(identifier: str) -> str | None:
    """The learner's own right answer to an exercise, the last that there was; None where there is none."""
    return recall(f"{identifier}.solution")


def summary(kept: dict[str, str]) -> str:
    """One line per lesson.

    >>> print(summary({"02.1": "right", "02.2": "not there yet", "02.a": "softer", "02.quiz.1": "KL(p‖q)"}))
    lesson 02: solved 02.1; tried 02.2; 1 prediction, 1 quiz answer
    """
    lines = []
    for lesson in sorted({identifier.partition(".")[0] for identifier in kept}):
        own = {key.partition(".")[2]: value for key, value in sorted(kept.items()) if key.startswith(f"{lesson}.")}
        exercises = {f"{lesson}.{key}": value for key, value in own.items() if re.fullmatch(r"\d+", key)}
        solved = [identifier for identifier, state in exercises.items() if state == SOLVED]
        tried = [identifier for identifier in exercises if identifier not in solved]
        predictions = number(sum(key.isalpha() for key in own), "prediction")
        answered = number(sum(key.startswith("quiz.") for key in own), "quiz answer")
        parts = [f"{word} {', '.join(some)}" for word, some in (("solved", solved), ("tried", tried)) if some]
        lines.append(f"lesson {lesson}: {'; '.join([*parts, f'{predictions}, {answered}'])}")
    return "\n".join(lines) or "nothing answered yet"


def number(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
