"""Which tests share a worker: a lesson is executed by one of them."""

import subprocess
import sys
from pathlib import Path

from conftest import group_of
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
