"""The pinned versions install on every system and with every Python that the README names; nothing unpinned does."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PINS = {
    canonicalize_name(pin.name): pin
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line.strip() and not line.startswith("#")
    for pin in [Requirement(line)]
}
UV = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
SYSTEMS = {  # as uv calls them
    "Linux x86-64": "x86_64-manylinux_2_28",
    "Linux aarch64": "aarch64-manylinux_2_28",
    "macOS 14 arm64": "aarch64-apple-darwin",
    "Windows": "x86_64-pc-windows-msvc",
}
PYTHONS = ("3.11.2", "3.12.0", "3.13.0", "3.14.1")
"""Debian 12 has 3.11.2: a package that needs 3.11.5 ends `make lab` there in a resolver error."""

ASKED = [("Linux x86-64", python) for python in PYTHONS] + [
    (system, python) for system in list(SYSTEMS)[1:] for python in (PYTHONS[0], PYTHONS[-1])
]

CUDA = ("nvidia-", "cuda-")
"""What torch brings from the index on Linux; `make` takes the build without them, and constraints.txt pins none."""


def resolve(system, python):
    """uv resolves everything that we install for a system and a Python, from wheels alone: a process under way."""
    command = [UV, "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--only-binary", ":all:",
               "--python-platform", SYSTEMS[system], "--python-version", python,
               "--extra", "test", "--extra", "trainers",
               "--constraint", "constraints.txt", "pyproject.toml", "tests/teaching/nbgrader.txt"]  # fmt: skip
    system_of_a_mac = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "14.0"}
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=system_of_a_mac
    )


@pytest.fixture(scope="module")
def resolved():
    """What uv says of each, all asked at once."""
    if UV is None:
        pytest.skip("uv is not installed: pip install -c constraints.txt uv")
    first = resolve("Linux x86-64", "3.11.2")
    _, said = first.communicate()
    if first.returncode and "No solution" not in said:
        pytest.skip(f"no package index can be reached: {said[-200:]}")
    under_way = {asked: resolve(*asked) for asked in ASKED}
    return {asked: (*process.communicate(), process.returncode) for asked, process in under_way.items()}


@pytest.mark.parametrize(("system", "python"), ASKED)
def test_everything_has_a_wheel_at_the_pinned_version(system, python, resolved):
    lines, said, code = resolved[system, python]
    assert code == 0, said
    versions = {canonicalize_name(one.name): one for one in map(Requirement, lines.splitlines())}
    assert len(versions) > 50
    loose = [str(one) for name, one in versions.items() if name not in PINS or one.specifier != PINS[name].specifier]
    assert [one for one in loose if not one.startswith(CUDA)] == []
