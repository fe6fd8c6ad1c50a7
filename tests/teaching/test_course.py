"""The folder of a course: complete, renewed without loss, and with nothing that stops nbgrader."""

import ast
import os
import shutil
import subprocess
import sys
from functools import partial

import nbformat
import pytest

from kd_lab.classroom.lesson import lessons_of
from kd_lab.teaching import course
from kd_lab.teaching.assignment import assignment_of
from kd_lab.teaching.course import init


def test_a_course_has_sources_settings_and_a_secret_of_its_own(tmp_path):
    lines = init(tmp_path / "one", ["03"])
    init(tmp_path / "two", ["03"])
    assert "README.md" in lines[0]
    assert [file.name for file in (tmp_path / "one" / "source").iterdir()] == ["03"]
    assert not (tmp_path / "one" / "release").exists()  # where it was there, generate_assignment would skip it
    secrets = [(tmp_path / name / ".kd_lab" / "secret").read_text(encoding="utf-8") for name in ("one", "two")]
    assert secrets[0] != secrets[1]
    assert len(secrets[0].strip()) == 64
    if os.name != "nt":
        assert (tmp_path / "one" / ".kd_lab" / "secret").stat().st_mode & 0o077 == 0
    assert ".kd_lab/" in (tmp_path / "one" / ".gitignore").read_text(encoding="utf-8")


def test_the_settings_are_python_and_name_this_python(tmp_path):
    init(tmp_path / "it's a course", ["03"])
    text = (tmp_path / "it's a course" / "nbgrader_config.py").read_text(encoding="utf-8")
    values = {ast.unparse(node.targets[0]): node.value for node in ast.parse(text).body if isinstance(node, ast.Assign)}
    assert ast.literal_eval(values["PYTHON"]) == sys.executable
    assert "$" not in text


def test_a_course_is_renewed_and_keeps_what_nbgrader_made(tmp_path):
    init(tmp_path, ["03"])
    secret = (tmp_path / ".kd_lab" / "secret").read_text(encoding="utf-8")
    (tmp_path / "gradebook.db").write_text("grades", encoding="utf-8")
    init(tmp_path, ["03b"])
    assert (tmp_path / ".kd_lab" / "secret").read_text(encoding="utf-8") == secret
    assert (tmp_path / "gradebook.db").read_text(encoding="utf-8") == "grades"
    assert {file.name for file in (tmp_path / "source").iterdir()} == {"03", "03b"}


def edit(file, change):
    """Change a notebook as a teacher does in JupyterLab: its metadata and outputs are another's too."""
    notebook = nbformat.read(file, as_version=4)
    change(notebook)
    notebook.metadata["language_info"] = {"name": "python", "version": "3.99"}
    nbformat.write(notebook, file)


def with_a_word(notebook):
    notebook.cells[0].source += "\n\nOur own words."


def with_more_points(notebook):
    next(
        cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")
    ).metadata.nbgrader.points = 99


@pytest.mark.parametrize("change", [with_a_word, with_more_points])
def test_an_assignment_that_its_teacher_edited_is_never_overwritten(tmp_path, monkeypatch, change):
    init(tmp_path, ["03"])
    file = tmp_path / "source" / "03" / "03_which_kl.ipynb"
    edit(file, change)
    edited = file.read_bytes()
    assert not [line for line in init(tmp_path, ["03"]) if "03_which_kl" in line]  # the edition is the same
    monkeypatch.setattr(course, "assignment_of", newer_assignment_of)
    said = [line for line in init(tmp_path, ["03"]) if "03_which_kl" in line]
    assert file.read_bytes() == edited
    assert [one.name for one in file.parent.iterdir()] == [file.name]  # nbgrader would release a second notebook
    assert said == [f"{NAME} is as you left it; a newer edition is in newer/{NAME}"]
    assert "A newer edition." in (tmp_path / "newer" / NAME).read_text(encoding="utf-8")
    shutil.rmtree(tmp_path / "newer")  # what the teacher has taken over does not come back
    assert not [line for line in init(tmp_path, ["03"]) if "03_which_kl" in line]
    assert not (tmp_path / "newer").exists()


NAME = "source/03/03_which_kl.ipynb"


def newer_assignment_of(lesson, text="A newer edition."):
    notebook = assignment_of(lesson)
    notebook.cells.append(nbformat.v4.new_markdown_cell(text))
    return notebook


def test_a_newer_edition_that_its_teacher_edited_too_is_never_overwritten(tmp_path, monkeypatch):
    """A teacher merges in newer/ and means to copy the result over the own file."""
    init(tmp_path, ["03"])
    edit(tmp_path / NAME, with_a_word)

    def said_of(text):
        monkeypatch.setattr(course, "assignment_of", partial(newer_assignment_of, text=text))
        return [line for line in init(tmp_path, ["03"]) if "03_which_kl" in line]

    said_of("The second edition.")
    edit(tmp_path / "newer" / NAME, with_a_word)
    merged = (tmp_path / "newer" / NAME).read_bytes()
    assert said_of("The second edition.") == []
    for text in ("The third edition.", "The fourth edition."):  # over the third, which nobody edited
        assert said_of(text) == [f"{NAME} and newer/{NAME} are as you left them; a newer edition is in newer-2/{NAME}"]
        assert (tmp_path / "newer" / NAME).read_bytes() == merged
        assert text in (tmp_path / "newer-2" / NAME).read_text(encoding="utf-8")
    assert not (tmp_path / "newer-3").exists()
    shutil.rmtree(tmp_path / "newer")
    assert said_of("The fourth edition.") == []  # seen, if elsewhere


