"""The table of claims, read from built notebooks."""

from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from kd_lab.classroom.claim import CLAIM_MIME, Claim
from kd_lab.classroom.claims import claims_in, main, table


def test_claims_are_read_back_from_a_notebooks_outputs():
    held = Claim("C00b", "Exact.", (1e-9,), "nats", True)
    output = new_output("display_data", data={CLAIM_MIME: held.to_json(), "text/plain": "…"})
    notebook = new_notebook(cells=[new_markdown_cell("text"), new_code_cell("1", outputs=[output])])
    assert claims_in(notebook) == [held]
    assert "NO" in table([("00", Claim("C00b", "Exact.", (1.0,), "nats", False))])


def test_a_lesson_that_was_not_built_is_named(tmp_path, capsys):
    (tmp_path / "kd_lab" / "lessons" / "l42_unbuilt").mkdir(parents=True)
    (tmp_path / "lessons").mkdir()
    assert main(["--root", str(tmp_path)]) == 1
    assert "build 42" in capsys.readouterr().err


def test_outside_a_checkout_it_says_so(tmp_path, capsys):
    assert main(["--root", str(tmp_path)]) == 1
    assert "notebooks are built and read in a checkout" in capsys.readouterr().err
