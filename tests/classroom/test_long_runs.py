import json
import os
import signal
from contextlib import nullcontext, suppress
from pathlib import Path

import pytest

from kd_lab.classroom.long_runs import complete, head, keep, resumed, write

HEAD = {"command": "x", "date": "2026-01-01"}


def test_an_interrupted_command_goes_on_where_it_stopped(tmp_path):
    path = tmp_path / "runs.partial"
    assert resumed(path, HEAD) == []
    for run in ({"τ": 1}, [{"seed": 2}]):
        keep(path, run)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"seed": 3')  # cut off
    for date in ("2026-01-02", "2026-01-03"):  # the cut line is gone at the second time
        assert resumed(path, HEAD | {"date": date}) == [{"τ": 1}, [{"seed": 2}]]


@pytest.mark.parametrize("cut", [b'{"seed": 3', b'"tex', b"12", '"τ'.encode()[:-1]], ids=repr)
def test_every_whole_piece_comes_back_whatever_it_is(tmp_path, cut):
    """Three signs of Unicode end a line for str.splitlines, and a number ends in no bracket."""
    path, pieces = tmp_path / "runs.partial", [{"text": "a\u2028b\u2029c\x85d\x0be"}, 7, "eight", None, [9], "\n"]
    resumed(path, HEAD)
    for piece in pieces:
        keep(path, piece)
    with path.open("ab") as file:
        file.write(cut)
    for _ in range(2):
        assert resumed(path, HEAD) == pieces


def test_a_piece_that_is_damaged_in_the_middle_is_named_and_nothing_is_written(tmp_path):
    path = tmp_path / "runs.partial"
    resumed(path, HEAD)
    with path.open("a", encoding="utf-8") as file:
        file.write('{"a": 1}\n{"b": \n{"c": 3}\n')
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"line 3 of .*runs\.partial is no JSON.*delete"):
        resumed(path, HEAD)
    assert path.read_bytes() == before


def test_a_resumed_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    """It is the only copy of hours of runs."""
    path = tmp_path / "runs.partial"
    resumed(path, HEAD)
    keep(path, {"a": 1})
    before = path.read_bytes()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        patch.setattr(Path, "write_text", lambda self, text, encoding: (self.write_bytes(b""), full()))
        for again in (lambda: resumed(path, HEAD), lambda: write(path, HEAD, [])):
            with pytest.raises(OSError, match="No space"):
                again()
            assert path.read_bytes() == before


def test_runs_of_other_settings_are_refused(tmp_path):
    resumed(tmp_path / "runs.partial", HEAD)
    with pytest.raises(ValueError, match="delete the file to begin anew"):
        resumed(tmp_path / "runs.partial", HEAD | {"command": "y"})


def test_all_runs_are_one_file_with_a_line_for_each(tmp_path):
    write(tmp_path / "runs.json", HEAD, [{"τ": 1}, {"τ": 2}])
    text = (tmp_path / "runs.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"about": HEAD, "runs": [{"τ": 1}, {"τ": 2}]}
    assert '\n{"τ": 1},\n' in text


def test_a_mapping_keeps_its_keys_and_what_stands_between_is_before_it(tmp_path):
    write(tmp_path / "runs.json", HEAD, {"b/0": [1], "a/0": {"τ": 2}}, problems=["x"])
    text = (tmp_path / "runs.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"about": HEAD, "problems": ["x"], "runs": {"b/0": [1], "a/0": {"τ": 2}}}
    assert text.endswith('"runs": {\n"b/0": [1],\n"a/0": {"τ": 2}\n}}\n')


def test_a_head_is_equal_to_itself_when_it_was_stored(tmp_path):
    """Tuples and numbers as keys come back as lists and strings: an interrupted command would be refused."""
    made = head("x", sizes={8: (1, 2)})
    assert made["sizes"] == {"8": [1, 2]}
    assert list(made) == ["command", "date", "python", "torch", "sizes"]
    for _ in range(2):
        assert resumed(tmp_path / "runs.partial", made) == []


@pytest.mark.parametrize("catches", [False, True])
def test_what_an_interrupt_left_is_made_and_nothing_twice(tmp_path, capsys, catches):
    """Also where a run catches Ctrl-C and returns what it has, as one does that calls `distill`."""
    output, made, interrupts = tmp_path / "runs.json", [], [3]

    def missing(runs):
        return [cell for cell in (1, 2, 3) if {"cell": cell} not in runs]

    def run(cell):
        if cell in interrupts:
            interrupts.remove(cell)
            with suppress(KeyboardInterrupt) if catches else nullcontext():
                signal.raise_signal(signal.SIGINT)
            return {"cell": "half"}
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


@pytest.mark.parametrize(
    ("piece", "joined", "wanted"),
    [
        (lambda cell: {f"a/{cell}": cell}, lambda pieces: {k: v for one in pieces for k, v in one.items()},
         {"a/1": 1, "a/2": 2}),
        (lambda cell: [cell, -cell], lambda pieces: [run for one in pieces for run in one], [1, -1, 2, -2]),
    ],
)  # fmt: skip
def test_pieces_may_be_mappings_or_lists_of_runs(tmp_path, capsys, piece, joined, wanted):
    """What is missing is asked of the runs and not of the pieces, also after an interrupt."""
    output, asked = tmp_path / "runs.json", []
    resumed(output.with_suffix(".partial"), HEAD)
    keep(output.with_suffix(".partial"), piece(1))

    def missing(runs):
        asked.append(runs)
        return [2]

    complete(output, HEAD, missing, piece, joined=joined)
    assert asked == [joined([piece(1)])]
    assert json.loads(output.read_text(encoding="utf-8"))["runs"] == wanted
    assert f"{len(wanted)} runs" in capsys.readouterr().out
