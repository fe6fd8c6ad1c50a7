"""`kd-lab class …`."""

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from kd_lab.__main__ import main


def test_help_is_the_teachers_page(capsys):
    with pytest.raises(SystemExit):
        main(["class", "--help"])
    out = capsys.readouterr().out
    for line in ("kd-lab class init COURSE", "kd-lab class package DIR", "kd-lab class report SUBMITTED"):
        assert line in out


def test_commands_print_what_they_did(tmp_path, capsys):
    assert main(["class", "init", str(tmp_path / "course"), "03"]) == 0
    assert main(["class", "hub", "03", "--students", "12"]) == 0
    out = capsys.readouterr().out
    assert "The course is in" in out
    assert "12 students at once" in out


def test_a_wrong_folder_is_said_in_one_line(tmp_path, capsys):
    assert main(["class", "report", str(tmp_path)]) == 1
    assert "holds no submission" in capsys.readouterr().err
    assert main(["class", "grade", str(tmp_path)]) == 1
    assert "holds no course" in capsys.readouterr().err


@pytest.mark.skipif(find_spec("triton") is None, reason="Triton has wheels for Linux alone")
def test_a_teacher_without_a_gpu_has_the_answers_of_kernels_recorded(tmp_path):
    """A shell knows nothing of TRITON_INTERPRET, without which a kernel asks for a GPU."""
    code = f"""
from functools import partial
from kd_lab.__main__ import main
from kd_lab.teaching import package
package.strip = partial(package.strip, record=["04"])
raise SystemExit(main(["class", "package", {str(tmp_path)!r}]))
"""
    plain = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=plain, check=False)
    assert done.returncode == 0, done.stderr[-500:]
    assert done.stdout.strip().endswith(".whl")
