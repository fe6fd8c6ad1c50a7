"""`setup("02")`: says on what a lesson runs and how long it will take, or how to mend what would stop it."""

import json
import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any

import torch

from kd_lab.classroom.panel import Panel, show

SHOWN = ("torch", "numpy", "ipywidgets")
"""The packages whose versions change what a lesson shows; the others are checked in silence."""


def setup(lesson: str, seed: int = 0, threads: int = 4) -> int:
    """Prepare a lesson and say on what it runs.

    Args:
        lesson: its number, such as "02".
        seed: printed and returned, so that the cells below build their generators from the number that is shown.
        threads: the most that torch may use. A model this small loses more to waiting than it gains past a few; where
            all of a lesson's models are tiny, 1 is as fast and does not suffer when something else wants a core.

    Returns:
        The seed.
    """
    threads = min(available_cores(), threads)
    torch.set_num_threads(threads)
    remedies = missing()
    versions = " · ".join(["Python " + platform.python_version(), *(f"{name} {version(name)}" for name in SHOWN)])
    show(
        Panel(
            f"Lesson {lesson}",
            (
                versions,
                f"Device: CPU, {threads} thread{'s' if threads > 1 else ''} · seed {seed}",
                expected_line(measured(lesson)),
                *remedies,
            ),
            tone="attention" if remedies else "good",
        )
    )
    return seed


def available_cores() -> int:
    """The cores that this process may use, which inside a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def missing(requirements: Sequence[str] | None = None) -> list[str]:
    """One remedy per package that kd_lab requires and that is absent or too old here; empty if all is well.

    >>> print(missing(["torch>=99"])[0].split("run: ")[1])
    pip install -c constraints.txt -e . 'torch>=99'
    """
    remedies = []
    for requirement in requires("kd_lab") or [] if requirements is None else requirements:
        text, _, marker = requirement.partition(";")
        name = re.split(r"[<>=!~ \[]", text, maxsplit=1)[0]
        if marker:  # an extra, or a package of some platforms only
            continue
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "missing"
        if found == "missing" or not satisfies(found, text.removeprefix(name)):
            remedies.append(
                f"{name} is {'not installed' if found == 'missing' else found}, and kd_lab needs {text.strip()}. "
                f"In the folder of the course, run: pip install -c constraints.txt -e . '{text.strip()}'"
            )
    return remedies


def satisfies(found: str, specifier: str) -> bool:
    """Whether a version lies in a range such as ">=4.4,<5".

    >>> satisfies("2.13.0+cpu", ">=2.9"), satisfies("5.0", ">=4.4,<5")
    (True, False)
    """

    def numbers(text: str) -> tuple[int, ...]:
        digits = [int(part) for part in re.findall(r"\d+", text.partition("+")[0])]
        return tuple([*digits, 0, 0, 0][:3])

    bounds = re.findall(r"(>=|<)\s*([\d.]+)", specifier)
    return all(numbers(found) >= numbers(b) if sign == ">=" else numbers(found) < numbers(b) for sign, b in bounds)


def measured(lesson: str, folder: Path | None = None) -> dict[str, Any] | None:
    """What the builder measured when it ran a lesson: seconds, peak memory, cores. None where nobody has.

    Args:
        lesson: its number.
        folder: where measured.json lies; by default the working folder, which for a notebook is lessons/.
    """
    for place in [folder] if folder else [Path.cwd(), Path(__file__).parents[2] / "lessons"]:
        file = place / "measured.json"
        if file.exists():
            return json.loads(file.read_text(encoding="utf-8")).get(lesson)
    return None


def expected_line(entry: dict[str, Any] | None) -> str:
    """Expected run time and memory as a sentence.

    >>> expected_line({"seconds": 41.4, "memory_mib": 820, "cores": 2})
    'From top to bottom it takes about 41 seconds and 0.8 GiB of memory on 2 CPU cores.'
    """
    if entry is None:
        return "How long it takes from top to bottom has not been measured yet."
    return (
        f"From top to bottom it takes about {entry['seconds']:.0f} seconds and {entry['memory_mib'] / 1024:.1f} GiB "
        f"of memory on {entry['cores']} CPU cores."
    )
