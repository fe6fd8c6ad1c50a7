"""Runs that take longer than a lesson may: kept one by one while they are made, then stored in one file.

A command that is interrupted goes on where it stopped, as long as its settings and versions are the same.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm


def resumed(path: Path, head: Mapping[str, Any]) -> list[Any]:
    """The runs of an interrupted command, if there was one; else `path` is begun with `head`.

    Args:
        path: a line for the head, then one for each run that `keep` added.
        head: the settings and versions of all runs, and the `date`, which may differ.

    Raises:
        ValueError: they were made with other settings.
    """
    if not path.exists():
        path.write_text(json.dumps(head) + "\n", encoding="utf-8")
        return []
    first, *rest = path.read_text(encoding="utf-8").splitlines()
    if {**json.loads(first), "date": head["date"]} != head:
        raise ValueError(
            f"{path} holds runs of an interrupted command with other settings or versions than this one; "
            "expected the same, so that all runs can be compared: delete the file to begin anew"
        )
    whole = [line for line in rest if line.endswith(("}", "]"))]  # the last may have been cut off while it was written
    path.write_text("\n".join([first, *whole]) + "\n", encoding="utf-8")
    return [json.loads(line) for line in whole]


def keep(path: Path, run: Any) -> None:
    """Add one run to the file that `resumed` began."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(run, ensure_ascii=False) + "\n")


def write(path: Path, head: Mapping[str, Any], runs: Sequence[Any]) -> None:
    """One file, a line for each run."""
    lines = ",\n".join(json.dumps(run, ensure_ascii=False) for run in runs)
    path.write_text(f'{{"about": {json.dumps(head, indent=1)},\n"runs": [\n{lines}\n]}}\n', encoding="utf-8")


def complete(
    output: Path,
    head: Mapping[str, Any],
    missing: Callable[[list[Any]], Iterable[Any]],
    run: Callable[[Any], Any],
    *,
    name: Callable[[Any], str] = str,
    save: Callable[[Path, Any, Any], None] = write,
) -> None:
    """Make the runs that an interrupted command has left, one by one and with a bar, and store all of them.

    Args:
        output: the file of all runs; those of an interrupted command are beside it, until all are there.
        head: what made them, as in `resumed`.
        missing: from the runs that are there to the cells that are not, in the order in which they are made.
        run: from a cell to its run, as JSON.
        name: what the bar calls a cell.
        save: writes the file, as `write` does.

    Raises:
        ValueError: as `resumed`.
    """
    partial = output.with_suffix(".partial")
    runs = resumed(partial, head)
    left = list(missing(runs))
    with tqdm(left, desc="runs", total=len(left) + len(runs), initial=len(runs)) as bar:
        for cell in left:
            bar.set_postfix_str(name(cell))
            runs.append(run(cell))
            keep(partial, runs[-1])
            bar.update()
    save(output, head, runs)
    partial.unlink()
    print(f"{len(runs)} runs in {output}")
