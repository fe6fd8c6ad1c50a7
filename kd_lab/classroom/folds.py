"""Saved outputs that would answer a prediction, folded away until a reader has made it."""

import re

from nbformat import NotebookNode

ASKED = re.compile(r"^predict\(\s*[\"']([^\"']+)", re.MULTILINE)
SHOWN = re.compile(r"^reveal\(\s*[\"']([^\"']+)", re.MULTILINE)


def fold_answers(cells: list[NotebookNode]) -> None:
    """Fold the outputs from a `predict` to its `reveal`, and those that follow it without a word between.

    JupyterLab shows three dots in their place, and opens them with a click, or when their cell runs. Exercises stay
    open, whose output says only whether they are solved, and so do the questions themselves.

    Args:
        cells: of a notebook; the metadata of some is changed.
    """
    asked: set[str] = set()
    answered = False  # whether what comes now still belongs to the last reveal
    for cell in cells:
        if cell.cell_type == "markdown":
            answered = False
            continue
        questions, shown = set(ASKED.findall(cell.source)), set(SHOWN.findall(cell.source))
        stays_open = re.search(r"^@exercise\(", cell.source, re.MULTILINE) or (questions and not shown)
        if (asked or answered) and not stays_open:
            cell.metadata["jupyter"] = cell.metadata.get("jupyter", {}) | {"outputs_hidden": True}
        answered = answered or bool(shown)
        asked = (asked | questions) - shown
