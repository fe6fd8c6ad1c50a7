"""Rules of every test run: one thread for each process, Triton's interpreter, and one execution of each lesson.

Under xdist (`-n 2 --dist loadgroup`) the tests of one lesson make one group, which one worker runs, so that they share
its executions; every other file is a group of its own, so that what a file prepares is prepared once.
"""

import os
import re
from pathlib import Path

# Before anything imports Triton, which reads this once: kernels run in its interpreter, on any machine.
os.environ.setdefault("TRITON_INTERPRET", "1")
# Two threads that wait for one another on a busy machine are fifteen times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import pytest

# kd_lab is imported inside functions: at the head of this file jaxtyping's hook, which checks shapes, is not yet set.

OF_A_LESSON = {"lesson", "run_of", "claims", "learner"}
"""The fixtures that execute a lesson, or ask for one."""


def lesson_of(item: pytest.Item) -> str | None:
    """The number of the lesson that a test executes, by its parameter or by its folder; None for any other test."""
    if not OF_A_LESSON & set(getattr(item, "fixturenames", ())):
        return None
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if "lesson" in parameters:
        return parameters["lesson"].number
    folder = re.fullmatch(r"l(\d\d)_\w+", item.path.parent.name)
    return folder[1] if folder else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `lesson` is one test per lesson."""
    if "lesson" in metafunc.fixturenames:
        from kd_lab.classroom.lesson import find_lessons

        lessons = find_lessons()
        metafunc.parametrize("lesson", lessons, ids=[lesson.number for lesson in lessons])


def seconds_of_lessons() -> dict[str, float]:
    """Number → seconds that the lesson took when it was built."""
    from kd_lab.classroom.lesson import find_lessons

    return {lesson.number: (lesson.measured or {}).get("seconds", 60) for lesson in find_lessons()}


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    numbers = {item: lesson_of(item) for item in items}
    for item, number in numbers.items():
        if {"run_of", "claims", "learner"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.lesson)
        item.add_marker(pytest.mark.xdist_group(f"lesson {number}" if number else item.nodeid.partition("::")[0]))
    if hasattr(config, "workerinput"):  # the longest first, so that no worker waits for the last lesson
        seconds = seconds_of_lessons()
        items.sort(key=lambda item: (-seconds.get(numbers[item] or "", 0), numbers[item] or ""))
    else:  # lesson by lesson, after all that is quick
        items.sort(key=lambda item: numbers[item] or "")


@pytest.fixture(scope="session")
def trained_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for what lessons train, shared by all lessons, editions and workers of this test run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained"
    folder.mkdir(exist_ok=True)
    return folder
