"""The folder of a course: complete, renewed without loss, and with nothing that stops nbgrader."""

import ast
import os
import sys

import nbformat
import pytest

from kd_lab.classroom.lesson import lessons_of
from kd_lab.teaching.course import init


def test_a_course_has_sources_settings_and_a_secret_of_its_own(tmp_path):
    lines = init(tmp_path / "one", ["03"])
    init(tmp_path / "two", ["03"])
    assert "README.md" in lines[0]
    assert [file.name for file in (tmp_path / "one" / "source").iterdir()] == ["03"]
    assert not (tmp_path / "one" / "release").exists()  # where it was there, generate_assignment would skip it
    secrets = [(tmp_path / name / ".kd_lab" / "secret").read_text() for name in ("one", "two")]
    assert secrets[0] != secrets[1]
    assert len(secrets[0].strip()) == 64
    if os.name != "nt":
        assert (tmp_path / "one" / ".kd_lab" / "secret").stat().st_mode & 0o077 == 0
    assert ".kd_lab/" in (tmp_path / "one" / ".gitignore").read_text()


def test_the_settings_are_python_and_name_this_python(tmp_path):
    init(tmp_path / "it's a course", ["03"])
    text = (tmp_path / "it's a course" / "nbgrader_config.py").read_text()
    values = {ast.unparse(node.targets[0]): node.value for node in ast.parse(text).body if isinstance(node, ast.Assign)}
    assert ast.literal_eval(values["PYTHON"]) == sys.executable
    assert "$" not in text


def test_a_course_is_renewed_and_keeps_what_nbgrader_made(tmp_path):
    init(tmp_path, ["03"])
    secret = (tmp_path / ".kd_lab" / "secret").read_text()
    (tmp_path / "gradebook.db").write_text("grades")
    init(tmp_path, ["03b"])
    assert (tmp_path / ".kd_lab" / "secret").read_text() == secret
    assert (tmp_path / "gradebook.db").read_text() == "grades"
    assert {file.name for file in (tmp_path / "source").iterdir()} == {"03", "03b"}


def test_all_lessons_by_default(tmp_path):
    init(tmp_path)
    for lesson in lessons_of():
        notebook = nbformat.read(tmp_path / "source" / lesson.number / lesson.notebook.name, as_version=4)
        nbformat.validate(notebook)


def test_what_is_wrong_is_said(tmp_path):
    with pytest.raises(ValueError, match="there is no lesson 55; expected some of 00"):
        init(tmp_path, ["55"])
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="name another folder"):
        init(tmp_path / "file", ["03"])
