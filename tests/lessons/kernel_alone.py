"""A notebook in a kernel without JupyterLab and browser, driven by the same calls as `lab_driver.Notebook`."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import nbformat

from kd_lab.classroom.kernel import kernel_of


class KernelAlone:
    """One notebook and its kernel.

    Args:
        path: the notebook, whose folder is the kernel's.
        environment: of the kernel, beside this process's.
    """

    def __init__(self, path: Path, environment: Mapping[str, str]):
        self.notebook = nbformat.read(path, as_version=4)
        for cell in self.notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        self.open = ExitStack()
        kernel = kernel_of(self.notebook, path.parent, os.environ | dict(environment), timeout=None, allow_errors=True)
        self.client = self.open.enter_context(kernel)

    def run_all(self) -> None:
        """Run every cell; an error stops the run, as it does for a learner."""
        for index in range(len(self.notebook.cells)):
            self.run_cell(index)
            if any(output["output_type"] == "error" for output in self.outputs(index)):
                return

    def run_cell(self, index: int, source: str | None = None) -> None:
        """Run one cell, with new text where `source` is given."""
        if source is not None:
            self.notebook.cells[index].source = source
        self.client.execute_cell(self.notebook.cells[index], index)

    def cells(self) -> list[dict[str, Any]]:
        """The cells as they stand now."""
        return [nbformat.from_dict(cell) for cell in self.notebook.cells]

    def outputs(self, index: int) -> list[dict[str, Any]]:
        return self.notebook.cells[index].get("outputs", [])

    def shut_down(self) -> None:
        """End the kernel."""
        self.open.close()
