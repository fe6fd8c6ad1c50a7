"""Before a commit: the tests beside what changed."""

from changed import ALWAYS, ROOT, mirrors_of


def test_a_change_is_tested_by_its_mirror():
    assert mirrors_of(["kd_lab/how/kernels/tile.py"]) == [*ALWAYS, "kd_lab/how", "tests/how"]
    assert mirrors_of(["tests/models/test_gpt.py"]) == [*ALWAYS, "kd_lab/models", "tests/models"]
    assert mirrors_of(["kd_lab/lessons/l03_which_kl/figures.py"]) == [
        *ALWAYS,
        "kd_lab/lessons/l03_which_kl",
        "tests/lessons/l03_which_kl",
    ]


def test_words_and_gone_folders_need_no_tests_beyond_the_usual():
    assert mirrors_of(["README.md", "kd_lab/gone/file.py"]) == ALWAYS


def test_what_always_runs_is_there():
    assert all((ROOT / name).exists() for name in ALWAYS)
