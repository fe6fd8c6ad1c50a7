"""Wheel and source archive hold what they should, and the wheel works alone: without a checkout and without Jupyter."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import kd_lab

ROOT = Path(__file__).parents[1]
COURSE = ["matplotlib", "ipywidgets", "IPython", "jupyterlab", "jupytext", "nbformat", "nbclient", "openai", "PIL"]
COURSE += ["platformdirs", "psutil"]


@pytest.fixture(scope="module")
def archives(tmp_path_factory) -> dict[str, Path]:
    """The wheel and the source archive, built from a copy, so that nothing is left in the checkout."""
    copy, out = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("dist")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    shutil.copytree(ROOT / "kd_lab", copy / "kd_lab", ignore=shutil.ignore_patterns("__pycache__"))
    code = f"from setuptools import build_meta as b; b.build_wheel({str(out)!r}); b.build_sdist({str(out)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=copy, check=True, capture_output=True)
    return {"wheel": next(out.glob("*.whl")), "sdist": next(out.glob("*.tar.gz"))}


@pytest.fixture(scope="module")
def installed(archives, tmp_path_factory) -> Path:
    """The Python of a new environment with the wheel in it; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = ["-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([sys.executable, *install, str(archives["wheel"])], check=True)
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    path = sysconfig.get_path("purelib") + "\n"  # its own .pth files are not read
    (Path(site) / "dependencies.pth").write_text(path, encoding="locale")  # as `site` reads it
    return python


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess:
    """Run as a user would who has no checkout: from another folder and without PYTHONPATH."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run([python, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_both_archives_hold_code_data_types_and_licence(archives):
    wanted = {
        "kd_lab/py.typed",
        "kd_lab/worlds/data/surnames_1990.tsv",
        "kd_lab/models/weights/surnames.safetensors",
        "kd_lab/lessons/l06_gkd/results.json",
        "kd_lab/lessons/l03_which_kl/lesson.py",
        "kd_lab/classroom/jupyter/labconfig/default_setting_overrides.json",
    }
    wheel = set(zipfile.ZipFile(archives["wheel"]).namelist())
    with tarfile.open(archives["sdist"]) as archive:
        sdist = {name.partition("/")[2] for name in archive.getnames()}
    code = {file.relative_to(ROOT).as_posix() for file in (ROOT / "kd_lab").rglob("*.py")}
    for names in (wheel, sdist):
        assert wanted | code <= names
        assert not [name for name in names if name.startswith("tests/") or name.endswith((".ipynb", "teaching.md"))]
    assert any(name.endswith("LICENSE") for name in wheel)
    assert "pyproject.toml" in sdist
    assert archives["wheel"].name.startswith(f"kd_lab-{kd_lab.__version__}-py3-none-any")


def test_the_library_trains_from_the_wheel_without_the_course(installed, tmp_path):
    code = f"""
import sys
sys.modules.update(dict.fromkeys({COURSE}))  # as if they were not installed
from kd_lab import GPT, GPTConfig, distill, gkd, load_teacher, surnames
import kd_lab
world = surnames()
shape = GPTConfig(vocab_size=len(world.vocabulary), context=world.context, layers=1, heads=1, width=8)
result = distill(GPT(shape), load_teacher("surnames"), world, gkd(), steps=3, progress=False)
print(len(result.history["loss"]), kd_lab.__file__)
"""
    done = run(installed, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    steps, place = done.stdout.split()
    assert steps == "3"
    assert Path(place).is_relative_to(installed.parents[1])


def test_the_lessons_come_out_of_the_wheel(installed, tmp_path):
    """Written from their sources: the wheel holds no notebook."""
    script = installed.with_name("kd-lab.exe" if os.name == "nt" else "kd-lab")
    done = subprocess.run(
        [script, "lessons", "copy", "mine"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        | {"JUPYTER_DATA_DIR": str(tmp_path / "jupyter")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    copied = sorted(file.name for file in (tmp_path / "mine").glob("*.ipynb"))
    assert copied == sorted(file.name for file in (ROOT / "lessons").glob("*.ipynb"))


@pytest.mark.parametrize("module", ["classroom.build", "classroom.claims", "teaching.pack"])
def test_what_needs_a_checkout_says_so(installed, tmp_path, module):
    done = run(installed, "-m", f"kd_lab.{module}", cwd=tmp_path)
    assert done.returncode == 1
    assert "in a checkout of the course" in done.stderr
