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
def lab(browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator:
    """JupyterLab over a copy of the lessons."""
    from lab_driver import running_lab

    root, home = tmp_path_factory.mktemp("lessons"), tmp_path_factory.mktemp("home")
    for lesson in (ROOT / "lessons").glob("*.ipynb"):
        shutil.copy(lesson, root)
    with running_lab(root, home) as running:
        yield running


@pytest.fixture
def open_notebook(lab, browser) -> Iterator[Callable]:
    """`open_notebook("02_name.ipynb")` in a window of a laptop's size."""
    from lab_driver import Notebook

    opened = []

    def open_one(path: str) -> Notebook:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.append(Notebook(lab, page, path))
        return opened[-1]

    yield open_one
    for notebook in opened:
        notebook.shut_down()
