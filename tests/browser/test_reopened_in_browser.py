"""A notebook opened again after its kernel has ended: no dead widget without a word about what to run."""

import nbformat
import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

CELLS = ['from kd_lab.classroom import predict, setup\nseed = setup("03")', 'predict("03.c")']
SAID = "(node) => getComputedStyle(node, '::after').content"


def test_a_dead_widget_says_what_to_run(lab, window):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), lab.root / "reopened.ipynb")
    first = window("reopened.ipynb")
    first.run_all()
    expect(first.page.get_by_role("button", name="Commit to this answer")).to_be_visible()
    first.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    first.shut_down()

    second = window("reopened.ipynb")
    widget = second.page.locator(".jp-OutputArea-output.jupyter-widgets")
    expect(widget).to_contain_text("not found")
    assert "Run the notebook up to this cell" in widget.evaluate(SAID)
    second.shut_down()
