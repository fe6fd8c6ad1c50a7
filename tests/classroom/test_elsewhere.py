"""The table of verdicts on other machines, and the stored one against the notebooks."""

import json
import threading
import time

import nbformat
import pytest
from lesson_folder import forget_lesson, write_lesson

from kd_lab.classroom import elsewhere
from kd_lab.classroom.build import Execution
from kd_lab.classroom.claim import Claim
from kd_lab.classroom.elsewhere import MACHINES, NOT_RUN_AGAIN, ONE_NUMBER, claims_with_parts, line, stored, table
from kd_lab.classroom.lesson import find_lessons


def run(machine, *claims):
    rows = [{"part": 1, "timed": False, **claim.to_json()} for claim in claims]
    return {"lesson": "00", "machine": machine, "source": "x", "claims": rows}


def test_flips_come_first_and_then_the_smallest_margin():
    sure, near = Claim("C1", "s", (1.0,), "", "holds", 9.0), Claim("C2", "s", (1.0,), "", "holds", 2.1)
    here, there = Claim("C3", "s", (1.0,), "", "holds", 30.0), Claim("C3", "s", (1.0,), "", "does not hold", -4.0)
    rule = Claim("C0", "s", (1.0,), "", "holds")
    rows = table([run("native", sure, near, here, rule), run("seeds from 1000", sure, near, there, rule)])
    assert [row["id"] for row in rows] == ["C3", "C2", "C1", "C0"]
    assert [row["flips"] for row in rows] == [True, False, False, False]
    assert [row["margin"] for row in rows] == [4.0, 2.1, 9.0, None]


def test_claims_about_seconds_are_the_machines_own():
    timed = run("native", Claim("C1", "s", (1.0,), "", "holds"))
    timed["claims"][0]["timed"] = True
    assert table([timed]) == []


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        ((1.0, 2.0, 3.0), (1.0, 2.0, 3.0), f"holds ({NOT_RUN_AGAIN})"),
        ((2.0, 2.0, 2.0), (2.0, 2.0, 2.0), f"holds ({ONE_NUMBER})"),
        ((1.0, 2.0, 3.0), (1.0, 2.0, 3.0000001), "holds 2 of 2"),
        ((1.0,), (1.0,), "holds 2 of 2"),
    ],
)
def test_values_that_were_read_from_a_file_are_no_agreement(here, there, said):
    (row,) = table(
        run(machine, Claim("C1", "s", values, "", "holds", 9.0))
        for machine, values in {"native": here, "seeds from 1000": there}.items()
    )
    assert line(row).endswith(f"  {said}")


def test_the_table_has_a_legend(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(elsewhere, "STORED", tmp_path / "elsewhere.json")
    (lesson,) = find_lessons(numbers=["03"])
    one = run("", Claim("C03a", "s", (1.0, 2.0, 3.0), "", "holds", 9.0)) | {"lesson": "03"}
    elsewhere.keep([one | {"source": lesson.code_fingerprint, "machine": machine} for machine in MACHINES])
    assert elsewhere.main(["03"]) == 0
    *_, legend, row = capsys.readouterr().out.splitlines()
    assert legend.startswith(f"({NOT_RUN_AGAIN}): ")
    assert legend.endswith("; 1 of 1 claims")
    assert row.endswith(f"holds ({NOT_RUN_AGAIN})")


def test_a_run_says_when_and_on_which_processor_it_was_made(tmp_path, monkeypatch):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: A Processor 9000\nmodel name\t: another\n", encoding="utf-8")
    monkeypatch.setattr(elsewhere, "CPUINFO", cpuinfo)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr(elsewhere, "execute", lambda notebook, *_, **__: Execution(notebook, (), 0.0))
    made = elsewhere.run_elsewhere(find_lessons(numbers=["03"])[0], "native")["made"]
    assert list(made) == ["date", "python", "torch", "processor"]
    assert made["processor"] == "A Processor 9000"


def test_a_system_without_a_name_for_its_processor_tells_at_least_its_kind(tmp_path, monkeypatch):
    assert elsewhere.processor()
    monkeypatch.setattr(elsewhere, "CPUINFO", tmp_path / "none")
    monkeypatch.setattr("platform.system", lambda: "Windows")
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "AMD64")
    assert elsewhere.processor() == "AMD64"


def test_a_new_run_does_not_date_the_others_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(elsewhere, "STORED", tmp_path / "elsewhere.json")
    older = {"about": {"date": "2001-01-01", "processor": "x86_64", "machines": {}}, "runs": []}
    elsewhere.STORED.write_text(json.dumps(older), encoding="utf-8")
    new = run("native") | {"made": {"date": "2002-02-02"}}
    elsewhere.keep([run("oldest"), new])
    assert stored()["about"] | {"command": ""} == {**older["about"], "command": "", "machines": MACHINES}
    elsewhere.keep([new])
    assert list(stored()["about"]) == ["command", "machines"], "no run is left that it would be about"


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


def borne_out(verdict, verdicts):
    """Whether a notebook's verdict is that of all machines; where these differ, whether it is no one's opposite."""
    said = set(verdicts)
    return said == {verdict} if len(said) == 1 else not {"holds", "does not hold"} <= {verdict, *said}


def test_a_verdict_that_no_machine_gives_is_not_borne_out():
    assert borne_out("holds", ["holds", "holds"])
    assert not borne_out("open", ["holds", "holds"])
    assert not borne_out("holds", ["open", "open"])
    assert borne_out("holds", ["holds", "open"])
    assert borne_out("open", ["holds", "open"])
    assert not borne_out("does not hold", ["holds", "open"])


LESSONS = pytest.mark.parametrize("lesson", find_lessons(), ids=lambda lesson: lesson.number)


def runs_and_remedy(lesson):
    runs = [run for run in stored()["runs"] if run["lesson"] == lesson.number]
    return runs, f"python -m kd_lab.classroom.elsewhere --at-once 2 {lesson.number}"


@LESSONS
def test_the_stored_runs_are_of_the_code_as_it_is(lesson):
    runs, remedy = runs_and_remedy(lesson)
    assert {run["machine"] for run in runs} == set(MACHINES), f"a machine has no run of this lesson: {remedy}"
    assert {run["source"] for run in runs} == {lesson.code_fingerprint}, f"its code cells have changed since: {remedy}"


@LESSONS
def test_the_stored_runs_make_the_claims_of_the_notebook(lesson):
    """A claim that the table does not know would be compared with nothing."""
    runs, remedy = runs_and_remedy(lesson)
    known = claims_with_parts(nbformat.read(lesson.notebook, as_version=4))
    for run in runs:
        made, wanted = ([(one["id"], one["part"], one["timed"]) for one in rows] for rows in (run["claims"], known))
        assert made == wanted, f"other claims than the notebook's on the machine {run['machine']!r}: {remedy}"


@LESSONS
def test_no_stored_verdict_contradicts_the_notebook(lesson):
    runs, remedy = runs_and_remedy(lesson)
    rows = {(row["id"], row["part"]): row for row in table(runs)}
    for claim in claims_with_parts(nbformat.read(lesson.notebook, as_version=4)):
        if not claim["timed"]:
            row = rows.get((claim["id"], claim["part"]))
            assert row, f"{claim['id']}·{claim['part']} is not in the table: {remedy}"
            assert borne_out(claim["verdict"], row["verdicts"].values()), f"{claim['verdict']}, but {line(row)}"
