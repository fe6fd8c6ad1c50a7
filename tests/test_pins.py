"""The pinned versions install on every system and with every Python that the README names."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PINS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line.strip() and not line.startswith("#")
]


def manylinux(machine):
    """All tags that a system of glibc 2.28 takes; asked for one of them, pip takes no other."""
    tags = [f"manylinux_2_{minor}_{machine}" for minor in range(28, 4, -1)]
    return [*tags, f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}"]


SYSTEMS = {  # wheel tags, Python, and what a marker of constraints.txt may ask for
    "Linux x86-64": (manylinux("x86_64"), "3.11", {"platform_system": "Linux", "sys_platform": "linux"}),
    "Linux aarch64": (manylinux("aarch64"), "3.13", {"platform_system": "Linux", "sys_platform": "linux"}),
    "macOS 14 arm64": (["macosx_14_0_arm64"], "3.12", {"platform_system": "Darwin", "sys_platform": "darwin"}),
    "Windows": (["win_amd64"], "3.14", {"platform_system": "Windows", "sys_platform": "win32"}),
}


def needs_a_wheel(pin):
    """Whether a pin has compiled parts. A package of Python alone has one wheel, which fits every system."""
    try:
        wheel = importlib.metadata.distribution(pin.name).read_text("WHEEL") or ""
    except importlib.metadata.PackageNotFoundError:
        return True  # of an extra or of another system: ask
    return "Root-Is-Purelib: true" not in wheel


def pip(*arguments):
    return [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-deps", "--only-binary=:all:",
            "--disable-pip-version-check", *arguments]  # fmt: skip


@pytest.fixture(scope="module")
def resolved(tmp_path_factory):
    """What pip says on each system, all four asked at once."""
    probe = next(str(pin) for pin in PINS if pin.name == "packaging")
    folder = tmp_path_factory.mktemp("target")
    if subprocess.run(pip("--target", folder / "probe", probe), capture_output=True, check=False).returncode:
        pytest.skip("no package index can be reached")
    asked = {}
    for name, (tags, python, markers) in SYSTEMS.items():
        wanted = folder / f"{tags[0]}.txt"
        lines = [
            f"{pin.name}{pin.specifier}"
            for pin in filter(needs_a_wheel, PINS)
            if pin.marker is None or pin.marker.evaluate(markers)
        ]
        wanted.write_text("\n".join(lines))
        platforms = [argument for tag in tags for argument in ("--platform", tag)]
        command = pip(*platforms, "--python-version", python, "--target", folder / tags[0], "-r", wanted)
        asked[name] = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return {name: (process.communicate(timeout=600)[0], process.returncode) for name, process in asked.items()}


@pytest.mark.parametrize("system", SYSTEMS)
def test_every_pin_has_a_wheel(system, resolved):
    said, code = resolved[system]
    assert code == 0, said


@pytest.mark.parametrize("python", ["3.11.2", "3.12.0", "3.13.0", "3.14.1"])
def test_every_installed_pin_accepts_this_python(python):
    """Debian 12 has Python 3.11.2: a package that needs 3.11.5 ends `make lab` there in a resolver error."""
    from packaging.specifiers import SpecifierSet

    refusing = []
    for pin in PINS:
        try:
            wants = importlib.metadata.metadata(pin.name)["Requires-Python"]
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra that is not installed here, or of another system
        if wants and python not in SpecifierSet(wants):
            refusing.append(f"{pin} wants Python {wants}")
    assert refusing == []
