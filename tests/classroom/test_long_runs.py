import json

import pytest

from kd_lab.classroom.long_runs import complete, keep, resumed, write

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


def test_what_an_interrupt_left_is_made_and_nothing_twice(tmp_path, capsys):
    output, made, interrupts = tmp_path / "runs.json", [], [3]

    def missing(runs):
        return [cell for cell in (1, 2, 3) if {"cell": cell} not in runs]

    def run(cell):
        if cell in interrupts:
            interrupts.remove(cell)
            raise KeyboardInterrupt
        made.append(cell)
        return {"cell": cell}

    with pytest.raises(KeyboardInterrupt):
        complete(output, HEAD, missing, run)
    assert not output.exists()
    complete(output, HEAD, missing, run, name=lambda cell: f"cell {cell}")
    assert made == [1, 2, 3]
    assert json.loads(output.read_text(encoding="utf-8"))["runs"] == [{"cell": 1}, {"cell": 2}, {"cell": 3}]
    assert not output.with_suffix(".partial").exists()
    assert "3 runs" in capsys.readouterr().out
