"""The course at a glance."""

import pytest

from kd_lab.classroom import overview
from kd_lab.classroom.lesson import find_lessons
from kd_lab.classroom.overview import cache_line, clear_cache, exercises_of, minutes_of, table, title_of


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
    (cache / "student-12.safetensors").write_bytes(bytes(1_500_000))
    (cache / "progress.json").write_text("{}", encoding="utf-8")
    assert cache_line() == f"Cache: {cache}, 1 trained model, 1.5 MB"
    assert clear_cache() == f"Cache: {cache}, 1 trained model, 1.5 MB: removed"
    assert [file.name for file in cache.iterdir()] == ["progress.json"]
