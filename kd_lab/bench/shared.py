"""Lessons on a machine that others use too: beside busy loops, and as many kernels at once as a class has.

    python -m kd_lab.bench.shared [--lesson 02] [--loops 4] [--kernels 8]

runs one lesson alone and beside busy loops, then all lessons, eight at a time, as on a small JupyterHub. It fails where
the loops cost more than `SLOWER`, where a lesson does not end, or where a kernel needs more memory than its card says.

    python -m kd_lab.bench.shared --same 03 --kernels 40

runs one lesson in forty kernels at once, as a class does that presses “Run all” at the same moment, and says what that
took. `--server` measures what a student's JupyterLab takes beside the kernel.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from kd_lab.classroom.build import BuildError, execute
from kd_lab.classroom.lesson import ROOT, Lesson, edition_of, find_lessons
from kd_lab.classroom.setup import available_cores

SLOWER = 3.0
"""The factor on a lesson's time that four busy loops may cost on two cores: by fair shares it is 2.5 for one thread."""

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


def class_at_once(lesson: Lesson, kernels: int) -> str:
    """One lesson in so many kernels at once: the table of a class that begins together.

    Raises:
        BuildError: it stops in one of them.
    """
    alone = cost(lesson)
    with ThreadPoolExecutor(kernels) as pool:
        costs = list(pool.map(cost, [lesson] * kernels))
    if stopped := [one.error for one in [alone, *costs] if one.error]:
        raise BuildError(f"{len(stopped)} of {kernels} kernels stopped: {stopped[0]}")
    seconds, memory = sorted(one.seconds for one in costs), [one.memory_mib for one in costs]
    cores = available_cores()
    return "\n".join(
        [
            f"lesson {lesson.number}, {kernels} kernels at once on {cores} cores",
            f"seconds: {alone.seconds:.1f} alone; at once {median(seconds):.1f} (median), {seconds[-1]:.1f} at most",
            f"by fair shares: {alone.seconds * kernels / cores:.1f}",
            f"peak memory in MiB: {max(memory):.0f} of one kernel, {sum(memory):.0f} of all",
        ]
    )


def server_memory(seconds: float = 60.0) -> float:
    """MiB that a JupyterLab without a kernel holds once it answers.

    Raises:
        TimeoutError: it does not answer in time.
    """
    import psutil

    with tempfile.TemporaryDirectory() as place:
        listen = [
            "--ServerApp.port=0",
            "--ServerApp.open_browser=False",
            "--allow-root",
            f"--ServerApp.root_dir={place}",
        ]
        places = os.environ | {"JUPYTER_RUNTIME_DIR": place, "JUPYTER_DATA_DIR": place, "HOME": place}
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *listen],
            env=places,
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            end = time.monotonic() + seconds
            while not list(Path(place).glob("jpserver-*.json")):
                if time.monotonic() > end or server.poll() is not None:
                    raise TimeoutError(f"JupyterLab did not answer within {seconds:g} s")
                time.sleep(0.2)
            time.sleep(2)  # its extensions load
            return psutil.Process(server.pid).memory_info().rss / 2**20
        finally:
            server.kill()
            server.wait()


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m kd_lab.bench.shared", description=__doc__.split("\n\n")[0])
    parser.add_argument("lessons", nargs="*", metavar="NN", help="the lessons that run at once; all by default")
    parser.add_argument("--lesson", default="02", help="the one that runs beside busy loops")
    parser.add_argument("--loops", type=int, default=4, help="how many of them")
    parser.add_argument("--kernels", type=int, default=8, help="how many lessons run at once")
    parser.add_argument("--same", metavar="NN", help="run this one alone, and then in all kernels at once")
    parser.add_argument("--server", action="store_true", help="measure a JupyterLab without a kernel")
    options = parser.parse_args(arguments)
    if options.server:
        print(f"JupyterLab without a kernel: {server_memory():.0f} MiB")
        return 0
    if options.same:
        print(class_at_once(*find_lessons(root, [options.same]), options.kernels))
        return 0
    (lesson,) = find_lessons(root, [options.lesson])
    factor = beside_loops(lesson, options.loops)
    print(f"{factor:.2f} × as long; at most {SLOWER:g} × is asked of four loops on two cores", flush=True)
    print(f"\n{options.kernels} kernels at once", flush=True)
    costs = at_once(find_lessons(root, options.lessons), options.kernels)
    return int(factor > SLOWER or not all(one.fits for one in costs))


if __name__ == "__main__":
    sys.exit(main())
