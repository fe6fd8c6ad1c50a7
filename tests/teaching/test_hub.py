"""What a hub needs follows from what was measured; its image installs what was tested."""

import ast
import re
import shlex
from pathlib import Path

import pytest

from kd_lab.classroom.lesson import lessons_of
from kd_lab.teaching.hub import PATIENCE, SERVER_MIB, SPREAD, needs, needs_of

ROOT = Path(__file__).parents[2]
HUB = ROOT / ".jupyterhub"


def test_memory_and_cores_follow_from_the_measured_lesson():
    lesson = next(lesson for lesson in lessons_of() if lesson.number == "03")
    one = needs_of(lesson, 40)
    assert one.kernel_mib == pytest.approx(SPREAD * lesson.measured["memory_mib"])
    assert one.memory_gib == pytest.approx(40 * (one.kernel_mib + SERVER_MIB) / 1024)
    assert (one.cores - 1) * PATIENCE < 40 * lesson.measured["seconds"] <= one.cores * PATIENCE


def test_the_hub_is_as_large_as_its_largest_lesson():
    text = needs(40, ["03", "08"])
    assert len([line for line in text.splitlines() if line.startswith(("03", "08"))]) == 2
    largest = max(needs_of(lesson, 40).memory_gib for lesson in lessons_of() if lesson.number in ("03", "08"))
    assert f"{largest:.0f} GiB of memory" in text
    with pytest.raises(ValueError, match="expected at least 1"):
        needs(0)


def test_the_printed_limit_is_never_below_the_need(monkeypatch):
    """Rounded to the nearest tenth, 1.245 GiB would read 1.2, and the largest lesson would be killed."""
    (lesson,) = [lesson for lesson in lessons_of() if lesson.number == "03"]
    for need in (1.245, 1.2, 1.2000001, 0.96):
        memory = (1024 * need - SERVER_MIB) / SPREAD
        monkeypatch.setattr(type(lesson), "measured", {"seconds": 8.0, "memory_mib": memory})
        (limit,) = re.findall(r"Limit each server to ([\d.]+) GiB", needs(40, ["03"]))
        assert need - 1e-9 <= float(limit) < need + 0.1


def instructions():
    """The image's file, parsed: (instruction, arguments), continued lines joined."""
    text = re.sub(r"\\\n", " ", (HUB / "Dockerfile").read_text(encoding="utf-8"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines]


def test_the_image_installs_the_students_package_by_the_tested_versions():
    assert next(name for name, _ in instructions()) == "FROM"
    assert {name for name, _ in instructions()} <= {"FROM", "COPY", "RUN", "ENV", "USER", "WORKDIR", "CMD"}
    (run, *_) = [arguments for name, arguments in instructions() if name == "RUN"]
    commands = [shlex.split(part) for part in run.split("&&")]
    installs = [part for part in commands if "install" in part]
    assert any("-c" in part and "[course]" in part[-1] for part in installs)
    assert all("/tmp/constraints.txt" in part for part in installs)
    assert any("nbgrader>=0.9.5,<0.10" in part for part in installs)
    copied = [arguments for name, arguments in instructions() if name == "COPY"]
    assert copied == [
        "constraints.txt /tmp/",
        "dist/kd_lab-*+class*.whl /tmp/",
    ]  # sources, and a wheel from them, have solutions
    assert ("USER", "student") in instructions()
    assert "was not built where it was written" in (HUB / "Dockerfile").read_text(encoding="utf-8")


def test_one_thread_for_each_kernel():
    settings = dict(
        part.split("=", 1) for name, arguments in instructions() if name == "ENV" for part in arguments.split()
    )
    assert settings["OMP_NUM_THREADS"] == "1"


def test_the_hubs_limit_holds_the_largest_lesson():
    text = (HUB / "jupyterhub_config.py").read_text(encoding="utf-8")
    ast.parse(text)
    (limit,) = re.findall(r'mem_limit = "([\d.]+)G"', text)
    (printed,) = re.findall(r"Limit each server to ([\d.]+) GiB", needs(40))
    assert float(limit) >= float(printed)
