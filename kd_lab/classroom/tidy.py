"""An executed notebook made fit to keep: nothing in it that differs from run to run or shows broken in a saved page."""

import re

import nbformat
from nbformat import NotebookNode

from kd_lab.classroom.lesson import METADATA, tags

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
WIDGET_LINE = "Run this cell to use the sliders."
PROGRESS = re.compile(r"\d+%\||\dit/s|\ds/it|\d+it \[")
"""The marks of a progress bar, in its text or in the repr of its widget."""


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Drop from an executed notebook what differs from run to run or shows broken in a saved page."""
    notebook.metadata = nbformat.from_dict(METADATA)
    count = 0
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(
            {key: cell.metadata[key] for key in ("tags", "nbgrader") if key in cell.metadata}
        )
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        cell.outputs = joined([output for output in map(tidy_output, cell.outputs) if output is not None])
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = count
    return notebook


def tidy_output(output: NotebookNode) -> NotebookNode | None:
    """One output as it is kept; None for progress bars and cleared outputs."""
    if output.output_type == "stream" and output.name == "stderr":
        lines = re.split(r"(?<=[\r\n])", plain(output.text))
        output.text = "".join(line for line in lines if line.strip() and not PROGRESS.search(line))
        return output if output.text else None
    if "data" in output:
        output.metadata = nbformat.from_dict({})
        if WIDGET_VIEW in output.data:
            said = output.data.get("text/plain", "")
            if PROGRESS.search(said):
                return None
            del output.data[WIDGET_VIEW]
            if not said or re.match(r"\w+\(", said):  # the repr of a widget tells a reader nothing
                output.data["text/plain"] = WIDGET_LINE
    return output


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of one stream as one: how a kernel cuts its stream depends on the clock."""
    result: list[NotebookNode] = []
    for output in outputs:
        last = result[-1] if result else None
        if last is not None and output.output_type == "stream" == last.output_type and output.name == last.name:
            last.text += output.text
        else:
            result.append(output)
    for output in result:
        if output.output_type == "stream":  # a carriage return begins the line anew, as it does on a terminal
            output.text = re.sub(r"[^\n]*\r(?=[^\n])", "", plain(output.text).replace("\r\n", "\n"))
    return result


def keep_timings(new: NotebookNode, old: NotebookNode) -> None:
    """Give cells that measure time their old outputs back, as long as they read as they did."""
    outputs = {cell.id: cell.outputs for cell in old.cells if cell.cell_type == "code"}
    for cell in new.cells:
        if "timing" in tags(cell) and cell.id in outputs:
            cell.outputs = outputs[cell.id]
            for output in cell.outputs:
                if output.output_type == "execute_result":
                    output.execution_count = cell.execution_count


def plain(text: str) -> str:
    """Text without the colour codes of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
