"""The real nbgrader: an assignment made and released, ten submissions graded, feedback written, grades exported."""

import csv
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from filelock import FileLock
from nbformat.v4 import new_code_cell

from kd_lab.classroom.lesson import edition_of, exercise_of, find_lessons
from kd_lab.teaching.assignment import grade_id, marked
from kd_lab.teaching.course import init
from kd_lab.teaching.report import report

ROOT = Path(__file__).parents[2]
PINS = Path(__file__).with_name("nbgrader.txt")
UV = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")

pytestmark = pytest.mark.classroom

REVERSED = "    q = np.exp(student_logp)\n    return (q * (student_logp - teacher_logp)).sum(-1)"
HALF = "    p = np.exp(teacher_logp)\n    return (p * (teacher_logp - student_logp)).sum(-1)"  # NaN where p is 0
RAISES = "    raise ValueError('I do not know')"
ENDLESS = "    while True:\n        pass"
BROKEN = "    return (np.exp(teacher_logp) *"

CHANGED = 4
"""The points that the teacher gives 03.1, in place of its 8."""

POINTS = {
    "right": 15 + CHANGED,
    "wrong": 15,
    "half": None,
    "raises": 15,
    "endless": 15,
    "untouched": 0,
    "copied": 15 + CHANGED,
    "broken": 15,
    "without_a_cell_of_points": 15 + CHANGED,
    "with_a_mark_of_their_own": 15 + CHANGED,
}
"""What each student should earn of 4 + 5 + 10; all but "untouched" solve 03.2 and 03.3."""


def place_for(interpreter, version):
    """Where the environment lies: another for other pins, and for another Python, with which it would not run."""
    made_of = PINS.read_bytes() + f"{interpreter} {version}".encode()
    return ROOT / "build" / f"nbgrader-{hashlib.sha256(made_of).hexdigest()[:12]}"


