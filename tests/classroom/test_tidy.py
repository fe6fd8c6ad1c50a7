"""A saved notebook holds no bars, no dead widgets and nothing that depends on the clock."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from kd_lab.classroom.lesson import METADATA
from kd_lab.classroom.tidy import WIDGET_LINE, WIDGET_VIEW, joined, keep_timings, tidy, tidy_output


def test_pieces_of_one_stream_are_joined_and_returns_obeyed():
    def stream(text, name="stdout"):
        return nbformat.v4.new_output("stream", name=name, text=text)

    pieces = joined([stream("a"), stream("b"), stream("c", "stderr"), stream("d")])
    assert [piece.text for piece in pieces] == ["ab", "c", "d"]
    assert joined([stream("1\r2\r"), stream("3\n")])[0].text == "3\n"
    assert joined([stream("ends\r\n")])[0].text == "ends\n"
    assert tidy_output(stream("\r 10%|#   | 1/10\r 20%|##  | 2/10\n", "stderr")) is None
    assert tidy_output(stream("a warning\n\r 10%|#   | 1/10", "stderr")).text == "a warning\n"


def test_widgets_become_a_line_and_bars_nothing():
    explorer = {WIDGET_VIEW: {"model_id": "1"}, "text/plain": "Explorer “τ”: run this cell to move it."}
    slider = {WIDGET_VIEW: {"model_id": "2"}, "text/plain": "IntSlider(value=0)"}
    bar = {WIDGET_VIEW: {"model_id": "3"}, "text/plain": "  0%|          | 0/3"}
    kept = [tidy_output(new_output("display_data", data=data)) for data in (explorer, slider, bar)]
    assert [output and output.data for output in kept] == [
        {"text/plain": explorer["text/plain"]},
        {"text/plain": WIDGET_LINE},
        None,
    ]


def notebook(seconds):
    timed = new_code_cell("clock()", metadata={"tags": ["timing"], "trusted": True}, execution_count=7, id="timed")
    timed.outputs = [new_output("execute_result", data={"text/plain": seconds}, execution_count=7)]
    return new_notebook(cells=[new_markdown_cell("text", id="text"), timed], metadata={"widgets": {}})


def test_metadata_counts_and_old_timings():
    tidied = tidy(notebook("2.0"))
    keep_timings(tidied, tidy(notebook("1.0")))
    cell = tidied.cells[1]
    assert tidied.metadata == nbformat.from_dict(METADATA)
    assert cell.metadata == {"tags": ["timing"]}
    assert cell.execution_count == cell.outputs[0].execution_count == 1
    assert cell.outputs[0].data["text/plain"] == "1.0"
