"""Lessons on a machine that others use too: beside busy loops, and as many kernels at once as a class has.

    python -m kd_lab.bench.shared [--lesson 02] [--loops 4] [--kernels 8]

runs one lesson alone and beside busy loops, then all lessons, eight at a time, as on a small JupyterHub. It fails where
the loops cost more than `SLOWER`, where a lesson does not end, or where a kernel needs more memory than its card says.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kd_lab.classroom.build import BuildError, execute
from kd_lab.classroom.lesson import ROOT, Lesson, edition_of, find_lessons

SLOWER = 3.0
"""The factor on a lesson's time that four busy loops may cost on two cores: by fair shares it would be three."""

MORE_MEMORY = 1.1
"""The factor on the memory of a card that is within the spread of two runs."""


@dataclass(frozen=True)
class Cost:
    """One run of a lesson."""

    lesson: Lesson
    seconds: float
    memory_mib: float
    error: str = ""  # of the cell that stopped it

    @property
    def card_mib(self) -> float:
        return (self.lesson.measured or {}).get("memory_mib", float("inf"))

    @property
    def fits(self) -> bool:
        return not self.error and self.memory_mib <= MORE_MEMORY * self.card_mib

    def __str__(self) -> str:
        if self.error:
            return f"{self.lesson.number:<4} stopped: {self.error}"
        seconds, memory = f"{self.seconds:6.1f} s", f"{self.memory_mib:5.0f} MiB, card {self.card_mib:.0f}"
        return f"{self.lesson.number:<4} {seconds}  {memory}" + ("" if self.fits else "  TOO MUCH")


@contextmanager
def busy_loops(number: int) -> Iterator[None]:
    """Processes beside this block that do nothing but keep a core busy."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def cost(lesson: Lesson) -> Cost:
    """The unsolved lesson, from top to bottom in a kernel of its own with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        try:
            run = execute(edition_of(lesson, "unsolved"), lesson, Path(cache))
        except BuildError as error:
            return Cost(lesson, 0.0, 0.0, str(error))
    return Cost(lesson, run.seconds, run.memory_mib)


def beside_loops(lesson: Lesson, loops: int) -> float:
    """The factor that busy loops put on a lesson's time; infinite where it stops."""
    alone = cost(lesson)
    print(f"alone               {alone}", flush=True)
    with busy_loops(loops):
        loaded = cost(lesson)
    print(f"beside {loops} busy loops {loaded}", flush=True)
    return float("inf") if alone.error or loaded.error else loaded.seconds / alone.seconds


def at_once(lessons: list[Lesson], kernels: int) -> list[Cost]:
    """Every lesson, so many at a time."""
    with ThreadPoolExecutor(kernels) as pool:
        costs = []
        for one in pool.map(cost, lessons):
            print(one, flush=True)
            costs.append(one)
    return costs


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m kd_lab.bench.shared", description=__doc__.split("\n\n")[0])
    parser.add_argument("lessons", nargs="*", metavar="NN", help="the lessons that run at once; all by default")
    parser.add_argument("--lesson", default="02", help="the one that runs beside busy loops")
    parser.add_argument("--loops", type=int, default=4, help="how many of them")
    parser.add_argument("--kernels", type=int, default=8, help="how many lessons run at once")
    options = parser.parse_args(arguments)
    (lesson,) = find_lessons(root, [options.lesson])
    factor = beside_loops(lesson, options.loops)
    print(f"{factor:.2f} × as long; at most {SLOWER:g} × is asked of four loops on two cores", flush=True)
    print(f"\n{options.kernels} kernels at once", flush=True)
    costs = at_once(find_lessons(root, options.lessons), options.kernels)
    return int(factor > SLOWER or not all(one.fits for one in costs))


if __name__ == "__main__":
    sys.exit(main())
