"""`kd-lab class …`."""

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
