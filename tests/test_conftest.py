"""Which tests share a worker, and what every test run takes from its surroundings."""

import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from conftest import ask_directly, group_of
from platformdirs import user_cache_dir

from kd_lab.models.saved import cache_folder


def test_tests_of_one_lesson_stay_together():
    ids = [
        "tests/lessons/l03_which_kl/test_claims.py::test_forward_kl_covers",
        "tests/lessons/test_lesson_runs.py::test_unsolved_it_runs_to_its_last_cell_without_an_alarm[03]",
        "tests/browser/test_lessons_in_browser.py::test_it_runs[03]",
    ]
    assert {group_of(one) for one in ids} == {"lesson 03"}


def test_every_other_file_is_a_group():
    assert group_of("tests/how/test_sparse.py::test_tail[03]") == "tests/how/test_sparse.py"
    assert group_of("kd_lab/how/sparse.py::kd_lab.how.sparse.top_k") == "kd_lab/how/sparse.py"


def test_what_has_not_begun_in_time_is_skipped_and_said():
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--within", "0", "tests/test_changed.py"]
    done = subprocess.run(command, cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "not begun within 0 s; make test runs it" in done.stdout
    assert "passed" not in done.stdout.splitlines()[-1]


def test_the_cache_of_the_person_who_runs_the_tests_is_left_alone():
    assert cache_folder() != Path(user_cache_dir("kd_lab", appauthor=False))


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ({}, "127.0.0.1"),
        ({"no_proxy": "example.org"}, "example.org"),
        ({"NO_PROXY": "example.org, localhost"}, "example.org"),  # which the other name alone would hide
        ({"no_proxy": "*"}, "example.com"),
    ],
)
def test_no_proxy_is_asked_for_the_servers_of_tests(given, host):
    environment = dict(given)
    ask_directly(environment)
    once = dict(environment)
    ask_directly(environment)
    assert environment == once
    assert once["no_proxy"] == once.get("NO_PROXY", "*")
    for asked in (host, "127.0.0.1:8888", "localhost:8888"):
        assert urllib.request.proxy_bypass_environment(asked, {"no": once["no_proxy"]})
    assert urllib.request.proxy_bypass_environment("127.0.0.1:8888")


def test_a_job_in_the_background_hears_interrupts_all_the_same():
    """A shell that is no terminal starts such a job deaf to Ctrl-C."""
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); import conftest; "
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    )
    own = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=own)
    assert done.stdout.strip() == "True", done.stderr
