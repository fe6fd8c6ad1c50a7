"""Before a commit: the tests beside what changed."""

from pathlib import Path

from changed import ALWAYS, PAGES, ROOT, files_naming, mirrors_of


def test_a_change_is_tested_by_the_files_that_name_it():
    assert mirrors_of(["kd_lab/how/sparse_file.py"]) == [
        *ALWAYS,
        "kd_lab/how/sparse_file.py",
        *sorted(path.as_posix() for path in files_naming("sparse_file", Path("tests/how"))),
    ]
    assert "tests/how/test_sparse_file.py" in mirrors_of(["kd_lab/how/sparse_file.py"])
    assert "tests/how/test_divergences.py" not in mirrors_of(["kd_lab/how/sparse_file.py"])
    assert mirrors_of(["tests/models/test_gpt.py"]) == [*ALWAYS, "tests/models/test_gpt.py"]
    assert mirrors_of(["kd_lab/__main__.py"])[-1] == "tests/test_main.py"


def test_what_no_test_names_is_tested_by_its_folder():
    assert mirrors_of(["kd_lab/how/kernels/__init__.py"])[-1] == "tests/how/kernels"
    assert mirrors_of(["tests/how/logit_pairs.py"]) == [*ALWAYS, "tests/how"]


def test_a_lesson_is_no_doctest():
    assert "kd_lab/lessons/l03_which_kl/lesson.py" not in mirrors_of(["kd_lab/lessons/l03_which_kl/lesson.py"])


def test_a_lesson_is_read_by_the_rules_for_pages():
    """A docstring too wide for the page had passed `make check`, and turned CI red."""
    assert set(PAGES) <= set(mirrors_of(["kd_lab/lessons/l09_reasoning_traces/exercises.py"]))
    assert mirrors_of(["lessons/09_reasoning_traces.ipynb"]) == [*ALWAYS, *PAGES]
    assert not set(PAGES) & set(mirrors_of(["kd_lab/how/sparse.py"]))


def test_words_and_gone_folders_need_no_tests_beyond_the_usual():
    assert mirrors_of(["README.md", "kd_lab/gone/file.py"]) == ALWAYS


def test_what_always_runs_is_there():
    assert all((ROOT / name).exists() for name in ALWAYS + PAGES)
