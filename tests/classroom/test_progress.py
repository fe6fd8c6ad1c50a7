"""A learner's answers outlive the kernel, and a disk that refuses them stops no lesson."""

import pytest

from kd_lab.classroom import progress


@pytest.fixture
def place(monkeypatch, tmp_path):
    monkeypatch.setenv("KD_LAB_PROGRESS", str(tmp_path / "deep" / "progress.json"))
    return tmp_path / "deep" / "progress.json"


def test_an_answer_is_kept_and_replaced(place):
    assert progress.recall("02.a") is None
    progress.record("02.a", "softer")
    progress.record("02.1", "right")
    progress.record("02.a", "sharper")
    assert progress.answers() == {"02.a": "sharper", "02.1": "right"}
    assert [file.name for file in place.parent.iterdir()] == ["progress.json"]


@pytest.mark.parametrize("damaged", ["{", "[1, 2]", "\x00"])
def test_a_damaged_file_counts_as_empty(place, damaged):
    place.parent.mkdir()
    place.write_text(damaged, encoding="utf-8")
    assert progress.answers() == {}
    progress.record("02.1", "right")
    assert progress.recall("02.1") == "right"


def test_a_disk_that_refuses_is_no_error(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KD_LAB_PROGRESS", str(tmp_path / "file" / "progress.json"))
    progress.record("02.1", "right")
    assert progress.answers() == {}


def test_without_a_name_it_lies_beside_an_explicit_cache_or_in_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("KD_LAB_PROGRESS", raising=False)
    monkeypatch.setenv("KD_LAB_CACHE", str(tmp_path))
    assert progress.file() == tmp_path / "progress.json"
    monkeypatch.delenv("KD_LAB_CACHE")
    assert progress.file().parent.name == "kd_lab"


def test_an_untouched_course_says_so():
    assert progress.summary({}) == "nothing answered yet"
