"""Beside other kernels one may find a port taken that was free when it was started."""

import os
import socket

import pytest
from jupyter_client.connect import LocalPortCache
from nbformat.v4 import new_code_cell, new_notebook

from kd_lab.classroom.kernel import STARTS, kernel_of

DIED = "Kernel died before replying to kernel_info"


def test_a_kernel_whose_port_was_taken_is_started_again(tmp_path, monkeypatch):
    """Of two kernels at once, beside two builds, one died at its start."""
    notebook = new_notebook(cells=[new_code_cell("print(6 * 7)")])
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken, asked = [other.getsockname()[1]], []

        def port(cache, ip, free=LocalPortCache.find_available_port):
            asked.append(ip)
            return taken.pop() if taken else free(cache, ip)

        monkeypatch.setattr(LocalPortCache, "find_available_port", port)
        with kernel_of(notebook, tmp_path, os.environ) as client:
            client.execute_cell(notebook.cells[0], 0)
    assert notebook.cells[0].outputs[0].text == "42\n"
    assert len(asked) == 2 * 5  # each kernel has five ports


@pytest.mark.parametrize(("said", "starts"), [(DIED, STARTS), ("Kernel didn't respond in 600 seconds", 1)])
def test_a_kernel_that_never_starts_is_not_waited_for_again_and_again(tmp_path, monkeypatch, said, starts):
    tried = []

    def fails(client, env):
        tried.append(client.startup_timeout)
        raise RuntimeError(said)

    monkeypatch.setattr("kd_lab.classroom.kernel.NotebookClient.setup_kernel", fails)
    with pytest.raises(RuntimeError, match=said), kernel_of(new_notebook(), tmp_path, os.environ):
        pass
    assert tried == [600] * starts