def run_once(notebook):
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count = 1
            cell.outputs = [nbformat.v4.new_output("stream", text="1")]


def test_an_assignment_that_was_run_and_not_edited_is_renewed(tmp_path, monkeypatch):
    init(tmp_path, ["03"])
    edit(tmp_path / NAME, run_once)
    monkeypatch.setattr(course, "assignment_of", newer_assignment_of)
    assert f"{NAME} is now the newer edition; you had not edited it" in init(tmp_path, ["03"])
    assert "A newer edition." in (tmp_path / NAME).read_text(encoding="utf-8")
    assert not (tmp_path / "newer").exists()


def test_settings_that_their_teacher_edited_stay_and_others_name_the_new_python(tmp_path, monkeypatch):
    for name in ("one", "two"):
        init(tmp_path / name, ["03"])
    settings = tmp_path / "one" / "nbgrader_config.py"
    mine = settings.read_text(encoding="utf-8") + "c.Exchange.root = '/srv/exchange'  # ours\n"
    settings.write_text(mine, encoding="utf-8", newline="\r\n")
    monkeypatch.setattr("sys.executable", "/elsewhere/python")
    said = init(tmp_path / "one", ["03"])
    assert settings.read_text(encoding="utf-8") == mine
    assert any(line.startswith("nbgrader_config.py is as you left it") for line in said)
    assert "'/elsewhere/python'" in (tmp_path / "one" / "newer" / "nbgrader_config.py").read_text(encoding="utf-8")
    init(tmp_path / "two", ["03"])
    assert "'/elsewhere/python'" in (tmp_path / "two" / "nbgrader_config.py").read_text(encoding="utf-8")


def test_a_course_of_which_nothing_was_noted_counts_as_edited(tmp_path):
    init(tmp_path, ["03"])
    (tmp_path / ".kd_lab" / ".kd_lab.json").unlink()
    (tmp_path / "README.md").write_bytes("Übungen\n".encode("cp1252"))
    said = init(tmp_path, ["03"])
    assert [line for line in said if "as you left it" in line] == [
        "README.md is as you left it; a newer edition is in newer/README.md"
    ]
    assert (tmp_path / "README.md").read_bytes() == "Übungen\n".encode("cp1252")


def test_all_lessons_by_default(tmp_path):
    init(tmp_path)
    for lesson in lessons_of():
        notebook = nbformat.read(tmp_path / "source" / lesson.number / lesson.notebook.name, as_version=4)
        nbformat.validate(notebook)


MADE = [  # by nbgrader, its teacher and us: names, grades, solutions
    *("submitted/ada/03/03_which_kl.ipynb", "autograded/ada/03/03_which_kl.ipynb", "feedback/ada/03/03_which_kl.html"),
    *("downloaded/03/archive/ada.zip", "solution/03/03_which_kl.ipynb", "gradebook.db", "gradebook.db.2026-11-30"),
    *("grades.csv", "students.csv", "report.html", ".nbgrader.log", "newer/source/03/x.ipynb", "newer-2/README.md"),
    *(".kd_lab/secret", "source/03/.ipynb_checkpoints/03_which_kl-checkpoint.ipynb"),
]


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_adds_no_name_no_grade_and_no_newer_solution(tmp_path):
    init(tmp_path, ["03"])
    for name in MADE:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    git = partial(subprocess.run, cwd=tmp_path, check=True, capture_output=True, text=True)
    git(["git", "init", "-q"])
    git(["git", "add", "-A"])
    added = git(["git", "ls-files"]).stdout.split()
    assert added == [".gitignore", "README.md", "nbgrader_config.py", NAME]


def lessons_in(folder):
    return {file.name for file in (folder / "source").iterdir()}


def test_without_numbers_a_course_is_renewed_in_the_lessons_that_it_has(tmp_path, monkeypatch):
    init(tmp_path, ["03"])
    (tmp_path / "source" / "our_own").mkdir()
    monkeypatch.setattr(course, "assignment_of", newer_assignment_of)
    lines = init(tmp_path)
    assert f"{NAME} is now the newer edition; you had not edited it" in lines
    assert "lessons 03: sources with solutions under source/" in lines
    assert lessons_in(tmp_path) == {"03", "our_own"}
    init(tmp_path, ["03b"])
    assert lessons_in(tmp_path) == {"03", "03b", "our_own"}


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(ValueError, match="there is no lesson 55; expected some of 00"):
        init(tmp_path, ["55"])
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="name another folder"):
        init(tmp_path / "file", ["03"])