def environment():
    """nbgrader in an environment of its own under build/, kept from run to run; of two runs at once one makes it."""
    place = place_for(os.path.realpath(sys.executable), platform.python_version())
    binaries = place / ("Scripts" if os.name == "nt" else "bin")
    place.parent.mkdir(exist_ok=True)
    with FileLock(f"{place}.lock"):
        if (place / "complete").exists():
            return binaries
        shutil.rmtree(place, ignore_errors=True)
        if UV is None:
            absent("uv is not installed: pip install -c constraints.txt uv")
        subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(place)], check=True)
        command = [UV, "pip", "install", "--quiet", "--python", str(binaries / "python"), "-r", str(PINS)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            if "No solution" in done.stderr:
                pytest.fail(done.stderr)
            absent(f"nbgrader cannot be installed, no package index can be reached: {done.stderr[-300:]}")
        (place / "complete").touch()
    return binaries


def absent(reason):
    if os.environ.get("CI"):
        pytest.fail(reason)  # where everything must be tested, a skip would pass for a success
    pytest.skip(reason)


def nbgrader(binaries, course, *arguments, succeeds=True):
    """One command of nbgrader in the course."""
    own = {
        "JUPYTER_CONFIG_DIR": str(course / "none"),
        "JUPYTER_DATA_DIR": str(course / "none"),
        "PYTHONPATH": str(ROOT),
    }
    command = [str(binaries / "nbgrader"), *arguments]
    done = subprocess.run(command, cwd=course, env=os.environ | own, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is succeeds, done.stderr[-3000:]
    return done.stderr


def exercise_cells(notebook):
    return {exercise_of(cell): cell for cell in notebook.cells if exercise_of(cell)}


def answered(cell, body):
    """The learner's cell with a body in place of `...`."""
    cell.source = cell.source.replace("    ...", body)
    assert body in cell.source


def submission(released, solved, student):
    """A student's notebook."""
    notebook = nbformat.read(released, as_version=4)
    cells = exercise_cells(notebook)
    if student == "untouched":
        return notebook
    for identifier in ("03.2", "03.3"):
        cells[identifier].source = solved[identifier].source
    bodies = {"wrong": REVERSED, "half": HALF, "raises": RAISES, "endless": ENDLESS, "broken": BROKEN}
    if student in bodies:
        answered(cells["03.1"], bodies[student])
    elif student == "copied":  # pasted below, with the metadata of the first, which stays as it was
        copy = nbformat.from_dict(dict(cells["03.1"]) | {"id": "a-copy", "source": solved["03.1"].source})
        notebook.cells.insert(notebook.cells.index(cells["03.1"]) + 1, copy)
    else:
        cells["03.1"].source = solved["03.1"].source
    if student == "without_a_cell_of_points":
        notebook.cells.remove(points_of(notebook, "03.1"))
    elif student == "with_a_mark_of_their_own":
        notebook.cells.append(new_code_cell("1", metadata={"nbgrader": marked("03.1", 50) | {"grade_id": "more"}}))
    return notebook


def points_of(notebook, identifier):
    """The cell with the points of an exercise."""
    (cell,) = (
        one for one in notebook.cells if one.metadata.get("nbgrader", {}).get("grade_id") == grade_id(identifier)
    )
    return cell


def change(file, action):
    """Edit a notebook of the teacher's."""
    notebook = nbformat.read(file, as_version=4)
    action(notebook)
    nbformat.write(notebook, file)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course after its first assignment: the log of autograde, and the grades."""
    binaries = environment()
    folder = tmp_path_factory.mktemp("classes") / "course"
    init(folder, ["03"])
    source = folder / "source" / "03" / "03_which_kl.ipynb"
    change(source, lambda notebook: points_of(notebook, "03.1").metadata.nbgrader.update(points=CHANGED))
    nbgrader(binaries, folder, "generate_assignment", "03")
    (lesson,) = find_lessons(numbers=["03"])
    solved = exercise_cells(edition_of(lesson, "solved"))
    for student in POINTS:
        place = folder / "submitted" / student / "03"
        place.mkdir(parents=True)
        released = folder / "release" / "03" / lesson.notebook.name
        nbformat.write(submission(released, solved, student), place / lesson.notebook.name)
    log = nbgrader(binaries, folder, "autograde", "03")
    nbgrader(binaries, folder, "generate_feedback", "03")
    nbgrader(binaries, folder, "export")
    return folder, log


def grades(folder):
    with (folder / "grades.csv").open(newline="", encoding="utf-8") as file:
        return {row["student_id"]: (float(row["score"]), float(row["max_score"])) for row in csv.DictReader(file)}


def test_what_is_released_has_no_solution_and_no_hidden_line(course):
    folder, _ = course
    text = (folder / "release" / "03" / "03_which_kl.ipynb").read_text(encoding="utf-8")
    assert "SOLUTION" not in text
    assert "HIDDEN" not in text
    assert "np.subtract(teacher_logp" not in text
    assert "hand_in(" in text


def test_every_submission_has_the_points_that_it_earned(course):
    folder, _ = course
    found = grades(folder)
    assert {full for _, full in found.values()} == {15 + CHANGED}
    for student, points in POINTS.items():
        if points is not None:
            assert found[student][0] == points, student
    assert found["half"][0] == pytest.approx(15 + CHANGED * 2 / 5)  # of four cases and the check


def test_no_kernel_was_asked_and_none_was_late(course):
    _, log = course
    assert "Timeout" not in log
    assert "ERROR" not in log
    assert "Executing" not in log


def test_the_feedback_says_what_was_misunderstood(course):
    folder, _ = course

    def said(student):
        return (folder / "feedback" / student / "03" / "03_which_kl.html").read_text(encoding="utf-8")

    assert "the reverse KL" in said("wrong")
    assert "I do not know" in said("raises")
    assert "did not end" in said("endless")
    assert "Python cannot read the cell" in said("broken")
    assert "left as it was" in said("untouched")


def test_graded_submissions_make_a_report(course, tmp_path):
    folder, _ = course
    text = report(folder / "autograded", tmp_path / "report.html")
    assert "1 × direction reversed" in text
    assert "solved by: copied, right, " in text
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert not any(student in page for student in ("copied", "untouched", "raises"))


def test_an_assignment_with_tests_that_nothing_would_run_is_not_made(tmp_path):
    """nbgrader would give their points to everybody."""
    init(tmp_path, ["03"])
    mark = marked("03.1", 5) | {"grade_id": "my-test"}
    source = tmp_path / "source" / "03" / "03_which_kl.ipynb"
    change(source, lambda notebook: notebook.cells.append(new_code_cell("assert 0", metadata={"nbgrader": mark})))
    log = nbgrader(environment(), tmp_path, "generate_assignment", "03", succeeds=False)
    assert "'my-test' holds autograder tests" in log
    assert not (tmp_path / "release" / "03").exists()
    change(source, lambda notebook: notebook.cells[-1].metadata.nbgrader.update(solution=True, locked=False))
    nbgrader(environment(), tmp_path, "generate_assignment", "03")


def test_without_the_courses_settings_nobody_earns_a_point(course, tmp_path):
    """An autograde by other settings runs the notebook in a kernel, where a student's code could do as it likes."""
    folder, _ = course
    source = nbformat.read(folder / "source" / "03" / "03_which_kl.ipynb", as_version=4)
    graded = [cell for cell in source.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    assert len(graded) == 3
    assert all("### BEGIN HIDDEN TESTS\nraise RuntimeError(" in cell.source for cell in graded)


def test_another_python_has_another_environment():
    """One whose interpreter was upgraded or removed is left behind, and stops no test."""
    python = os.path.realpath(sys.executable)
    places = {place_for(*one) for one in ((python, "3.11.2"), (python, "3.11.9"), ("/elsewhere/python", "3.11.2"))}
    assert len(places) == 3
