"""The builder, from a tiny source to every edition."""

import json
import re
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from lesson_folder import SOURCE, forget_lesson, write_lesson

from kd_lab.classroom.build import BuildError, build, build_edition, execute, is_current, main, update_readme
from kd_lab.classroom.claims import claims_of
from kd_lab.classroom.exercise import EXERCISE_MIME
from kd_lab.classroom.lesson import edition_of, expected_line, find_lessons, halves, solution_fold, solved


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("course")
    yield write_lesson(root)
    forget_lesson(root)


@pytest.fixture(scope="module")
def lesson(folder):
    (found,) = find_lessons(folder)
    return found


@pytest.fixture(scope="module")
def built(lesson):
    build(lesson)
    return nbformat.read(lesson.notebook, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(cell):
    return ["".join([out.get("text", ""), out.get("data", {}).get("text/plain", "")]) for out in cell.outputs]


def test_the_notebook_runs_unsolved_to_its_last_cell(built, lesson):
    states = [
        out.data[EXERCISE_MIME]["state"]
        for c in code(built)
        for out in c.outputs
        if EXERCISE_MIME in out.get("data", {})
    ]
    assert states == ["not started"]
    (claim,) = claims_of(lesson)
    assert claim.id == "C97a"
    assert claim.values == (6.0,)
    assert claim.holds


def test_it_opens_without_a_dialog_and_counts_from_one(built):
    nbformat.validate(built)
    assert built.metadata.kernelspec.name == "python3"
    assert [cell.execution_count for cell in code(built)] == list(range(1, len(code(built)) + 1))
    assert len({cell.id for cell in built.cells}) == len(built.cells)


def test_what_was_measured_reaches_card_setup_and_readme(built, lesson, folder):
    entry = lesson.measured
    line = f"about {entry['seconds']:.0f} seconds"
    assert line in built.cells[1].source
    assert 20 < entry["memory_mib"] < 2048
    readme = folder / "README.md"
    readme.write_text("before\n<!-- lessons -->\nold\n<!-- /lessons -->\nafter\n", encoding="utf-8")
    update_readme(readme, [lesson])
    text = readme.read_text(encoding="utf-8")
    assert f"| [97 · Doubling](lessons/97_doubling.ipynb) | 5 min | 0 + 2 + 0 min | {entry['seconds']:.0f} s |" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text


def test_saved_outputs_hold_no_bars_and_no_dead_widgets(built):
    busy = code(built)[3]
    assert [out.output_type for out in busy.outputs] == ["stream", "stream", "execute_result"]
    assert texts(busy) == ["done\n", "a warning\n", "Run this cell to use the sliders."]
    assert "Is 2 · 3 six?\n  ○ yes\n  ○ no" in texts(code(built)[4])[0]
    assert "widget-view" not in json.dumps(built)


def test_building_again_changes_no_byte(built, lesson, folder):
    files = [lesson.notebook, lesson.folder / "measured.json"]
    before = [file.read_bytes() for file in files]
    assert main(["97", "--root", str(folder)]) == 0
    assert [file.read_bytes() for file in files] == before


def test_without_a_number_only_what_changed_is_built(built, lesson, folder, capsys):
    assert main(["--root", str(folder)]) == 0
    assert capsys.readouterr().out == f"{lesson.notebook}  is up to date\n"
    text = lesson.source.read_text(encoding="utf-8")
    try:
        lesson.source.write_text(
            text.replace("You will double numbers.", "You will double all numbers."), encoding="utf-8"
        )
        assert not is_current(lesson)
    finally:
        lesson.source.write_text(text, encoding="utf-8")
    assert is_current(lesson)


def test_a_notebook_with_answers_is_refused(built, lesson, folder, capsys):
    text = lesson.notebook.read_text(encoding="utf-8")
    solved_cell = code(built)[1].source.replace("...", "return 2 * x")
    notebook = nbformat.read(lesson.notebook, as_version=4)
    code(notebook)[1].source = solved_cell
    answered = nbformat.writes(notebook)
    try:
        lesson.notebook.write_text(answered, encoding="utf-8")
        assert main(["97", "--root", str(folder)]) == 1
        assert "holds answers to 97.1" in capsys.readouterr().err
        assert lesson.notebook.read_text(encoding="utf-8") == answered
    finally:
        lesson.notebook.write_text(text, encoding="utf-8")


def test_the_explained_solution_is_folded_into_the_unsolved_lesson(built):
    fold = next(cell.source for cell in built.cells if "Solution of 97.1" in cell.source)
    assert fold == solution_fold("97.1")
    assert "A product with $2$." in fold
    assert (
        "def double(x: float) -> float:\n    # Why not x + x: a product says what is meant.\n    twice = 2 * x" in fold
    )
    assert "Expected answer" not in json.dumps(built)


def test_the_solved_edition_solves(lesson, tmp_path):
    notebook = nbformat.read(build_edition(lesson, "solved", tmp_path), as_version=4)
    cell = code(notebook)[1]
    assert cell.outputs[0].data[EXERCISE_MIME]["state"] == "right"
    assert cell.source == (
        '@exercise("97.1")\ndef double(x):\n    """Twice x."""\n'
        "    # Why not x + x: a product says what is meant.\n    twice = 2 * x\n    return twice"
    )


def test_the_teachers_edition_has_times_mistakes_and_answers(lesson, tmp_path):
    text = json.dumps(nbformat.read(build_edition(lesson, "teacher", tmp_path), as_version=4), ensure_ascii=False)
    assert "| 97.1 · Double | ●○○ | 2 |" in text
    assert re.search(r"The cells run \d+ s in all", text)
    assert "*squared.* That is the square." in text
    assert "Expected answer: six." in text


def test_a_failing_cell_stops_the_build_with_its_place(tmp_path, capsys):
    folder = write_lesson(tmp_path, SOURCE.replace("print(time.perf_counter_ns())", "time.no_such_clock()"))
    try:
        (lesson,) = find_lessons(folder)
        with pytest.raises(BuildError, match=r"97_doubling \(unsolved\), cell 7:[\s\S]*no_such_clock"):
            build(lesson)
        assert not lesson.notebook.exists()
        assert lesson.measured is None
    finally:
        forget_lesson(tmp_path)


def test_a_kernel_that_does_not_start_is_said(lesson, tmp_path, monkeypatch):
    """Of forty kernels at once one died before it answered, and its error ended all the others."""

    def dead(*_, **__):
        raise RuntimeError("Kernel died before replying to kernel_info")

    monkeypatch.setattr("kd_lab.classroom.kernel.NotebookClient.setup_kernel", dead)
    with pytest.raises(BuildError, match="its kernel did not start; Kernel died"):
        execute(edition_of(lesson, "unsolved"), lesson, tmp_path)


def test_a_build_writes_into_nobodys_answers(lesson, tmp_path, monkeypatch):
    """A solved edition runs every solution, and each would count as the person's own."""
    seen = {}

    def refuse(_, env):
        seen.update(env)
        raise RuntimeError("no kernel is needed")

    monkeypatch.setenv("KD_LAB_PROGRESS", str(tmp_path / "mine.json"))
    monkeypatch.setattr("kd_lab.classroom.kernel.NotebookClient.setup_kernel", refuse)
    with pytest.raises(BuildError):
        execute(edition_of(lesson, "solved"), lesson, tmp_path, "solved")
    assert not Path(seen["KD_LAB_PROGRESS"]).exists()
    assert seen["KD_LAB_PROGRESS"] != str(tmp_path / "mine.json")
    with pytest.raises(BuildError):  # a place that the caller names goes before it
        execute(edition_of(lesson, "solved"), lesson, tmp_path, environment={"KD_LAB_PROGRESS": "theirs"})
    assert seen["KD_LAB_PROGRESS"] == "theirs"


def test_an_unmeasured_lesson_says_so(lesson, tmp_path):
    assert replace(lesson, folder=tmp_path).measured is None
    assert "not been measured" in expected_line(None)


def test_an_unknown_lesson_is_named(folder, capsys):
    assert main(["55", "--root", str(folder)]) == 1
    assert "there is no lesson 55" in capsys.readouterr().err


def test_an_edit_leaves_the_ids_of_other_cells_alone(lesson):
    before = edition_of(lesson, "unsolved").cells
    text = lesson.source.read_text(encoding="utf-8")
    try:
        lesson.source.write_text(
            text.replace("# You will double numbers.", "# You will double all numbers."), encoding="utf-8"
        )
        after = edition_of(lesson, "unsolved").cells
    finally:
        lesson.source.write_text(text, encoding="utf-8")
    assert [a.id == b.id for a, b in zip(before, after, strict=True)] == [False] + [True] * (len(before) - 1)


def many_lines(
    first,
    second,
):
    # A comment above the first line.
    total = (
        first
        + second
    )  # fmt: skip

    return total  # noqa: RET504  and one behind the last


def test_a_body_keeps_its_comments_and_layout():
    expected = (
        "# A comment above the first line.\ntotal = (\n    first\n    + second\n)  # fmt: skip\n\n"
        "return total  # noqa: RET504  and one behind the last"
    )
    assert halves(many_lines) == ("def many_lines(\n    first,\n    second,\n):", expected)
    cell = '@exercise("97.1")\ndef many_lines(first, second):\n    ...\n\nprint(1)'
    assert solved(cell, many_lines).startswith(
        '@exercise("97.1")\ndef many_lines(first, second):\n    # A comment above'
    )
    assert solved(cell, many_lines).endswith("and one behind the last\n\nprint(1)")
