"""A confined process: what it may read and write, by the kernel where it can, by Python's hooks everywhere."""

import ctypes
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from kd_lab.teaching import confine
from kd_lab.teaching.confine import around

TRIALS = """
import json, os, socket, subprocess, sys
from pathlib import Path
secret, inside, scratch = map(Path, sys.argv[1:4])
sys.path.insert(0, sys.argv[4])
import confine
if sys.argv[5] == "hooks":
    confine.landlock = lambda *_: False
else:
    confine.hook = lambda *_: lambda *_: None
found = {"by": confine.confine([*confine.places([secret]), inside], scratch)}

def trial(name, action):
    try:
        action()
        found[name] = "done"
    except (OSError, ImportError) as error:
        found[name] = type(error).__name__

trial("read inside", (inside / "file").read_text)
trial("read secret", (secret / "file").read_text)
trial("list secret", lambda: os.listdir(secret))
trial("read a home", lambda: os.listdir(Path.home()))
trial("write scratch", lambda: (scratch / "new").write_text("text", encoding="utf-8"))
trial("write inside", lambda: (inside / "file").write_text("text", encoding="utf-8"))
trial("append", lambda: open(inside / "file", "a"))
trial("remove", (inside / "file").unlink)
trial("library", lambda: __import__("xml.etree.ElementTree"))
trial("through a link", lambda: (os.symlink(secret / "file", scratch / "link"), (scratch / "link").read_text("utf-8")))
if sys.argv[5] == "hooks":
    trial("process", lambda: subprocess.run(["true"]))
    if hasattr(os, "fork"):
        trial("fork", os.fork)
    trial("kill", lambda: os.kill(os.getppid(), 0))
    trial("connect", lambda: socket.create_connection(("127.0.0.1", 1)))
print(json.dumps(found))
"""


def trials(tmp_path, mode):
    import json

    for name in ("secret", "inside", "scratch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("text", encoding="utf-8")
    script = tmp_path / "trial.py"
    script.write_text(textwrap.dedent(TRIALS), encoding="utf-8")
    folders = [str(tmp_path / name) for name in ("secret", "inside", "scratch")]
    command = [sys.executable, "-I", str(script), *folders, str(Path(confine.__file__).parent), mode]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def kernel_has_landlock() -> bool:
    """Asked of the kernel itself, so that a fault of `confine` is not taken for a kernel without."""
    return sys.platform == "linux" and ctypes.CDLL(None).syscall(444, None, 0, 1) >= 1


@pytest.mark.parametrize("mode", ["hooks", "kernel"])
def test_a_process_reads_what_it_needs_and_writes_in_one_folder(tmp_path, mode):
    found = trials(tmp_path, mode)
    if found.pop("by") != mode:
        assert not kernel_has_landlock(), "this kernel has Landlock, and confine did not use it"
        pytest.skip("this kernel enforces no such rules (Landlock, Linux 5.13): Python's hooks alone hold here")
    assert set(found.values()) == {"done", "PermissionError"}, found  # and nothing that failed by itself
    allowed = {"read inside", "write scratch", "library"}
    assert {name for name, result in found.items() if result == "done"} == allowed, found


def test_a_folder_is_left_out_of_those_that_hold_it(tmp_path):
    for name in ("a/secret", "a/other", "b"):
        (tmp_path / name).mkdir(parents=True)
    found = around(tmp_path, {tmp_path / "a" / "secret"})
    assert found == [tmp_path / "a" / "other", tmp_path / "b"]
    assert around(tmp_path / "b", {tmp_path / "a"}) == [tmp_path / "b"]
    assert around(tmp_path / "a", {tmp_path / "a"}) == []


def test_its_own_account_says_what_pythons_hooks_do_not_see():
    """`torch.from_file` opens a file without an audit event."""
    code = """
import sys, torch
sys.addaudithook(lambda event, arguments: event == "open" and print("seen", arguments[0]))
print(torch.from_file(sys.argv[1], size=8, dtype=torch.uint8).shape, flush=True)
"""
    command = [sys.executable, "-c", code, __file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "torch.Size([8])" in done.stdout
    assert f"seen {__file__}" not in done.stdout
    assert "torch.from_file" in confine.__doc__


def test_a_teacher_reads_from_which_kernels_on_it_holds(tmp_path):
    """The README of a course says what this module's own account says."""
    said = (Path(confine.__file__).parent / "course" / "README.md.template").read_text(encoding="utf-8")
    versions = re.findall(r"\b[56]\.\d+\b", confine.__doc__)
    assert versions == ["5.13", "6.7"]
    assert re.findall(r"\b[56]\.\d+\b", said.partition("## What is guarded")[2]) == versions
