"""Runs that take longer than a lesson may: kept one by one while they are made, then stored in one file.

A command that is interrupted goes on where it stopped, as long as its settings and versions are the same.
"""

import contextlib
import json
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from kd_lab.models.files import write_file
from kd_lab.models.saved import uninterrupted


def made() -> dict[str, str]:
    """When and with what something is made: the day and the versions."""
    return {"date": date.today().isoformat(), "python": platform.python_version(), "torch": torch.__version__}


def head(command: str, **settings: Any) -> dict[str, Any]:
    """The head of a stored file: the command that makes it, the day, the versions, and the settings of all runs.

    Args:
        command: as it is typed.
        settings: whatever the runs depend on and JSON can hold. They come back as a file gives them, with lists for
            tuples and strings for keys, so that `resumed` compares like with like.

    Raises:
        TypeError: JSON cannot hold a setting.

    >>> about = head("python -m mine", seeds=(0, 1))
    >>> list(about), about["seeds"]
    (['command', 'date', 'python', 'torch', 'seeds'], [0, 1])
    """
    return {"command": command, **made(), **json.loads(json.dumps(settings))}


def resumed(path: Path, head: Mapping[str, Any]) -> list[Any]:
    """The runs of an interrupted command, if there was one; else `path` is begun with `head`.

    Args:
        path: a line for the head, then one for each run that `keep` added.
        head: the settings and versions of all runs, and the `date`, which may differ.

    Raises:
        ValueError: they were made with other settings, or a line is damaged.
    """
    if not path.exists():
        _write_lines(path, [head])
        return []
    begun, pieces = pieces_in(path)
    if {**begun, "date": head["date"]} != head:
        raise ValueError(
            f"{path} holds runs of an interrupted command with other settings or versions than this one; "
            "expected the same, so that all runs can be compared: delete the file to begin anew"
        )
    _write_lines(path, [begun, *pieces])
    return pieces


def pieces_in(path: Path) -> tuple[dict[str, Any], list[Any]]:
    """The head of a file that `resumed` began, and its runs; reads only, also while the command is at work.

    The last line may have been cut off while it was written, and is left out then.

    Raises:
        ValueError: another line is damaged.
    """
    *lines, cut = path.read_bytes().split(b"\n")  # a text may hold what `splitlines` would take for the end of a line
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(json.loads(line))
        except ValueError as error:
            raise ValueError(
                f"line {number} of {path} is no JSON: {error}; expected a run on each line: fix or delete that line, "
                "or delete the file to begin anew"
            ) from error
    with contextlib.suppress(ValueError):
        found += [one for one in [json.loads(cut)] if isinstance(one, dict | list)]  # whole but for the end of its line
    if not found or not isinstance(found[0], dict):
        raise ValueError(f"{path} begins with no settings; expected a file of runs: delete it to begin anew")
    return found[0], found[1:]


def _write_lines(path: Path, pieces: Sequence[Any]) -> None:
    """A line for each piece, all at once: for hours this is the only copy of the runs."""
    write_file(path, "".join(f"{_line(piece)}\n" for piece in pieces).encode())


def keep(path: Path, run: Any) -> None:
    """Add one run to the file that `resumed` began."""
    with path.open("a", encoding="utf-8") as file:
        file.write(_line(run) + "\n")


def write(path: Path, head: Mapping[str, Any], runs: Sequence[Any] | Mapping[str, Any], **between: Any) -> None:
    """One file: the head, what stands `between`, and a line for each run, with its key where the runs are a mapping."""
    if isinstance(runs, Mapping):
        (begin, end), lines = "{}", [f"{json.dumps(key)}: {_line(run)}" for key, run in runs.items()]
    else:
        (begin, end), lines = "[]", [_line(run) for run in runs]
    about = {"about": json.dumps(head, indent=1)} | {name: json.dumps(value) for name, value in between.items()}
    above = "".join(f"{json.dumps(name)}: {text},\n" for name, text in about.items())
    text = ",\n".join(lines)
    write_file(path, f'{{{above}"runs": {begin}\n{text}\n{end}}}\n'.encode())


def _line(run: Any) -> str:
    return json.dumps(run, ensure_ascii=False)


def complete(
    output: Path,
    head: Mapping[str, Any],
    missing: Callable[[Any], Iterable[Any]],
    run: Callable[[Any], Any],
    *,
    name: Callable[[Any], str] = str,
    joined: Callable[[list[Any]], Any] = list,
    save: Callable[[Path, Any, Any], None] = write,
) -> None:
    """Make the runs that an interrupted command has left, piece by piece and with a bar, and store all of them.

    A piece is usually one run. It may also be a mapping of runs, or a list of them: `joined` makes one of all pieces.

    Args:
        output: the file of all runs; the pieces of an interrupted command are beside it, until all are there.
        head: what made them, as in `resumed`.
        missing: from the runs that are there to the cells that are not, in the order in which they are made.
        run: from a cell to its piece, as JSON.
        name: what the bar calls a cell.
        joined: from the pieces, in the order in which they were made, to the runs.
        save: writes the file, as `write` does.

    Raises:
        ValueError: as `resumed`.
    """
    partial = output.with_suffix(".partial")
    pieces = resumed(partial, head)
    left = list(missing(joined(pieces)))
    with tqdm(left, desc="runs", total=len(left) + len(pieces), initial=len(pieces)) as bar:
        for cell in left:
            bar.set_postfix_str(name(cell))
            with uninterrupted():
                pieces.append(run(cell))
            keep(partial, pieces[-1])
            bar.update()
    runs = joined(pieces)
    save(output, head, runs)
    partial.unlink()
    print(f"{len(runs)} runs in {output}")
