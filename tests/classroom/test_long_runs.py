import json

import pytest

from kd_lab.classroom.long_runs import keep, resumed, write

HEAD = {"command": "x", "date": "2026-01-01"}


def test_an_interrupted_command_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "runs.partial"
    assert resumed(path, HEAD) == []
    for run in ({"τ": 1}, [{"seed": 2}]):
        keep(path, run)
    with path.open("a") as file:
        file.write('{"seed": 3')  # cut off
    for date in ("2026-01-02", "2026-01-03"):  # the cut line is gone at the second time
        assert resumed(path, HEAD | {"date": date}) == [{"τ": 1}, [{"seed": 2}]]


def test_runs_of_other_settings_are_refused(tmp_path):
    resumed(tmp_path / "runs.partial", HEAD)
    with pytest.raises(ValueError, match="delete the file to begin anew"):
        resumed(tmp_path / "runs.partial", HEAD | {"command": "y"})


def test_all_runs_are_one_file_with_a_line_for_each(tmp_path):
    write(tmp_path / "runs.json", HEAD, [{"τ": 1}, {"τ": 2}])
    text = (tmp_path / "runs.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"about": HEAD, "runs": [{"τ": 1}, {"τ": 2}]}
    assert '\n{"τ": 1},\n' in text
