"""The box in which submissions run: the package without solutions, and a process for each submission."""

import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from kd_lab.teaching.strip import PACKAGE, strip

INSIDE = ("__init__.py", "fresh.py", "draws.py", "confine.py", "worker.py")
"""The modules of this package that run beside a submission."""

START = 60.0
"""Seconds of processor time in which a worker has to be ready."""

SPARE = 5.0
"""Seconds of processor time beyond the limits of its calls after which a worker is stopped from outside."""

WAITING = 10.0
"""The factor on the wall for a worker that waits, or that a busy machine keeps waiting."""

LARGEST = 2**26
"""Bytes of an answer that are read."""

SAME_DRAWS = "ATEN_CPU_CAPABILITY"
"""Chooses torch's instructions, and with them the numbers of a seed: the worker draws the cases again, and they must be
those that its answers are compared with."""


def box_in(folder: Path) -> Path:
    """The box in a folder, made anew where the package has changed since."""
    box = folder / f"box-{fingerprint()}"
    if box.is_dir():
        return box
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("box-*"):
        shutil.rmtree(old, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        package = strip(Path(place) / "new", record=())
        (package / "teaching").mkdir()
        for name in INSIDE:
            shutil.copy(PACKAGE / "teaching" / name, package / "teaching" / name)
        try:
            package.parent.rename(box)
        except OSError:  # another process was faster
            if not box.is_dir():
                raise
    return box


def fingerprint(folder: Path = PACKAGE) -> str:
    """A hash of all files under a folder, data and weights included, but for those that Python compiles."""
    digest = hashlib.sha256()
    for file in sorted(file for file in folder.rglob("*") if file.is_file()):
        name = file.relative_to(folder)
        if "__pycache__" not in name.parts:
            digest.update(name.as_posix().encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:16]


def run(box: Path, lesson: str, requests: dict[str, Any], forbidden: Sequence[Path]) -> dict[str, Any]:
    """Run the answers of one submission.

    Args:
        box: of `box_in`.
        lesson: number of the lesson.
        requests: a name for each answer, such as its exercise → what `worker.answer` takes.
        forbidden: folders that the submission may not read: the solutions, and the course.

    Returns:
        Name → what the worker said, or {"error": …} where its process ended or had to be ended.
    """
    said: dict[str, Any] = {}
    while left := {name: one for name, one in requests.items() if name not in said}:
        with tempfile.TemporaryDirectory(prefix="kd_lab_") as place:
            scratch = Path(place)
            request = {"lesson": lesson, "answers": left, "forbidden": [str(one) for one in forbidden]}
            (scratch / "request.json").write_text(json.dumps(request), encoding="utf-8")
            new, reason = watch(start(box, scratch), scratch, left)
            if not (scratch / "ready").exists():
                raise RuntimeError(f"the worker did not start ({reason}): {log_of(scratch)}")
        said |= new
        if len(new) < len(left):
            said[next(name for name in left if name not in new)] = {"error": reason}
    return said


def start(box: Path, scratch: Path) -> subprocess.Popen[bytes]:
    """A worker in a process and session of its own, which inherits where to find Python, and `SAME_DRAWS`."""
    inherited = ("PATH", "SYSTEMROOT", "LD_LIBRARY_PATH", "LANG", SAME_DRAWS)
    kept = {name: os.environ[name] for name in inherited if name in os.environ}
    own = {"HOME": str(scratch), "TMPDIR": str(scratch), "OMP_NUM_THREADS": "1", "TRITON_INTERPRET": "1"}
    worker = box / "kd_lab" / "teaching" / "worker.py"
    with (scratch / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-I", "-B", "-X", "utf8", str(worker), str(box), str(scratch)],
            cwd=scratch,
            env=kept | own,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def watch(
    worker: subprocess.Popen[bytes], scratch: Path, requests: dict[str, Any]
) -> tuple[dict[str, dict[str, Any]], str]:
    """Read a worker's replies as they come, and end it where it goes on too long.

    What counts is the processor time since the last answer, or some times as long on the wall for one that waits.

    Returns:
        The replies, and what to say of the first that is missing.
    """
    waiting, replies = list(requests), {}
    budget, ready = Budget(worker, START), False
    while True:
        ended = worker.poll() is not None
        began = not ready and (scratch / "ready").exists()
        ready = ready or began
        reply = reply_in(scratch, waiting[0]) if waiting else None
        if answered := reply is not None:
            replies[waiting.pop(0)] = reply
        if began or answered:
            budget = Budget(worker, limit_of(requests[waiting[0]]) if waiting else SPARE)
        elif ended:
            return replies, f"it ended Python (exit status {worker.returncode})"
        if budget.spent():
            worker.kill()
            worker.wait()
            return replies, "it did not end, and could not be stopped from within"
        time.sleep(0.02)


class Budget:
    """The time that a process has from now on, of the processor and on the wall."""

    def __init__(self, worker: subprocess.Popen[bytes], seconds: float):
        self.worker, self.seconds = worker, seconds
        self.wall, self.own = time.monotonic(), self.used()

    def used(self) -> float:
        try:
            times = psutil.Process(self.worker.pid).cpu_times()
        except psutil.Error:  # it has just ended
            return 0.0
        return times.user + times.system

    def spent(self) -> bool:
        return self.used() - self.own > self.seconds or time.monotonic() - self.wall > WAITING * self.seconds


def limit_of(request: dict[str, Any]) -> float:
    """Seconds after which the worker itself should long have stopped an answer."""
    return SPARE + 2 * request["seconds"] + 3 * max((one["seconds"] for one in request["draws"]), default=0.0)


def reply_in(scratch: Path, name: str) -> dict[str, Any] | None:
    """The reply that a worker left for an exercise; None where there is none that can be read."""
    file = scratch / f"{name}.json"
    try:
        if not stat.S_ISREG(file.lstat().st_mode) or file.lstat().st_size > LARGEST:
            return None
        reply = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return reply if isinstance(reply, dict) else None


def log_of(scratch: Path) -> str:
    return (scratch / "log").read_text(encoding="utf-8", errors="replace")[-800:]
