"""The settings that a course writes for nbgrader, run with stand-ins for nbgrader's own classes."""

import shutil
import subprocess
import sys
import types
from collections import defaultdict

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from traitlets.config import PyFileConfigLoader

from kd_lab.teaching.assignment import marked, points_of
from kd_lab.teaching.course import chosen_lessons, init

CLASSES = ["AssignLatePenalties", "CheckCellMetadata", "ClearOutput", "LimitOutput", "NbGraderPreprocessor"]
CLASSES += ["OverwriteCells", "OverwriteKernelspec", "SaveAutoGrades"]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """The names in nbgrader_config.py after it ran, `c` being what it configured."""
    init(tmp_path, ["03"])
    package, module = types.ModuleType("nbgrader"), types.ModuleType("nbgrader.preprocessors")
    for name in CLASSES:
        setattr(module, name, type(name, (), {}))
    converters = types.ModuleType("nbgrader.converters")
    default = types.SimpleNamespace(default=lambda: [module.ClearOutput, module.CheckCellMetadata])
    converters.GenerateAssignment = types.SimpleNamespace(preprocessors=default)
    for one in (package, module, converters):
        monkeypatch.setitem(sys.modules, one.__name__, one)
    monkeypatch.setenv("PATH", "")  # which the settings extend

    class Config(defaultdict):
        def __getattr__(self, name):
            return self[name]

        def __setattr__(self, name, value):
            self[name] = value

    config = Config(lambda: Config(Config))
    file = tmp_path / "nbgrader_config.py"
    scope = {"get_config": lambda: config, "__file__": str(file)}
    exec(file.read_text(encoding="utf-8"), scope)
    return scope


def test_no_grade_comes_from_a_kernel_and_late_messages_end_no_run(settings):
    config = settings["c"]
    names = [one.__name__ for one in config.Autograde.autograde_preprocessors]
    assert names == ["Judge", "LimitOutput", "SaveAutoGrades", "AssignLatePenalties", "CheckCellMetadata"]
    for kind in (config.Execute, config.ExecutePreprocessor, config.NotebookClient):
        assert kind.timeout >= 600
        assert kind.iopub_timeout >= 60
        assert kind.startup_timeout >= 120
    assert config.Execute.raise_on_iopub_timeout is False
    assert config.ClearSolutions.code_stub == {"python": "..."}
    names = [one.__name__ for one in config.Autograde.sanitize_preprocessors]
    assert names.index("OverwriteCells") < len(names) - 1 - names[::-1].index("Marks")  # which takes names off
    names = [one.__name__ for one in config.GenerateAssignment.preprocessors]
    assert names == ["Tests", "ClearOutput", "CheckCellMetadata"]


def test_an_assignment_with_tests_that_nothing_runs_is_not_made(settings):
    """Whoever graded it would give the points of these cells to everybody."""
    lessons = [marked(identifier, 5) for lesson in chosen_lessons([]) for identifier in points_of(lesson)]
    answer = marked("03.1", None)
    manual = marked("03.1", 5) | {"grade_id": "words", "solution": True, "locked": False}
    notebook = new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("x"),
            *(new_code_cell("x", metadata={"nbgrader": mark}) for mark in lessons),
        ]
    )
    notebook.cells += [new_code_cell("x", metadata={"nbgrader": mark}) for mark in (answer, manual)]
    assert settings["Tests"]().preprocess(notebook, {})[0] is notebook
    notebook.cells.append(new_code_cell("x", metadata={"nbgrader": marked("03.1", 5) | {"grade_id": "cell-4ab1"}}))
    with pytest.raises(ValueError, match="'cell-4ab1' holds autograder tests"):
        settings["Tests"]().preprocess(notebook, {})


def test_copies_and_damaged_marks_lose_their_mark(settings):
    """Either would end nbgrader's run, for all students."""
    marks = [marked("03.1", 8), marked("03.1", 8), {"grade_id": "test-03-2"}, {}, "text", marked("03.2", 5)]
    marks.append(marked("03.3", 10) | {"schema_version": 1})
    cells = [new_code_cell("x", metadata={"nbgrader": mark}) for mark in marks] + [new_code_cell("y")]
    notebook, _ = settings["Marks"]().preprocess(new_notebook(cells=cells), {})
    kept = ["nbgrader" in cell.metadata for cell in notebook.cells]
    assert kept == [True, False, False, False, False, True, False, False]


def test_the_judge_speaks_in_lines_and_its_errors_are_errors(settings, monkeypatch):
    judge = settings["Judge"]
    resources = {"nbgrader": {"notebook": "03_which_kl"}}
    monkeypatch.setattr(
        judge, "ask", lambda _, request: {"notebook": request["notebook"] | {"seen": request["lesson"]}}
    )
    notebook, _ = judge().preprocess(new_notebook(), resources)
    assert notebook.seen == "03"
    assert isinstance(notebook, nbformat.NotebookNode)
    monkeypatch.setattr(judge, "ask", lambda *_: {"error": "no such lesson"})
    with pytest.raises(RuntimeError, match="no such lesson"):
        judge().preprocess(new_notebook(), resources)


def test_a_judge_that_ends_is_an_error(settings, monkeypatch):
    started = []

    def start(command, start=subprocess.Popen, **pipes):
        started.append(command)
        return start([sys.executable, "-c", "raise SystemExit(3)"], **pipes)

    monkeypatch.setattr(subprocess, "Popen", start)
    with pytest.raises((RuntimeError, BrokenPipeError)):
        settings["Judge"].ask({"lesson": "03", "notebook": {}})
    assert started[0][1:5] == ["-m", "kd_lab", "class", "grade"]


@pytest.mark.usefixtures("settings")  # for its stand-ins
def test_a_copied_course_works_on_its_own_folder(tmp_path):
    """Read by the loader that nbgrader uses. The root and the name of last term's course would overwrite its grades."""
    init(tmp_path / "kl2026", ["03"])
    shutil.copytree(tmp_path / "kl2026", tmp_path / "kl2027")
    for name in ("kl2026", "kl2027"):
        config = PyFileConfigLoader("nbgrader_config.py", path=str(tmp_path / name)).load_config()
        assert config.CourseDirectory == {"root": str((tmp_path / name).resolve()), "course_id": name}
