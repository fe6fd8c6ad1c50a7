"""Rules of every test run: one thread for each process, Triton's interpreter, and one execution of each lesson.

Under xdist (`-n 2 --dist loadgroup`) the tests of one lesson make one group, which one worker runs, so that they share
its executions; every other file is a group of its own, so that what a file prepares is prepared once.
"""

import gc
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before anything imports Triton, which reads this once: kernels run in its interpreter, on any machine.
os.environ.setdefault("TRITON_INTERPRET", "1")
# Two threads that wait for one another on a busy machine are fifteen times slower than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import ipykernel.ipkernel  # noqa: F401 — before any widget is made: it changes where widgets are registered
import pytest

if TYPE_CHECKING:
    from lesson_run import Run

    from kd_lab.classroom.lesson import Lesson

# kd_lab is imported inside functions: at the head of this file jaxtyping's hook, which checks shapes, is not yet set.

ROOT = Path(__file__).parents[1]

THIS_MACHINE = ("127.0.0.1", "localhost")


def ask_directly(environment: MutableMapping[str, str]) -> None:
    """Have no proxy asked for the servers that tests start on this machine, by child processes either."""
    for name, other in (("no_proxy", "NO_PROXY"), ("NO_PROXY", "no_proxy")):
        named = environment.get(name) or environment.get(other, "")
        hosts = [host.strip() for host in named.split(",") if host.strip()]
        if hosts != ["*"]:
            environment[name] = ",".join(dict.fromkeys([*hosts, *THIS_MACHINE]))


def heed_interrupts() -> None:
    """Undo what a shell does to its jobs in the background: they, and all that they start, ignore Ctrl-C."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


ask_directly(os.environ)
heed_interrupts()

EXECUTED = {"run_of", "claims", "learner"}
"""The fixtures that execute a lesson."""


STARTED = time.monotonic()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test leaves a trained model or an answer with the person who runs it, nor finds one there."""
    cache = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KD_LAB_CACHE", str(cache))
        patch.setenv("KD_LAB_PROGRESS", str(cache / "progress.json"))
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--within", type=float, metavar="SECONDS", help="skip the tests that have not begun by then")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """`make check` answers soon: what a change touches may be a thousand tests of kernels."""
    within = item.config.getoption("--within")
    if within is not None and time.monotonic() - STARTED > within:
        pytest.skip(f"not begun within {within:g} s; make test runs it")


def lesson_of(nodeid: str) -> str | None:
    """The number of the lesson that a test belongs to, by its folder or its parameter; None for any other test.

    >>> lesson_of("tests/lessons/l03_which_kl/test_claims.py::test_it"), lesson_of("tests/lessons/test_a.py::test[03]")
    ('03', '03')
    """
    found = re.match(r"tests/lessons/l(\d\d[a-z]?)_\w+/|tests/(?:lessons|browser)/\w+\.py::\w+\[(\d\d[a-z]?)\]", nodeid)
    return found and (found[1] or found[2])


def group_of(nodeid: str) -> str:
    """The tests that one worker runs one after another: those of a lesson, or else of a file."""
    lesson = lesson_of(nodeid)
    return f"lesson {lesson}" if lesson else nodeid.partition("::")[0]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Groups by node id: xdist 3.8 writes the mark `xdist_group` where pytest 9.2 no longer reads it."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByLesson(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return ByLesson(config, log)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test of lessons or of the browser that asks for `lesson` is one test per lesson."""
    folder = metafunc.definition.path.relative_to(ROOT).parts[1]
    if "lesson" in metafunc.fixturenames and folder in ("lessons", "browser"):
        from kd_lab.classroom.lesson import find_lessons

        lessons = find_lessons()
        metafunc.parametrize("lesson", lessons, ids=[lesson.number for lesson in lessons])


def seconds_of_lessons() -> dict[str, float]:
    """Number → seconds that the lesson took when it was built."""
    from kd_lab.classroom.lesson import find_lessons

    return {lesson.number: (lesson.measured or {}).get("seconds", 60) for lesson in find_lessons()}


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if EXECUTED & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.lesson)
    if hasattr(config, "workerinput"):  # the longest first, so that no worker waits for the last lesson
        seconds = seconds_of_lessons()
        items.sort(key=lambda item: (-seconds.get(lesson_of(item.nodeid) or "", 0), lesson_of(item.nodeid) or ""))
    else:  # lesson by lesson, after all that is quick
        items.sort(key=lambda item: lesson_of(item.nodeid) or "")


def pytest_collection_finish() -> None:
    """What is imported by now outlives every test: the collector need not walk through it again each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def trained_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for what lessons train, shared by all lessons, editions and workers of this test run."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "trained"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from lab_driver import launch_chromium
    from playwright.sync_api import sync_playwright

    from kd_lab.teaching.paper import chromium

    if chromium() is None:
        reason = "no chromium, chromium-browser or google-chrome on the PATH; install one to run the browser tests"
        if os.environ.get("CI"):
            pytest.fail(reason)  # where everything must be tested, a skip would pass for a success
        pytest.skip(reason)
    with sync_playwright() as playwright:
        launched = launch_chromium(playwright)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def lab(browser: Any, tmp_path_factory: pytest.TempPathFactory, trained_cache: Path) -> Iterator[Any]:
    """JupyterLab over a copy of the lessons."""
    from lab_driver import running_lab

    root, home = tmp_path_factory.mktemp("lessons"), tmp_path_factory.mktemp("home")
    for lesson in (ROOT / "lessons").glob("*.ipynb"):
        shutil.copy(lesson, root)
    with running_lab(root, home, trained_cache) as running:
        yield running


@pytest.fixture(scope="session")
def window(lab: Any, browser: Any) -> "Callable[[str], Any]":
    """`window("02_name.ipynb")`: a notebook open in a window of a laptop's size."""
    from lab_driver import Notebook

    return lambda path: Notebook(lab, browser.new_page(viewport={"width": 1280, "height": 900}), path)


@pytest.fixture(scope="session")
def run_of(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, trained_cache: Path
) -> "Iterator[Callable[[Lesson], Run]]":
    """The execution of a lesson: the first test that asks waits for it, the others share it.

    In a browser, or in a kernel alone where there is none.
    """
    from kernel_alone import KernelAlone
    from lab_driver import own_places
    from lesson_run import Run

    from kd_lab.teaching.paper import chromium

    runs: dict[str, Run | Exception] = {}
    window = request.getfixturevalue("window") if chromium() is not None else None

    def open_session(lesson: "Lesson") -> Any:
        if window is not None:
            return window(lesson.notebook.name)
        return KernelAlone(lesson.notebook, own_places(tmp_path_factory.mktemp("home"), trained_cache))

    def run(lesson: "Lesson") -> Run:
        if lesson.number not in runs:
            for other in runs.values():  # one kernel at a time
                if isinstance(other, Run):
                    other.end()
            try:
                runs[lesson.number] = Run(lesson, lambda: open_session(lesson))
            except Exception as error:  # a run that hangs fails its first test, and the others need not wait for it too
                runs[lesson.number] = error
        found = runs[lesson.number]
        if isinstance(found, Exception):
            raise found
        return found

    yield run
    for one in runs.values():
        if isinstance(one, Run):
            one.end()
