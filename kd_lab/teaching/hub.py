"""`kd-lab class hub`: what a JupyterHub for a class needs, from what each lesson was measured to need.

A lesson's kernel uses one thread. Its seconds and its peak memory stand in its measured.json, which every build of the
lesson writes; `python -m kd_lab.bench.shared --same 03 --kernels 40` runs so many kernels at once on your own machine.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from kd_lab.classroom.lesson import Lesson
from kd_lab.teaching.course import chosen_lessons

SPREAD = 1.1
"""The factor on a measured peak that is within the spread of two runs, as in `kd_lab.bench.shared`."""

SERVER_MIB = 150
"""One student's JupyterLab beside its kernel. `python -m kd_lab.bench.shared --server` measured 90 with no notebook."""

PATIENCE = 120.0
"""Seconds that a class may wait when everyone runs a whole lesson at the same moment."""


@dataclass(frozen=True)
class Needs:
    """The memory and cores of a hub on which so many students take one lesson."""

    lesson: str
    kernel_mib: float  # peak, with the spread
    memory_gib: float  # of all kernels and servers together
    cores: int  # so that "Run all" by everyone at once ends within PATIENCE
    alone: float  # seconds of the lesson in one kernel

    def __str__(self) -> str:
        return (
            f"{self.lesson:<4} {self.kernel_mib:6.0f} MiB per kernel {self.memory_gib:7.1f} GiB in all "
            f"{self.cores:4} cores   {self.alone:4.0f} s alone"
        )


def needs_of(lesson: Lesson, students: int) -> Needs:
    """The needs of one lesson.

    Raises:
        ValueError: the lesson has never been built, so nothing is known of it.
    """
    entry = lesson.measured
    if entry is None:
        raise ValueError(f"lesson {lesson.number} was never measured; build it: python -m kd_lab.classroom.build")
    kernel = SPREAD * entry["memory_mib"]
    cores = -(-students * entry["seconds"] // PATIENCE)
    return Needs(lesson.number, kernel, students * (kernel + SERVER_MIB) / 1024, int(cores), entry["seconds"])


def rounded_up(gib: float) -> float:
    """To the next tenth: a limit below the need ends a kernel.

    >>> rounded_up(1.245), rounded_up(1.2), rounded_up(0.3)
    (1.3, 1.2, 0.3)
    """
    return math.ceil(round(10 * gib, 6)) / 10


def needs(students: int = 40, numbers: Sequence[str] = ()) -> str:
    """A table for a class, and the hub that stands all of its lessons.

    Args:
        students: at work at the same time.
        numbers: of the lessons; all by default.

    Raises:
        ValueError: no student, or an unknown lesson.

    >>> print(needs(40, ["03"]).splitlines()[0])
    40 students at once, one kernel each, one thread each
    """
    if students < 1:
        raise ValueError(f"students is {students}; expected at least 1")
    rows = [needs_of(lesson, students) for lesson in chosen_lessons(numbers)]
    memory, kernel = max(row.memory_gib for row in rows), max(row.kernel_mib for row in rows)
    cores, limit = max(row.cores for row in rows), (kernel + SERVER_MIB) / 1024
    return "\n".join(
        [
            f"{students} students at once, one kernel each, one thread each",
            *map(str, rows),
            f"A hub for all of these: {memory:.0f} GiB of memory. Limit each server to {rounded_up(limit):.1f} GiB:",
            f"one student's kernel, and JupyterLab's {SERVER_MIB} MiB.",
            f"With {cores} cores nobody waits longer than {PATIENCE:.0f} s when all press “Run all” at one moment;",
            "with half of them, twice as long: the kernels share what there is.",
        ]
    )
