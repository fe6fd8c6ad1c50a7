"""`python -m kd_lab` and `kd-lab`."""

import json
import os
import subprocess
import sys
from importlib import metadata

import pytest

from kd_lab.__main__ import main
from kd_lab.classroom.handed_in import ANSWERS_MIME


@pytest.fixture(autouse=True)
def own_places(monkeypatch, tmp_path):
    monkeypatch.setenv("KD_LAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    monkeypatch.setenv("KD_LAB_PROGRESS", str(tmp_path / "progress.json"))


def test_without_a_command_it_shows_the_course(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "02 · Word-level" in out
    assert "lessons copy DIR" in out


def test_progress_and_cache(capsys):
    assert main(["progress"]) == 0
    assert main(["cache"]) == 0
    assert main(["cache", "--clear"]) == 0
    progress, cache, cleared = capsys.readouterr().out.splitlines()
    assert progress == "nothing answered yet"
    assert "cache --clear removes them" in cache
    assert cleared.endswith("removed")


def test_lessons_are_copied(tmp_path, capsys):
    assert main(["lessons", "copy", str(tmp_path / "mine")]) == 0
    assert (tmp_path / "mine" / "00_the_map.ipynb").exists()
    assert str(tmp_path / "mine") in capsys.readouterr().out


def test_a_wrong_lesson_is_said_in_one_line(capsys):
    assert main(["lab", "55"]) == 1
    assert capsys.readouterr().err.startswith("there is no lesson '55'")


def test_a_port_that_was_taken_for_a_lesson_is_explained(capsys):
    assert main(["lab", "--port", "8889"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("there is no lesson '8889'")
    assert said.endswith("as in --port=8889\n")


def test_an_unknown_option_is_refused_where_no_jupyterlab_takes_it(capsys):
    with pytest.raises(SystemExit):
        main(["cache", "--all"])
    assert "unknown: --all" in capsys.readouterr().err


def test_without_the_course_it_says_what_to_install():
    hide = "import sys; sys.modules.update(dict.fromkeys(['ipywidgets', 'IPython', 'nbformat']))"
    code = f"{hide}; from kd_lab.__main__ import main; sys.exit(main([]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "extra [course]" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_redirected_table_is_whole_where_the_encoding_has_no_greek(tmp_path):
    """On Windows what a command writes to a file is in a code page."""
    mistakes = {"lesson": "01", "answers": {}, "mistakes": {"01.1": ["no τ²"]}}
    output = {"output_type": "display_data", "data": {ANSWERS_MIME: mistakes}}
    file = tmp_path / "ada" / "01" / "01_what.ipynb"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"cells": [{"outputs": [output]}]}), encoding="utf-8")
    command = [sys.executable, "-m", "kd_lab", "class", "report", str(tmp_path), "--out", str(tmp_path / "page.html")]
    own = os.environ | {"PYTHONIOENCODING": "cp1252"}
    done = subprocess.run(command, capture_output=True, env=own, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert "1 × no ?²" in done.stdout.decode("cp1252")


def test_the_script_is_this_function():
    """In an installation from before there was one, there is none."""
    scripts = metadata.entry_points(group="console_scripts", name="kd-lab")
    assert {script.value for script in scripts} <= {"kd_lab.__main__:main"}
