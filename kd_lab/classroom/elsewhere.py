"""The verdicts of all lessons as other machines would see them: `python -m kd_lab.classroom.elsewhere [02 …]`.

Another processor rounds differently, another thread count adds in another order, and other seeds draw otherwise; a
claim that is true has the same verdict on all of them. Each lesson runs on every machine of `MACHINES`, as many at a
time as the cores have room for their threads. The runs go to kd_lab/lessons/elsewhere.json as they end, so that an
interrupted command goes on where it stopped, and a run is repeated only when its lesson's code has changed.
"""

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from nbformat.v4 import new_notebook
from tqdm import tqdm

from kd_lab.classroom.build import BuildError, execute
from kd_lab.classroom.claim import MARGIN, Claim
from kd_lab.classroom.claims import claims_in
from kd_lab.classroom.lesson import ROOT, Lesson, edition_of, find_lessons, tags
from kd_lab.classroom.long_runs import head
from kd_lab.classroom.setup import available_cores
from kd_lab.models.files import write_file

STORED = ROOT / "kd_lab" / "lessons" / "elsewhere.json"

MACHINES: dict[str, dict[str, str]] = {
    "oldest": {"ATEN_CPU_CAPABILITY": "default", "KD_LAB_THREADS": "1", "KD_LAB_SEED": "0"},
    "avx2, 2 threads": {"ATEN_CPU_CAPABILITY": "avx2", "KD_LAB_THREADS": "2", "KD_LAB_SEED": "0"},
    "native": {"KD_LAB_THREADS": "1", "KD_LAB_SEED": "0"},
    "native, 2 threads": {"KD_LAB_THREADS": "2", "KD_LAB_SEED": "0"},
    "seeds from 1000": {"KD_LAB_THREADS": "1", "KD_LAB_SEED": "1000"},
    "seeds from 2000": {"ATEN_CPU_CAPABILITY": "avx2", "KD_LAB_THREADS": "1", "KD_LAB_SEED": "2000"},
}
"""Name → environment: instruction sets of torch's kernels, threads, and disjoint sets of seeds."""


def run_elsewhere(lesson: Lesson, machine: str) -> dict[str, Any]:
    """The claims of one lesson on one machine, as they are stored.

    Raises:
        BuildError: a cell failed there.
    """
    notebook = edition_of(lesson, "unsolved")
    with tempfile.TemporaryDirectory() as cache:
        executed = execute(notebook, lesson, Path(cache), environment=MACHINES[machine]).notebook
    claims = [(claim, "timing" in tags(cell)) for cell in executed.cells for claim in claims_of_cell(cell)]
    parts: dict[str, int] = {}
    rows = []
    for claim, timed in claims:
        parts[claim.id] = parts.get(claim.id, 0) + 1
        rows.append({"part": parts[claim.id], "timed": timed, **claim.to_json()})
    return {"lesson": lesson.number, "machine": machine, "source": lesson.code_fingerprint, "claims": rows}


def claims_of_cell(cell: Any) -> list[Claim]:
    return claims_in(new_notebook(cells=[cell]))


