"""Two processes under torchrun, which leave nothing behind."""

import os
import subprocess
import sys

SECONDS = 1200
"""On two quiet cores these tests take half a minute; beside eight busy processes, ten."""


def torchrun(*arguments: str, seconds: float = SECONDS, **environment: str) -> subprocess.CompletedProcess[str]:
    """Two processes on this machine, each with one thread; ended together if they take too long.

    `subprocess.run` would kill the launcher alone, and its workers would go on for minutes beside all other tests.

    Raises:
        TimeoutExpired: they had not ended by then.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | environment
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True, env=environment) as launcher:
        try:
            out, err = launcher.communicate(timeout=seconds)
        except BaseException:
            launcher.terminate()  # which it passes on to its workers
            raise
    return subprocess.CompletedProcess(command, launcher.returncode, out, err)
