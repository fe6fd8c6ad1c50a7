"""What is printed reaches a file in any encoding."""

import io
import sys

import pytest

from kd_lab.classroom.terminal import print_in_any_encoding

SAID = "τ², λ of 0.5, “é”"


@pytest.mark.parametrize(
    ("encoding", "printed"), [("cp1252", "?², ? of 0.5, “é”"), ("ascii", "??, ? of 0.5, ???"), ("utf-8", SAID)]
)
def test_letters_that_an_encoding_lacks_become_question_marks(encoding, printed, monkeypatch):
    """cp1252 is what a redirected output has on a Windows of Western Europe."""
    file = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(file, encoding=encoding))
    print_in_any_encoding()
    print(SAID, flush=True)
    assert file.getvalue().decode(encoding).strip() == printed


@pytest.mark.parametrize("output", [None, io.StringIO()])
def test_an_output_without_an_encoding_stays_as_it_is(output, monkeypatch):
    """A process without a console has none; a notebook has an object of its own."""
    monkeypatch.setattr(sys, "stdout", output)
    print_in_any_encoding()
    assert sys.stdout is output
