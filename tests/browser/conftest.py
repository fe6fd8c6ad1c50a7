from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def open_notebook(window) -> Iterator[Callable]:
    """`open_notebook("questions.ipynb")`, shut down after the test."""
    opened = []

    def open_one(path: str):
        opened.append(window(path))
        return opened[-1]

    yield open_one
    for notebook in opened:
        notebook.shut_down()


@pytest.fixture(scope="session")
def learner(browser, run_of) -> Callable:
    """`learner(lesson)`: the lesson, opened and run from top to bottom once, for all tests that look at it."""
    return lambda lesson: run_of(lesson).begun()
