"""A learner's copies: renewed while untouched, never overwritten once edited."""

import json

import pytest

from kd_lab.classroom.copies import fingerprint, fresh, latest, lay_out, notes
from kd_lab.classroom.lesson import Lesson, find_lessons


def notebook(*texts, outputs=()):
    rest = {"cell_type": "code", "outputs": list(outputs), "metadata": {}, "execution_count": 1}
    cells = [rest | {"id": f"cell-{number}", "source": [text]} for number, text in enumerate(texts)]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def lesson(tmp_path):
    """A lesson whose built notebook a test may change, as a `git pull` does."""
    lesson = Lesson(tmp_path / "l02_word", tmp_path / "lessons" / "02_word.ipynb")
    lesson.notebook.parent.mkdir()
    lesson.notebook.write_text(json.dumps(notebook("first edition")), encoding="utf-8")
    return lesson


@pytest.fixture
def work(tmp_path):
    return tmp_path / "work"


def pull(lesson, text):
    lesson.notebook.write_text(json.dumps(notebook(text)), encoding="utf-8")


def edit(file, text):
    file.write_text(json.dumps(notebook(text)), encoding="utf-8")


def said(file):
    return "".join(json.loads(file.read_text(encoding="utf-8"))["cells"][0]["source"])


def visible(work):
    return sorted(file.name for file in work.glob("*.ipynb"))


def test_a_new_folder_gets_every_lesson_in_silence(lesson, work):
    assert lay_out([lesson], work) == []
    assert said(work / "02_word.ipynb") == "first edition"
    assert notes(work) == {"02_word.ipynb": fingerprint(notebook("first edition"))}


def test_nothing_new_changes_no_byte(lesson, work):
    lay_out([lesson], work)
    edit(work / "02_word.ipynb", "my answer")
    before = (work / "02_word.ipynb").read_bytes()
    assert lay_out([lesson], work) == []
    assert (work / "02_word.ipynb").read_bytes() == before
    assert visible(work) == ["02_word.ipynb"]


def test_an_untouched_copy_is_replaced_even_after_it_was_run(lesson, work):
    lay_out([lesson], work)
    ran = notebook("first edition", outputs=[{"output_type": "stream", "name": "stdout", "text": "0.3"}])
    (work / "02_word.ipynb").write_text(json.dumps(ran), encoding="utf-8")
    pull(lesson, "second edition")
    assert lay_out([lesson], work) == ["02_word.ipynb is now the newer edition; you had not edited it"]
    assert said(work / "02_word.ipynb") == "second edition"
    assert visible(work) == ["02_word.ipynb"]


def test_a_newer_edition_lies_beside_an_edited_copy(lesson, work):
    lay_out([lesson], work)
    edit(work / "02_word.ipynb", "my answer")
    pull(lesson, "second edition")
    (line,) = lay_out([lesson], work)
    assert line == "02_word.ipynb is as you left it; a newer edition lies beside it: 02_word (newer).ipynb"
    assert said(work / "02_word.ipynb") == "my answer"
    assert said(work / "02_word (newer).ipynb") == "second edition"
    assert latest(lesson, work).name == "02_word (newer).ipynb"
    assert lay_out([lesson], work) == []  # said once

    pull(lesson, "third edition")  # the one beside was not edited
    lay_out([lesson], work)
    assert said(work / "02_word (newer).ipynb") == "third edition"

    edit(work / "02_word (newer).ipynb", "my second answer")
    pull(lesson, "fourth edition")
    lay_out([lesson], work)
    assert [said(work / name) for name in visible(work)] == ["fourth edition", "my second answer", "my answer"]


@pytest.fixture
def two_edited(lesson, work):
    """The first two editions were edited, and the third lies beside them as it came."""
    lay_out([lesson], work)
    for name, text in (("02_word.ipynb", "second edition"), ("02_word (newer).ipynb", "third edition")):
        edit(work / name, "my answer")
        pull(lesson, text)
        lay_out([lesson], work)
    assert latest(lesson, work).name == "02_word (newer 2).ipynb"


