"""The course at a glance."""

import os
import shutil
from contextlib import suppress
from functools import partial

import pytest
import torch

from kd_lab.classroom import overview
from kd_lab.classroom.lesson import find_lessons
from kd_lab.classroom.overview import cache_line, clear_cache, exercises_of, minutes_of, table, title_of
from kd_lab.models import trained
from kd_lab.models.files import whole_file


def test_every_lesson_has_a_title_minutes_and_exercises():
    for lesson in find_lessons():
        assert title_of(lesson).startswith(f"{lesson.number} · ")
        assert int(minutes_of(lesson)) >= 20
        assert len(exercises_of(lesson)) >= 3


def test_a_lesson_is_done_when_its_exercises_are():
    lesson = find_lessons(numbers=["03"])[0]
    kept = dict.fromkeys(exercises_of(lesson)[1:], "right")
    count = len(exercises_of(lesson))
    (line,) = [line for line in table(kept) if line.strip().startswith("03 ·")]
    assert line.endswith(f"{count - 1} of {count} exercises solved")
    (line,) = [line for line in table(kept | {exercises_of(lesson)[0]: "right"}) if line.strip().startswith("03 ·")]
    assert line.endswith("min  done")


def test_the_page_names_lessons_cache_versions_and_commands(monkeypatch, tmp_path):
    monkeypatch.setenv("KD_LAB_CACHE", str(tmp_path))
    page = overview.overview({}, tmp_path / "work", "kd-lab")
    for part in ("00 · The map", str(tmp_path / "work"), "not there yet", "Cache: ", "torch 2.", "kd-lab lab [03]"):
        assert part in page


def test_the_page_names_every_command_that_is_here(monkeypatch, tmp_path):
    from kd_lab.__main__ import parser

    (actions,) = [one for one in parser()._actions if one.dest == "command"]
    page = overview.overview({}, tmp_path, "kd-lab")
    assert {line.split()[1] for line in page.splitlines() if line.startswith("kd-lab ")} == set(actions.choices)
    monkeypatch.setattr(overview, "find_spec", {"kd_lab.teaching": None}.__getitem__)
    assert "kd-lab class" not in overview.overview({}, tmp_path, "kd-lab")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("KD_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_cache_is_told_and_cleared_of_models_alone(cache):
    assert cache_line().endswith("0 trained models, 0.0 MB")
    cache.mkdir()
    (cache / "student-0123456789abcdef.safetensors").write_bytes(bytes(1_500_000))
    kept = ["model-00001-of-00002.safetensors", "model.safetensors", "progress.json"]  # a folder of someone's models
    for name in kept:
        (cache / name).write_bytes(b"theirs")
    assert cache_line() == f"Cache: {cache}, 1 trained model, 1.5 MB"
    assert clear_cache() == f"Cache: {cache}, 1 trained model, 1.5 MB: removed"
    assert sorted(file.name for file in cache.iterdir()) == kept


def test_what_a_lesson_trains_is_counted(cache):
    for name in ("toy", "½ label, α/β", "a student, seed 3"):
        trained(name, partial(torch.nn.Linear, 1, 1), torch.nn.Module.eval)
    assert cache_line().startswith(f"Cache: {cache}, 3 trained models, ")
    clear_cache()
    assert list(cache.iterdir()) == []


def test_what_killed_writes_left_is_counted_and_cleared_and_no_write_under_way(cache):
    cache.mkdir()
    for name in ("killed", "written"):
        with suppress(RuntimeError), whole_file(cache / f"{name}-0123456789abcdef.safetensors") as part:
            part.write_bytes(bytes(1_500_000))
            shutil.copytree(part.parent, cache / f"{part.parent.name}x")  # as a kill leaves it
            raise RuntimeError
    killed, written = sorted(cache.iterdir())
    os.utime(killed, (0, 0))
    assert clear_cache() == f"Cache: {cache}, 0 trained models, 1.5 MB: removed"
    assert list(cache.iterdir()) == [written]


def test_folders_are_counted_and_cleared_by_name_and_size(cache):
    for name in ("SmolLM2-135M-Instruct.Q4_1-0.1.2", "lesson-13-20000-float32", "theirs", "SmolLM2"):
        (cache / name / "runs").mkdir(parents=True)
        (cache / name / "runs" / "model.safetensors").write_bytes(bytes(2_500_000))
    folders = "SmolLM2-135M-Instruct.Q4_1-0.1.2, 2.5 MB; lesson-13-20000-float32, 2.5 MB"
    assert clear_cache() == f"Cache: {cache}, 0 trained models, 0.0 MB; {folders}: removed"
    assert sorted(one.name for one in cache.iterdir()) == ["SmolLM2", "theirs"]


def test_what_cannot_be_removed_is_named(cache, monkeypatch):
    """As on Windows, while a kernel reads it."""

    def refuse(*arguments, **named):
        raise PermissionError(13, "in use by another process")

    (cache / "lesson-13-20000").mkdir(parents=True)
    monkeypatch.setattr(overview.shutil, "rmtree", refuse)
    with pytest.raises(ValueError, match=r"lesson-13-20000 cannot be removed .*; shut down the kernels"):
        clear_cache()