def table(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per claim: its verdicts by machine and its smallest margin, the worst first.

    A claim whose verdicts contradict one another comes first, then the smaller margin. Claims about seconds are left
    out, since they are the machine's own.
    """
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for run in runs:
        for claim in run["claims"]:
            if claim["timed"]:
                continue
            row = rows.setdefault((claim["id"], claim["part"]), {"id": claim["id"], "part": claim["part"]})
            row.setdefault("verdicts", {})[run["machine"]] = claim["verdict"]
            row.setdefault("margins", []).append(claim["margin"])
    for row in rows.values():
        known = [abs(margin) for margin in row.pop("margins") if margin is not None]
        row["margin"] = min(known) if known else None
        row["flips"] = {"holds", "does not hold"} <= set(row["verdicts"].values())
    return sorted(
        rows.values(),
        key=lambda row: (not row["flips"], row["margin"] if row["margin"] is not None else float("inf"), row["id"]),
    )


def line(row: Mapping[str, Any]) -> str:
    """One row as text.

    >>> line({"id": "C00c", "part": 1, "verdicts": {"oldest": "holds", "native": "open"}, "margin": 1.94, "flips": 0})
    'C00c·1     1.9  holds 1 of 2, open 1 of 2'
    """
    said = list(row["verdicts"].values())
    counts = ", ".join(f"{verdict} {said.count(verdict)} of {len(said)}" for verdict in dict.fromkeys(said))
    margin = "rule" if row["margin"] is None else f"{min(row['margin'], 999):.1f}"
    return f"{row['id']}·{row['part']} {margin:>7}  {counts}" + ("  FLIPS" if row["flips"] else "")


def stored() -> dict[str, Any]:
    """The last table's runs, by lesson and machine; empty where there are none."""
    return json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {"about": {}, "runs": []}


def threads_of(machine: str) -> int:
    """The threads of one of `MACHINES`.

    >>> threads_of("native, 2 threads")
    2
    """
    return int(MACHINES[machine]["KD_LAB_THREADS"])


def keep(runs: list[dict[str, Any]]) -> None:
    """Write the runs so far, in the order of lessons and machines."""
    runs.sort(key=lambda run: (run["lesson"], list(MACHINES).index(run["machine"])))
    about = head("python -m kd_lab.classroom.elsewhere", processor=platform.machine(), machines=MACHINES)
    write_file(STORED, (json.dumps({"about": about, "runs": runs}, indent=1) + "\n").encode())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kd_lab.classroom.elsewhere", description=__doc__.split("\n\n")[0])
    parser.add_argument("lessons", nargs="*", metavar="NN", help="numbers of lessons; all by default")
    parser.add_argument("--at-once", type=int, default=available_cores(), help="lessons that run side by side")
    options = parser.parse_args(arguments)
    lessons = find_lessons(ROOT, options.lessons)
    sources = {lesson.number: lesson.code_fingerprint for lesson in find_lessons()}
    asked = {lesson.number for lesson in lessons}
    kept = [
        run
        for run in stored()["runs"]
        if sources.get(run["lesson"]) == run["source"] or run["lesson"] in sources.keys() - asked
    ]
    known = {(run["lesson"], run["machine"]) for run in kept}
    wanted = [(one, name) for one in lessons for name in MACHINES if (one.number, name) not in known]
    failed = []
    with tqdm(total=len(wanted), desc="lessons elsewhere") as bar:
        for threads in sorted({threads_of(machine) for _, machine in wanted}):
            # Threads of two lessons that wait for one another are many times slower than one lesson after the other.
            with ThreadPoolExecutor(max(1, options.at_once // threads)) as pool:
                tasks = {pool.submit(run_elsewhere, *task): task for task in wanted if threads_of(task[1]) == threads}
                try:
                    for done in as_completed(tasks):
                        try:
                            kept.append(done.result())
                        except BuildError as error:
                            failed.append(f"{tasks[done][1]}: {error}")
                        keep(kept)
                        bar.update()
                except KeyboardInterrupt:
                    pool.shutdown(cancel_futures=True)  # those that run end; what waits is left for next time
                    ended = [task for task in tasks if not task.cancelled() and task.exception() is None]
                    keep(kept + [run for task in ended if (run := task.result()) not in kept])
                    raise
    rows = table(run for run in kept if not options.lessons or run["lesson"] in options.lessons)
    print(f"{STORED}: the runs so far; delete it to run all again")
    print(f"claim·part  margin in half widths (a verdict needs {MARGIN:g}), verdicts over {len(MACHINES)} machines")
    print("\n".join(map(line, rows)))
    for failure in failed:
        print(failure, file=sys.stderr)
    return int(bool(failed) or any(row["flips"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