def test_the_copy_that_is_opened_holds_the_newest_edition(lesson, work, two_edited):
    (work / "02_word (newer).ipynb").unlink()  # the next edition takes this name, and an older one has a later name
    pull(lesson, "fourth edition")
    lay_out([lesson], work)
    assert said(latest(lesson, work)) == "fourth edition"
    edit(latest(lesson, work), "my answer to the fourth")
    assert lay_out([lesson], work) == []
    assert said(latest(lesson, work)) == "my answer to the fourth"


def test_an_edition_that_is_there_is_not_laid_out_again_under_a_name_that_became_free(lesson, work, two_edited):
    edit(work / "02_word (newer 2).ipynb", "my answer to the third")
    (work / "02_word (newer).ipynb").unlink()
    assert lay_out([lesson], work) == []
    assert visible(work) == ["02_word (newer 2).ipynb", "02_word.ipynb"]
    assert said(latest(lesson, work)) == "my answer to the third"


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"cells": 3}'])
def test_a_copy_that_cannot_be_read_counts_as_edited(lesson, work, damaged):
    lay_out([lesson], work)
    (work / "02_word.ipynb").write_text(damaged, encoding="utf-8")
    pull(lesson, "second edition")
    lay_out([lesson], work)
    assert (work / "02_word.ipynb").read_text(encoding="utf-8") == damaged
    assert said(work / "02_word (newer).ipynb") == "second edition"


def test_without_its_notes_nothing_is_overwritten(lesson, work):
    lay_out([lesson], work)
    (work / ".kd_lab.json").write_text("{", encoding="utf-8")
    pull(lesson, "second edition")
    lay_out([lesson], work)
    assert said(work / "02_word.ipynb") == "first edition"
    assert said(work / "02_word (newer).ipynb") == "second edition"


def test_a_copy_that_was_deleted_comes_back_fresh(lesson, work):
    lay_out([lesson], work)
    (work / "02_word.ipynb").unlink()
    assert lay_out([lesson], work) == []
    assert said(work / "02_word.ipynb") == "first edition"


def test_another_measured_cost_is_no_newer_edition(lesson):
    cost = "From top to bottom it takes about {} seconds and 0.8 GiB of memory on 2 CPU cores."
    assert fingerprint(notebook(cost.format(41))) == fingerprint(notebook(cost.format(62)))


def test_a_folder_that_cannot_be_made_is_named(lesson, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="name a folder that you may write"):
        lay_out([lesson], tmp_path / "file" / "work")


def test_a_notebook_that_git_could_not_merge_is_named_with_what_helps(lesson, work):
    lesson.notebook.write_text("<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> theirs\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"is no notebook .* git checkout HEAD -- lessons/02_word\.ipynb"):
        lay_out([lesson], work)


def test_a_copy_says_of_its_language_what_the_kernel_says(lesson):
    """Else JupyterLab edits the notebook as soon as it is opened, and asks whether to save it."""
    from ipykernel.ipkernel import IPythonKernel

    assert fresh(lesson)["metadata"]["language_info"] == IPythonKernel.language_info


def test_without_a_checkout_a_lesson_comes_from_its_source(tmp_path):
    lesson = find_lessons(numbers=["03"])[0]
    packaged = Lesson(lesson.folder, tmp_path / lesson.notebook.name)
    written, built = fresh(packaged), json.loads(lesson.notebook.read_text(encoding="utf-8"))
    assert fingerprint(written) == fingerprint(built)
    assert not any(cell.get("outputs") for cell in written["cells"])


def test_a_copy_is_trusted_as_if_its_cells_had_been_run(lesson, work):
    """An untrusted notebook loses the styles of its outputs, and with them the remedy in a dead widget's place."""
    import nbformat
    from nbformat.sign import NotebookNotary

    lay_out([lesson], work)
    assert NotebookNotary().check_signature(nbformat.read(work / "02_word.ipynb", as_version=4))


def test_where_nothing_can_be_signed_the_copies_come_all_the_same(lesson, work, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "file" / "data"))
    lay_out([lesson], work)
    assert said(work / "02_word.ipynb") == "first edition"
