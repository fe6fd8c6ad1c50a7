"""`setup("02")`: says on what a lesson runs, or how to fix what would stop it."""

import os
import platform
import re
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version

from kd_lab.classroom.guard import WEBASSEMBLY
from kd_lab.classroom.panel import Panel, show
from kd_lab.optional_torch import HAS_TORCH, torch

SHOWN = ("torch", "numpy", "ipywidgets")
"""The packages whose versions change what a lesson shows; the others are checked in silence."""

ASLEEP = (
    ".jp-OutputArea-output.jupyter-widgets:not(:has(*)) {font-size: 0} "
    ".jp-OutputArea-output.jupyter-widgets:not(:has(*))::after {font-size: 14px; "
    "content: 'This was left by a kernel that has ended. Run the notebook up to this cell to use it again.'}"
)
"""For a notebook that is opened again: JupyterLab's "model not found", in the place of a widget, told as a remedy."""


def setup(lesson: str, seed: int = 0, threads: int = 1) -> int:
    """Prepare a lesson and say on what it runs.

    Args:
        lesson: its number, such as "02".
        seed: printed and returned, so that the cells below build their generators from the number that is shown.
        threads: the most that torch may use. Models this small gain nothing from a second one, and on a busy machine
            two that wait for one another are many times slower than one.

    The environment overrides both, to see a lesson as other machines do: KD_LAB_SEED is added to the seed, and
    KD_LAB_THREADS is the number of threads.

    Returns:
        The seed.
    """
    seed += int(os.environ.get("KD_LAB_SEED", "0"))
    threads = int(os.environ.get("KD_LAB_THREADS", "0")) or min(available_cores(), threads)
    if HAS_TORCH:
        torch.set_num_threads(threads)
    remedies = [] if WEBASSEMBLY else missing()  # in a browser there is nothing to install
    versions = " · ".join(["Python " + platform.python_version(), *shown()])
    show(
        Panel(
            f"Lesson {lesson}",
            (
                versions,
                f"Device: CPU, {threads} thread{'s' if threads > 1 else ''} · seed {seed}",
                *remedies,
            ),
            tone="attention" if remedies else "good",
            style=ASLEEP,
        )
    )
    return seed


def shown() -> list[str]:
    """The packages of `SHOWN` that are there, each with its version."""
    there = []
    for name in SHOWN:
        with suppress(PackageNotFoundError):
            there.append(f"{name} {version(name)}")
    return there


def available_cores() -> int:
    """The cores that this process may use, which inside a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def missing(requirements: Sequence[str] | None = None) -> list[str]:
    """One remedy per package that a lesson requires and that is absent or too old here; empty if all is well.

    >>> print(missing(["torch>=99"])[0].split("run: ")[1])
    pip install -c constraints.txt -e '.[course]'
    """
    remedies = []
    for requirement in requires("kd_lab") or [] if requirements is None else requirements:
        text, _, marker = requirement.partition(";")
        name = re.split(r"[<>=!~ \[]", text, maxsplit=1)[0]
        if marker and not re.fullmatch(r"\s*extra == .course.", marker):  # another extra, or some platforms only
            continue
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "missing"
        if found == "missing" or not satisfies(found, text.removeprefix(name)):
            remedies.append(
                f"{name} is {'not installed' if found == 'missing' else found}, and the lessons need {text.strip()}. "
                "In the folder of the course, run: pip install -c constraints.txt -e '.[course]'"
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
