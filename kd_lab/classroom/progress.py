"""A learner's own answers, kept on disk: predictions, quizzes and solved exercises outlive the kernel.

`python -m kd_lab progress` lists them. Nothing leaves the machine.
"""

import contextlib
import inspect
import json
import os
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kd_lab.models.files import write_file

SOLVED = "right"
"""The state in which an exercise counts as solved."""


def file() -> Path:
    """`$KD_LAB_PROGRESS`, else a file beside an explicit `$KD_LAB_CACHE`, else one in the user's data folder."""
    if place := os.environ.get("KD_LAB_PROGRESS"):
        return Path(place)
    if cache := os.environ.get("KD_LAB_CACHE"):
        return Path(cache) / "progress.json"
    from platformdirs import user_data_dir  # only where nobody has named a place

    return Path(user_data_dir("kd_lab", appauthor=False)) / "progress.json"


def answers() -> dict[str, str]:
    """Everything that was answered, by identifier; empty where the file is missing or damaged."""
    try:
        kept = json.loads(file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in kept.items()} if isinstance(kept, dict) else {}


def recall(identifier: str) -> str | None:
    """The last answer to a question, or the state of an exercise; None where there is none."""
    return answers().get(identifier)


def record(identifier: str, answer: str) -> None:
    """Keep an answer. Where the disk refuses, the lesson goes on without: an answer is not worth an error."""
    with contextlib.suppress(OSError):
        place = file()
        place.parent.mkdir(parents=True, exist_ok=True)
        kept = json.dumps(answers() | {identifier: answer}, indent=1, sort_keys=True, ensure_ascii=False)
        write_file(place, kept.encode())


def attempt(identifier: str, state: str, candidate: Callable[..., Any], mistake: str = "") -> None:
    """Keep how an attempt at an exercise ended, the mistakes that were named, and the source of a right answer.

    Once solved it stays solved.
    """
    if mistake:
        before = json.loads(recall(f"{identifier}.mistakes") or "[]")
        record(f"{identifier}.mistakes", json.dumps(sorted({*before, mistake}), ensure_ascii=False))
    if state == SOLVED:
        with contextlib.suppress(OSError, TypeError):  # defined where no source can be read
            record(f"{identifier}.solution", textwrap.dedent(inspect.getsource(candidate)).rstrip())
    if recall(identifier) != SOLVED:
        record(identifier, state)


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
