import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def browser() -> Iterator:
    from lab_driver import chromium_path, launch_chromium
    from playwright.sync_api import sync_playwright

    if chromium_path() is None:
        reason = "no chromium, chromium-browser or google-chrome on the PATH; install one to run the browser tests"
        if os.environ.get("CI"):
            pytest.fail(reason)  # where everything must be tested, a skip would pass for a success
        pytest.skip(reason)
    with sync_playwright() as playwright:
        chromium = launch_chromium(playwright)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory: pytest.TempPathFactory, trained_cache: Path) -> Iterator:
    """JupyterLab over a copy of the lessons."""
    from lab_driver import running_lab

    root, home = tmp_path_factory.mktemp("lessons"), tmp_path_factory.mktemp("home")
    for lesson in (ROOT / "lessons").glob("*.ipynb"):
        shutil.copy(lesson, root)
    with running_lab(root, home, trained_cache) as running:
        yield running


@pytest.fixture(scope="session")
def window(lab, browser) -> Callable:
    """`window("02_name.ipynb")`: a notebook open in a window of a laptop's size."""
    from lab_driver import Notebook

    return lambda path: Notebook(lab, browser.new_page(viewport={"width": 1280, "height": 900}), path)


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
def learner(window) -> Iterator[Callable]:
    """`learner(lesson)`: the lesson, opened and run from top to bottom once, for all tests that look at it."""
    opened: dict = {}

    def open_and_run(lesson):
        if lesson.number not in opened:
            for number in list(opened):  # one kernel at a time
                opened.pop(number).shut_down()
            notebook = opened[lesson.number] = window(lesson.notebook.name)
            notebook.run_all()
        else:  # a run that stopped fails its first test; the others need not wait for what will not come
            assert opened[lesson.number].errors() == []
        return opened[lesson.number]

    yield open_and_run
    for notebook in opened.values():
        notebook.shut_down()
