"""Two processes heal as one does, and a head that is split over them gives the same loss."""

import os
import re
import subprocess
import sys

import pytest

pytest.importorskip("transformers", reason="transformers is not installed: make real")

MODULE = "kd_lab.lessons.l13_real_llm.at_scale"


def run(*launcher: str) -> tuple[int, list[float]]:
    """Processes, and the numbers of the output: losses at both ends, then the two held-out losses."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *launcher, "-m", MODULE], capture_output=True, text=True, env=environment, timeout=240
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split()[0]), [float(number) for number in re.findall(r"\d+\.\d+", done.stdout)]


@pytest.fixture(scope="module")
def alone() -> tuple[int, list[float]]:
    return run()


def test_one_process_learns(alone) -> None:
    size, (first, last, whole, split) = alone
    assert size == 1
    assert last < 0.8 * first
    assert split == whole


def test_two_processes_are_one(alone) -> None:
    size, numbers = run("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    assert size == 2
    assert numbers == pytest.approx(alone[1], rel=2e-3)
    assert numbers[3] == pytest.approx(numbers[2], rel=1e-4)
