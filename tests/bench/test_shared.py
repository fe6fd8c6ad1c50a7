"""A lesson beside others: its time and memory are measured, and one that stops or needs too much is told."""

import subprocess
from dataclasses import replace

import pytest
from lesson_folder import forget_lesson, write_lesson

from kd_lab.bench import shared
from kd_lab.classroom.build import BuildError
from kd_lab.classroom.lesson import find_lessons


@pytest.fixture
def root(tmp_path):
    write_lesson(tmp_path)
    yield tmp_path
    forget_lesson(tmp_path)


def test_a_lesson_runs_alone_beside_loops_and_beside_itself(root, capsys):
    factor = shared.main(["--lesson", "97", "--loops", "1", "--kernels", "2"], root)
    alone, loaded, times, _, head, row = capsys.readouterr().out.splitlines()
    assert factor in (0, 1)  # a lesson of no seconds is all chance
    assert alone.startswith("alone               97")
    assert loaded.startswith("beside 1 busy loops 97")
    assert "× as long" in times
    assert head == "2 kernels at once"
    assert "MiB, card inf" in row  # it was never built


def test_a_class_that_begins_together_is_measured(root, capsys):
    assert shared.main(["--same", "97", "--kernels", "2"], root) == 0
    head, seconds, fair, memory = capsys.readouterr().out.splitlines()
    assert head.startswith("lesson 97, 2 kernels at once on ")
    assert "alone; at once" in seconds
    assert fair.startswith("by fair shares: ")  # on many cores 0.0, of a lesson of no seconds
    one, both = (float(part.split()[0]) for part in memory.partition(": ")[2].split(", "))
    assert one < both <= 2 * one + 1  # each is rounded


def test_the_table_of_a_class_says_what_its_runs_took(root, monkeypatch):
    (lesson,) = find_lessons(root)
    costs = [shared.Cost(lesson, seconds, memory) for seconds, memory in ((6.0, 200.0), (9.0, 300.0), (12.0, 100.0))]
    monkeypatch.setattr(shared, "cost", lambda _: costs.pop())
    monkeypatch.setattr(shared, "available_cores", lambda: 128)
    costs.append(shared.Cost(lesson, 32.0, 250.0))  # alone
    assert shared.class_at_once(lesson, 3).splitlines() == [
        "lesson 97, 3 kernels at once on 128 cores",
        "seconds: 32.0 alone; at once 9.0 (median), 12.0 at most",
        "by fair shares: 0.8",
        "peak memory in MiB: 300 of one kernel, 600 of all",
    ]


def test_a_class_in_which_a_kernel_stops_is_said(root):
    (lesson,) = find_lessons(root)
    lesson.source.write_text(lesson.source.read_text(encoding="utf-8") + "\n# %%\n1 / 0\n", encoding="utf-8")
    with pytest.raises(BuildError, match="kernels stopped"):
        shared.class_at_once(lesson, 1)


def test_a_server_that_does_not_answer_is_said():
    with pytest.raises(TimeoutError, match="did not answer within 0 s"):
        shared.server_memory(0.0)


def test_a_lesson_that_stops_is_said_and_fails(root, tmp_path, capsys):
    (lesson,) = find_lessons(root)
    lesson.source.write_text(lesson.source.read_text(encoding="utf-8") + "\n# %%\n1 / 0\n", encoding="utf-8")
    (one,) = shared.at_once([lesson], 1)
    assert not one.fits
    assert "ZeroDivisionError" in capsys.readouterr().out


def test_memory_beyond_the_card_fails(root):
    (lesson,) = find_lessons(root)
    (lesson.folder / "measured.json").write_text('{"memory_mib": 100}', encoding="utf-8")
    within = shared.Cost(lesson, 1.0, 109.0)
    assert within.fits
    assert str(replace(within, memory_mib=111.0)).endswith("TOO MUCH")


def test_the_loops_end_with_their_block(monkeypatch):
    started = []
    monkeypatch.setattr(
        subprocess, "Popen", lambda *a, start=subprocess.Popen: started.append(start(*a)) or started[-1]
    )
    with shared.busy_loops(2):
        assert [loop.poll() for loop in started] == [None, None]
    assert None not in [loop.poll() for loop in started]
