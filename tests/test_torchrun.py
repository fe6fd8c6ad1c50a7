"""What torchrun started ends with it."""

import os
import subprocess
import time

import pytest
from torchrun import torchrun


def is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a launcher passes on, and no signal 0")
def test_a_launcher_that_takes_too_long_ends_its_workers(tmp_path):
    script = tmp_path / "sleeper.py"
    script.write_text(
        "import os, pathlib, time\n"
        "pathlib.Path(os.environ['PIDS'], os.environ['RANK']).write_text(str(os.getpid()))\n"
        "time.sleep(600)\n",
        encoding="utf-8",
    )
    (pids := tmp_path / "pids").mkdir()
    for seconds in (15, 60, 240):  # a busy machine needs longer until both have begun
        with pytest.raises(subprocess.TimeoutExpired):
            torchrun(str(script), seconds=seconds, PIDS=str(pids))
        if len(list(pids.iterdir())) == 2:
            break
    workers = [int(file.read_text(encoding="utf-8")) for file in pids.iterdir()]
    assert len(workers) == 2
    deadline = time.monotonic() + 60
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not any(map(is_alive, workers))
