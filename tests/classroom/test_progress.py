"""A learner's answers outlive the kernel, and a disk that refuses them stops no lesson."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

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
    assert sorted(file.name for file in place.parent.iterdir()) == ["progress.json", "progress.json.lock"]


@pytest.mark.parametrize("damaged", [b"{", b"[1, 2]", b"\0", b"\xff", b"[" * 100_000], ids=lambda one: repr(one[:6]))
def test_a_damaged_file_counts_as_empty_and_is_moved_aside(place, damaged):
    """What can be fixed by hand is not written over: a course of answers may stand in it."""
    place.parent.mkdir()
    for name in ("progress.json.damaged", "progress.json.damaged-2"):
        place.write_bytes(damaged)
        assert progress.answers() == {}
        progress.record("02.1", "right")
        assert progress.answers() == {"02.1": "right"}
        assert (place.parent / name).read_bytes() == damaged


def test_a_file_that_cannot_be_read_now_is_not_written_over(place, monkeypatch):
    progress.record("02.a", "softer")
    before = place.read_bytes()

    def refused(self, *arguments, **named):
        raise PermissionError(13, "in use by another process", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", refused)
        patch.setattr(Path, "read_bytes", refused)
        progress.record("02.1", "right")
    assert place.read_bytes() == before
    assert progress.answers() == {"02.a": "softer"}


WRITER = """
import sys
from kd_lab.classroom import progress
progress.PATIENCE = 60  # on a machine where a process may wait for seconds
print(flush=True)
sys.stdin.readline()
for number in range(60):
    progress.record(f"02.{sys.argv[1]}{number}", "right")
"""


def test_two_kernels_keep_the_answers_of_both(place):
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    for writer in writers:
        writer.stdout.readline()
    for writer in writers:  # both at once
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=300)
        assert writer.returncode == 0
    assert len(progress.answers()) == 120


def test_a_lock_that_is_never_given_back_loses_no_answer(place, monkeypatch):
    """A kernel that was stopped in the middle of it holds nobody up for long."""
    monkeypatch.setattr(progress, "PATIENCE", 0.05)
    progress.record("02.a", "softer")
    with progress.alone(place):
        progress.record("02.1", "right")
    assert progress.answers() == {"02.a": "softer", "02.1": "right"}


def test_damaged_names_of_mistakes_stop_no_exercise(place):
    place.parent.mkdir()
    place.write_text(json.dumps({"02.1.mistakes": "["}), encoding="utf-8")
    progress.attempt("02.1", "not there yet", print, "direction reversed")
    assert progress.recall("02.1.mistakes") == '["direction reversed"]'


@pytest.mark.parametrize("name", ["file/progress.json", "folder", "\0"])
def test_a_disk_that_refuses_is_no_error_and_is_told_once(monkeypatch, tmp_path, name):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr(progress, "file", lambda: tmp_path / name)
    said = progress.record("02.1", "right")
    assert re.fullmatch(r"Your answers cannot be kept \(.+\): set KD_LAB_PROGRESS to a file .+\.", said, re.DOTALL)
    assert progress.record("02.a", "softer") == progress.attempt("02.2", "right", print) == ""
    assert progress.answers() == {}


def test_a_full_disk_is_told_and_keeps_what_was_there(place, monkeypatch):
    assert progress.record("02.a", "softer") == ""

    def full(self, content):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert "No space left on device" in progress.attempt("02.1", "right", print)
    assert progress.answers() == {"02.a": "softer"}


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a user's folder from others by other means")
def test_the_answers_are_for_nobody_else(place, monkeypatch):
    """Among them are the sources of solved exercises, on a machine that a class may share."""
    before = os.umask(0o022)
    try:
        progress.record("02.a", "softer")
        assert place.stat().st_mode & 0o777 == 0o600
        place.chmod(0o644)  # as an earlier edition left it
        progress.record("02.1", "right")
        assert place.stat().st_mode & 0o777 == 0o600
    finally:
        os.umask(before)


@pytest.fixture
def data(monkeypatch, tmp_path):
    """The user's data folder, and nobody has named another place."""
    monkeypatch.delenv("KD_LAB_PROGRESS", raising=False)
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name, appauthor: str(tmp_path / "data" / name))
    return tmp_path / "data" / "kd_lab"


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("KD_LAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def test_without_a_name_it_lies_in_the_users_folder(data, cache):
    """Whoever moves the cache, as the course says on a full disk, does not move the answers."""
    assert progress.file() == data / "progress.json"
    progress.record("02.1", "right")
    assert list(cache.iterdir()) == []
    assert progress.recall("02.1") == "right"


def test_answers_beside_a_cache_of_an_earlier_edition_are_taken_over_once(data, cache):
    earlier = cache / "progress.json"
    earlier.write_text(json.dumps({"02.1": "right", "02.1.solution": "def f(): ...", "02.a": "softer"}), "utf-8")
    before = earlier.read_bytes()
    assert progress.recall("02.1") == "right"
    assert os.name == "nt" or (data / "progress.json").stat().st_mode & 0o077 == 0
    progress.record("02.a", "sharper")
    assert progress.answers() == {"02.1": "right", "02.1.solution": "def f(): ...", "02.a": "sharper"}
    assert earlier.read_bytes() == before
    (data / "progress.json").unlink()  # to begin anew
    assert progress.answers() == {}


def test_answers_in_both_places_are_joined_and_what_was_solved_in_either_is_solved(data, cache, monkeypatch):
    monkeypatch.delenv("KD_LAB_CACHE")
    for identifier, answer in {"01.1": "right", "02.1": "not there yet", "02.a": "softer"}.items():
        progress.record(identifier, answer)
    (cache / "progress.json").write_text(json.dumps({"02.1": "right", "02.a": "sharper", "03.a": "right"}), "utf-8")
    monkeypatch.setenv("KD_LAB_CACHE", str(cache))
    assert progress.answers() == {"01.1": "right", "02.1": "right", "02.a": "softer", "03.a": "right"}


@pytest.mark.parametrize("damaged", ["earlier", "own"])
def test_a_damaged_file_on_either_side_loses_nothing(data, cache, damaged):
    (cache / "progress.json").write_text("{" if damaged == "earlier" else '{"02.1": "right"}', encoding="utf-8")
    if damaged == "own":
        data.mkdir(parents=True)
        (data / "progress.json").write_text("{", encoding="utf-8")
    assert progress.answers() == {}
    progress.record("02.a", "softer")
    expected = {"02.a": "softer"} if damaged == "earlier" else {"02.a": "softer", "02.1": "right"}
    assert progress.answers() == expected


def test_an_untouched_course_says_so():
    assert progress.summary({}) == "nothing answered yet"
