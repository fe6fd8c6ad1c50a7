"""The verdicts of all lessons as other machines would see them: `python -m kd_lab.classroom.elsewhere [02 …]`.

Another processor rounds differently, another thread count adds in another order, and other seeds draw otherwise; a
claim that is true has the same verdict on all of them. Each lesson runs on every machine of `MACHINES`, as many at a
time as the cores have room for their threads. The runs go to kd_lab/lessons/elsewhere.json as they end, each with its
day, versions and processor, so that an interrupted command goes on where it stopped. A run is repeated only when its
lesson's code has changed. Numbers that a lesson reads from a file are the same everywhere, and the table says so.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from tqdm import tqdm

from kd_lab.classroom.build import BuildError, execute
from kd_lab.classroom.claim import MARGIN
from kd_lab.classroom.claims import claims_in
from kd_lab.classroom.lesson import ROOT, Lesson, edition_of, find_lessons, tags
from kd_lab.classroom.long_runs import made
from kd_lab.classroom.setup import available_cores
from kd_lab.models.files import write_file

STORED = ROOT / "kd_lab" / "lessons" / "elsewhere.json"

CPUINFO = Path("/proc/cpuinfo")
"""Where Linux names the processor."""

NOT_RUN_AGAIN = "stored, not run again"
ONE_NUMBER = "one number, stored or not"
LEGEND = {
    NOT_RUN_AGAIN: "the lesson reads these values from a file, and the machines are no witnesses to them",
    ONE_NUMBER: "every seed has the same value on every machine, whether it is computed there or read from a file",
}
"""Note in the table → its meaning, for claims over seeds whose values are the same with other seeds."""

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
    about = {"lesson": lesson.number, "machine": machine, "source": lesson.code_fingerprint}
    return {**about, "made": {**made(), "processor": processor()}, "claims": claims_with_parts(executed)}


def claims_with_parts(executed: NotebookNode) -> list[dict[str, Any]]:
    """The claims of an executed notebook, each with its part of its number and whether it is about seconds."""
    rows: list[dict[str, Any]] = []
    for cell in executed.cells:
        for claim in claims_in(NotebookNode(cells=[cell])):
            part = 1 + sum(row["id"] == claim.id for row in rows)
            rows.append({"part": part, "timed": "timing" in tags(cell), **claim.to_json()})
    return rows


def processor() -> str:
    """The processor's model name, or its architecture where the system has no name for it."""
    if platform.system() == "Darwin":
        asked = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
        names = subprocess.run(asked, capture_output=True, encoding="utf-8").stdout.splitlines()
    else:
        lines = CPUINFO.read_text(encoding="utf-8").splitlines() if CPUINFO.exists() else []
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()


def table(runs: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per claim: its verdicts by machine, its smallest margin and a note from `LEGEND`, the worst first.

    A claim whose verdicts contradict one another comes first, then the smaller margin. Claims about seconds are left
    out, since they are the machine's own.
    """
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for run in runs:
        for claim in run["claims"]:
            if claim["timed"]:
                continue
            known = {name: claim[name] for name in ("id", "part", "sentence")}
            row = rows.setdefault((claim["id"], claim["part"]), known)
            row.setdefault("verdicts", {})[run["machine"]] = claim["verdict"]
            row.setdefault("margins", []).append(claim["margin"])
            row.setdefault("values", {})[run["machine"]] = tuple(claim["values"])
    for row in rows.values():
        margins = [abs(margin) for margin in row.pop("margins") if margin is not None]
        row["margin"] = min(margins) if margins else None
        row["note"] = note(row.pop("values"))
        row["flips"] = {"holds", "does not hold"} <= set(row["verdicts"].values())
    return sorted(
        rows.values(),
        key=lambda row: (not row["flips"], row["margin"] if row["margin"] is not None else float("inf"), row["id"]),
    )


def note(values: Mapping[str, tuple[float, ...]]) -> str:
    """The key of `LEGEND` for a claim's values by machine; empty for an exact number, or where they differ.

    Machines that draw from the same seeds may compute the same values, so that others are needed to tell.

    >>> note(dict.fromkeys(MACHINES, (0.1, 0.2, 0.3)))
    'stored, not run again'
    >>> note(dict.fromkeys(["native", "native, 2 threads"], (0.1, 0.2, 0.3)))
    ''
    """
    seeds = {MACHINES[machine]["KD_LAB_SEED"] for machine in values}
    first, *others = set(values.values())
    if len(seeds) == 1 or others or len(first) == 1:
        return ""
    return NOT_RUN_AGAIN if len(set(first)) > 1 else ONE_NUMBER


def line(row: Mapping[str, Any]) -> str:
    """One row as text.

    >>> row = {"id": "C00c", "part": 1, "margin": 1.94, "note": "", "flips": False}
    >>> line(row | {"verdicts": {"oldest": "holds", "native": "open"}})
    'C00c·1     1.9  holds 1 of 2, open 1 of 2'
    >>> line(row | {"verdicts": {"oldest": "open", "native": "open"}, "note": NOT_RUN_AGAIN})
    'C00c·1     1.9  open (stored, not run again)'
    """
    said = list(row["verdicts"].values())
    counts = ", ".join(f"{verdict} {said.count(verdict)} of {len(said)}" for verdict in dict.fromkeys(said))
    found = f"{said[0]} ({row['note']})" if row["note"] else counts
    margin = "rule" if row["margin"] is None else f"{min(row['margin'], 999):.1f}"
    return f"{row['id']}·{row['part']} {margin:>7}  {found}" + ("  FLIPS" if row["flips"] else "")


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
    """Write the runs so far, in the order of lessons and machines.

    Each run says when and where it was made. What the file says of that is about older runs, which do not.
    """
    runs.sort(key=lambda run: (run["lesson"], list(MACHINES).index(run["machine"])))
    older = {} if all("made" in run for run in runs) else stored().get("about", {})
    about = {"command": "python -m kd_lab.classroom.elsewhere", **older, "machines": MACHINES}
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
    for mark, meaning in LEGEND.items():
        if count := sum(row["note"] == mark for row in rows):
            print(f"({mark}): {meaning}; {count} of {len(rows)} claims")
    print("\n".join(map(line, rows)))
    for failure in failed:
        print(failure, file=sys.stderr)
    return int(bool(failed) or any(row["flips"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
