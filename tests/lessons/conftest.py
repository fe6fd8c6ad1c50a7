from collections.abc import Callable

import pytest
from lesson_run import Run, run_lesson

from kd_lab.classroom.build import ROOT
from kd_lab.classroom.claim import Claim
from kd_lab.classroom.lesson import Lesson, find_lessons

LESSONS = {lesson.number: lesson for lesson in find_lessons(ROOT / "lessons")}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `lesson` is one test per lesson."""
    if "lesson" in metafunc.fixturenames:
        metafunc.parametrize("lesson", list(LESSONS.values()), ids=list(LESSONS))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if {"run_of", "claims"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.lesson)


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Lesson], Run]:
    """The run of a lesson; the first that asks waits for it, the others share it."""
    runs: dict[str, Run] = {}
    cache = tmp_path_factory.mktemp("cache")

    def run(lesson: Lesson) -> Run:
        if lesson.number not in runs:
            runs[lesson.number] = run_lesson(lesson, tmp_path_factory.mktemp(f"lesson_{lesson.number}"), cache)
        return runs[lesson.number]

    return run


@pytest.fixture(scope="session")
def claims(run_of: Callable[[Lesson], Run]) -> Callable[[str], dict[str, tuple[Claim, ...]]]:
    """`claims("02")["C02b"]`: the claims that lesson 02 made under this number, in their order."""
    return lambda number: run_of(LESSONS[number]).claims
