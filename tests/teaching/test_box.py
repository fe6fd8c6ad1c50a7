"""Boxes are kept while the package is as it was; a worker that misbehaves is ended and the next answer runs."""

import contextlib
import json
import os
import subprocess
import sys
import time

import pytest

from kd_lab.teaching import box
from kd_lab.teaching.box import LARGEST, box_in, limit_of, reply_in, watch


def empty_package(target, record):
    (target / "kd_lab").mkdir(parents=True)
    return target / "kd_lab"


def test_a_box_is_made_once_and_anew_where_the_package_changed(tmp_path, monkeypatch):
    first = box_in(tmp_path)
    stamp = first.stat().st_mtime_ns
    assert box_in(tmp_path) == first
    assert first.stat().st_mtime_ns == stamp
    assert {file.name for file in (first / "kd_lab" / "teaching").iterdir()} == set(box.INSIDE)
    monkeypatch.setattr(box, "fingerprint", lambda: "another")
    monkeypatch.setattr(box, "strip", empty_package)
    assert box_in(tmp_path) != first
    assert not first.exists()


def test_changed_data_make_another_box(tmp_path):
    """Cases may read weights and stored results: a box with the old ones would grade by them."""
    for name in ("cases.py", "data/names.tsv", "weights.safetensors"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1", encoding="utf-8")
    before = box.fingerprint(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "cases.cpython-311.pyc").touch()
    assert box.fingerprint(tmp_path) == before
    prints = {before}
    for name in ("cases.py", "data/names.tsv", "weights.safetensors"):
        (tmp_path / name).write_text("2", encoding="utf-8")
        prints.add(box.fingerprint(tmp_path))
    assert len(prints) == 4


def test_only_plain_files_with_objects_are_replies(tmp_path):
    (tmp_path / "good.json").write_text('{"answers": []}', encoding="utf-8")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    (tmp_path / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    (tmp_path / "text.json").write_text("no json", encoding="utf-8")
    with contextlib.suppress(OSError):  # on Windows links need a right of their own
        os.symlink(tmp_path / "good.json", tmp_path / "link.json")
    with (tmp_path / "large.json").open("wb") as file:
        file.truncate(LARGEST + 1)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.json")
    assert reply_in(tmp_path, "good") == {"answers": []}
    for name in ("list", "deep", "text", "link", "large", "pipe", "absent"):
        assert reply_in(tmp_path, name) is None, name


REQUEST = {"seconds": 0.0, "draws": []}


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(1000)"])
def test_a_worker_that_goes_on_is_ended(tmp_path, monkeypatch, code):
    monkeypatch.setattr(box, "SPARE", 0.3)
    (tmp_path / "ready").touch()
    began = time.monotonic()
    worker = subprocess.Popen([sys.executable, "-c", code])
    replies, reason = watch(worker, tmp_path, {"03.1": REQUEST})
    assert replies == {}
    assert "could not be stopped" in reason
    assert worker.poll() is not None
    assert time.monotonic() - began < 60


def test_a_worker_that_ends_is_not_waited_for(tmp_path):
    (tmp_path / "03.1.json").write_text('{"answers": []}', encoding="utf-8")
    worker = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    replies, reason = watch(worker, tmp_path, {"03.1": REQUEST, "03.2": REQUEST})
    assert replies == {"03.1": {"answers": []}}
    assert "exit status 3" in reason


def test_the_limit_leaves_the_worker_time_to_stop_by_itself():
    request = {"seconds": 10.0, "draws": [{"seconds": 2.0}] * 12}
    assert limit_of(json.loads(json.dumps(request))) > 2 * 2.0 + 10.0


def test_a_worker_draws_with_the_instructions_of_its_judge(tmp_path, monkeypatch):
    """It drew other cases, and right answers were told that they had changed their arguments."""
    given, popen = [], subprocess.Popen
    nothing = [sys.executable, "-c", ""]
    monkeypatch.setattr(box.subprocess, "Popen", lambda *_, env, **__: given.append(env) or popen(nothing))
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "default")
    monkeypatch.setenv("OF_NO_CONCERN", "1")
    box.start(tmp_path, tmp_path).wait()
    assert given[0]["ATEN_CPU_CAPABILITY"] == "default"
    assert "OF_NO_CONCERN" not in given[0]
