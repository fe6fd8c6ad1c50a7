"""The table of verdicts on other machines, and the stored one against the notebooks."""

import threading
import time

import pytest
from lesson_folder import forget_lesson, write_lesson

from kd_lab.classroom import elsewhere
from kd_lab.classroom.claim import Claim
from kd_lab.classroom.claims import claims_of
from kd_lab.classroom.elsewhere import MACHINES, stored, table
from kd_lab.classroom.lesson import find_lessons


def run(machine, *claims):
    rows = [{"part": 1, "timed": False, **claim.to_json()} for claim in claims]
    return {"lesson": "00", "machine": machine, "source": "x", "claims": rows}


def test_flips_come_first_and_then_the_smallest_margin():
    sure, near = Claim("C1", "s", (1.0,), "", "holds", 9.0), Claim("C2", "s", (1.0,), "", "holds", 2.1)
    here, there = Claim("C3", "s", (1.0,), "", "holds", 30.0), Claim("C3", "s", (1.0,), "", "does not hold", -4.0)
    rule = Claim("C0", "s", (1.0,), "", "holds")
    rows = table([run("a", sure, near, here, rule), run("b", sure, near, there, rule)])
    assert [row["id"] for row in rows] == ["C3", "C2", "C1", "C0"]
    assert [row["flips"] for row in rows] == [True, False, False, False]
    assert [row["margin"] for row in rows] == [4.0, 2.1, 9.0, None]


def test_claims_about_seconds_are_the_machines_own():
    timed = run("a", Claim("C1", "s", (1.0,), "", "holds"))
    timed["claims"][0]["timed"] = True
    assert table([timed]) == []


def test_seeds_and_instruction_sets_differ_between_machines():
    assert len({machine.get("KD_LAB_SEED") for machine in MACHINES.values()}) == 3
    assert {machine.get("ATEN_CPU_CAPABILITY") for machine in MACHINES.values()} == {"default", "avx2", None}


def test_an_interrupt_leaves_what_waits_for_next_time(tmp_path, monkeypatch):
    begun = []

    def interrupted(lesson, machine):
        begun.append(machine)
        if len(begun) > 1:
            time.sleep(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(elsewhere, "STORED", tmp_path / "elsewhere.json")
    monkeypatch.setattr(elsewhere, "run_elsewhere", interrupted)
    with pytest.raises(KeyboardInterrupt):
        elsewhere.main(["03", "--at-once", "1"])
    assert len(begun) <= 2, begun


def test_an_interrupt_keeps_the_lessons_that_ran_to_their_end(tmp_path, monkeypatch):
    """The one that is running when Ctrl-C comes is waited for, so its result is there."""
    running, told = threading.Event(), threading.Event()

    def runs(lesson, machine):
        if running.is_set():
            raise AssertionError("what waits is left for next time")
        running.set()
        told.wait(60)
        return {"lesson": lesson.number, "machine": machine, "source": lesson.code_fingerprint, "claims": []}

    def interrupted(tasks):
        running.wait(60)
        threading.Timer(0.5, told.set).start()
        raise KeyboardInterrupt

    monkeypatch.setattr(elsewhere, "STORED", tmp_path / "elsewhere.json")
    monkeypatch.setattr(elsewhere, "run_elsewhere", runs)
    monkeypatch.setattr(elsewhere, "as_completed", interrupted)
    with pytest.raises(KeyboardInterrupt):
        elsewhere.main(["03", "--at-once", "1"])
    assert [(run["lesson"], run["machine"]) for run in stored()["runs"]] == [("03", next(iter(MACHINES)))]


def test_runs_of_lessons_that_were_not_asked_for_are_kept(tmp_path, monkeypatch):
    """Those of a lesson that had changed were dropped, and nobody ran them again."""
    (tmp_path / "elsewhere.json").write_text('{"runs": []}', encoding="utf-8")
    monkeypatch.setattr(elsewhere, "STORED", tmp_path / "elsewhere.json")
    fresh = {"lesson": "03", "source": find_lessons(numbers=["03"])[0].code_fingerprint, "claims": []}
    monkeypatch.setattr(elsewhere, "run_elsewhere", lambda lesson, machine: fresh | {"machine": machine})
    stale = [
        {"lesson": number, "source": "x", "machine": next(iter(MACHINES)), "claims": []} for number in ("03", "07")
    ]
    elsewhere.keep(stale)
    elsewhere.main(["03", "--at-once", "1"])
    kept = stored()["runs"]
    assert [run["source"] for run in kept if run["lesson"] == "07"] == ["x"]
    assert [run["source"] for run in kept if run["lesson"] == "03"] == [fresh["source"]] * len(MACHINES)


def test_what_is_stored_is_shown_with_the_file_that_holds_it(tmp_path, monkeypatch, capsys):
    """Nothing is run again, which a reader of the verdicts would not guess."""
    monkeypatch.setattr(elsewhere, "STORED", tmp_path / "elsewhere.json")
    monkeypatch.setattr(elsewhere, "run_elsewhere", lambda lesson, machine: pytest.fail("nothing is left to run"))
    (lesson,) = find_lessons(numbers=["03"])
    claim = {"timed": False, "part": 1, **Claim("C03a", "s", (1.0,), "", "holds", 9.0).to_json()}
    run = {"lesson": "03", "source": lesson.code_fingerprint, "claims": [claim]}
    elsewhere.keep([run | {"machine": machine} for machine in MACHINES])
    assert elsewhere.main(["03"]) == 0
    first, _, row = capsys.readouterr().out.splitlines()
    assert first == f"{tmp_path / 'elsewhere.json'}: the runs so far; delete it to run all again"
    assert "holds 6 of 6" in row


def test_a_run_outlives_a_sentence_and_not_a_line_of_code(tmp_path):
    root = write_lesson(tmp_path)
    try:
        (lesson,) = find_lessons(root)
        written, before = lesson.source.read_text(encoding="utf-8"), (lesson.code_fingerprint, lesson.fingerprint)
        lesson.source.write_text(
            written.replace("You will double numbers.", "You will learn to double numbers."), encoding="utf-8"
        )
        assert lesson.code_fingerprint == before[0]
        assert lesson.fingerprint != before[1]
        lesson.source.write_text(written.replace("range(3)", "range(4)"), encoding="utf-8")
        assert lesson.code_fingerprint != before[0]
    finally:
        forget_lesson(root)


@pytest.mark.parametrize("lesson", find_lessons(), ids=lambda lesson: lesson.number)
def test_no_stored_verdict_contradicts_the_notebook(lesson):
    runs = [run for run in stored()["runs"] if run["lesson"] == lesson.number]
    assert {run["machine"] for run in runs} == set(MACHINES), f"python -m kd_lab.classroom.elsewhere {lesson.number}"
    seen: dict[str, int] = {}
    for claim in claims_of(lesson):
        seen[claim.id] = seen.get(claim.id, 0) + 1
        row = next((row for row in table(runs) if (row["id"], row["part"]) == (claim.id, seen[claim.id])), None)
        if row is not None:
            assert not {"holds", "does not hold"} <= {claim.verdict, *row["verdicts"].values()}, row
