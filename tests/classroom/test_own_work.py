"""Notes that someone wrote into a built notebook are seen, and no build goes over them."""

import nbformat
import pytest
from lesson_folder import forget_lesson, write_lesson
from nbformat.v4 import new_code_cell, new_markdown_cell

from kd_lab.classroom import build as builder
from kd_lab.classroom.build import BuildError, build, main
from kd_lab.classroom.lesson import edition_of, find_lessons, with_card
from kd_lab.classroom.own_work import answered_exercises, is_open, own_cells

COST = {"seconds": 41.4, "memory_mib": 820, "cores": 2}


@pytest.fixture
def lesson(tmp_path):
    """A lesson whose notebook lies there as a build leaves it, but for the outputs."""
    (found,) = find_lessons(write_lesson(tmp_path))
    nbformat.write(with_card(edition_of(found, "unsolved"), COST), found.notebook)
    yield found
    forget_lesson(tmp_path)


def change(lesson, edit):
    notebook = nbformat.read(lesson.notebook, as_version=4)
    edit(notebook.cells)
    nbformat.write(notebook, lesson.notebook)


def note(cells):
    cells.insert(3, new_markdown_cell("My note: a sum would do.\nAnd more."))


def appended(cells):
    cells.append(new_code_cell("double(7)  # tried"))


def changed(cells):
    cells[0].source += "\nIn my words: twice."


def marked(cells):
    (cell,) = [cell for cell in cells if "@exercise" in cell.source]
    cell.source = cell.source.replace("...", "# how?\n    ...")


def run(cells):
    """What a kernel, and JupyterLab with its last cell, leave without anyone's writing a word."""
    cells[2].outputs = [nbformat.v4.new_output("stream", text="ran")]
    cells[2].metadata["collapsed"] = True
    cells.append(new_code_cell(""))


@pytest.mark.parametrize(
    ("edit", "begins"),
    [
        (note, "My note: a sum would do."),
        (appended, "double(7)  # tried"),
        (changed, "# 97 · Doubling"),
        (marked, '@exercise("97.1")'),
    ],
)
def test_a_notebook_with_notes_is_refused_before_anything_runs(lesson, tmp_path, capsys, edit, begins):
    change(lesson, edit)
    before = lesson.notebook.read_bytes()
    assert own_cells(lesson) == [begins]
    assert answered_exercises(lesson) == []
    assert main(["--root", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "holds 1 cell that no build wrote" in said
    assert f"work/{lesson.name} (mine).ipynb" in said
    assert lesson.notebook.read_bytes() == before


def test_with_force_a_build_goes_over_notes(lesson, monkeypatch):
    def reached(*_):
        raise BuildError("it runs")

    change(lesson, note)
    monkeypatch.setattr(builder, "execute", reached)
    with pytest.raises(BuildError, match="it runs"):
        build(lesson, force=True)


def test_what_a_build_left_and_a_kernel_ran_holds_nobodys_work(lesson):
    assert own_cells(lesson) == []
    change(lesson, run)
    assert own_cells(lesson) == []
    text = lesson.source.read_text(encoding="utf-8").replace("You will double numbers.", "You will double all numbers.")
    lesson.source.write_text(text, encoding="utf-8")
    assert own_cells(lesson) == []  # an edition that is newer than the notebook


@pytest.mark.parametrize("stored", find_lessons(), ids=lambda one: one.number)
def test_the_stored_notebooks_hold_nobodys_work(stored):
    assert own_cells(stored) == []


@pytest.mark.parametrize(
    ("body", "still_open"),
    [
        ("...", True),
        ('"""A docstring."""\n    ...', True),
        ("y = ...\n    return y", True),
        ("return x", False),
        ("return x.gather(-1, ids[..., None])", False),  # dots that index are no line to be written
        ("def rows(y: Callable[..., float]): ...\n    return x", False),
        ("y = 2 * x\n    ...", False),  # somebody's lines above dots that were left
        ("return (", False),
    ],
)
def test_an_open_exercise_holds_its_dots(body, still_open):
    assert is_open(f'@exercise("97.1")\ndef f(x):\n    {body}') is still_open
