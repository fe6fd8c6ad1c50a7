"""No solution is left in the package for students, and its lessons and diagnoses work."""

import ast
import json
import os
import subprocess
import sys

import pytest

from kd_lab.classroom.diagnosis import exercises_of, written
from kd_lab.classroom.lesson import halves, lessons_of
from kd_lab.teaching.strip import answers_of, strip, without_solutions, without_teachers_cells

SOURCE = '''"""Exercises."""
import numpy as np
from kd_lab.classroom.diagnosis import Case, Exercise, Mistake, Misconception
from library import doubled, three as needed
import library.answers, library.also as two

def double(x):
    """Twice x."""
    return TWO * x

TWO = 2
THREE = 3

def added(x):
    return x + x

def scaled(x):
    return THREE * x

def is_even(candidate):
    if candidate(3) % 2:
        raise Misconception("odd")

def as_the_solution(candidate):
    if candidate(3) != double(3):
        raise Misconception("no")

EXERCISES = {
    "97.1": Exercise(reference=double, explanation="A secret.", cases=(Case("x", lambda: (needed * THREE,)),),
                     unusual=(added,), check=is_even, mistakes=(Mistake("thrice", "No.", scaled),)),
    "97.2": Exercise(reference=scaled, explanation="", cases=(), mistakes=(), check=as_the_solution),
}
'''


def test_solutions_become_stand_ins_and_what_they_alone_need_goes():
    text = without_solutions(SOURCE)
    names = {name for node in ast.parse(text).body for name in [getattr(node, "name", "")]}
    assert "double = stand_in(__file__, 'double', 'x')" in text
    assert not names & {"double", "added", "scaled", "as_the_solution"}
    assert "is_even" in names
    for secret in ("TWO", "A secret", "x + x", "thrice"):
        assert secret not in text
    assert "THREE = 3" in text  # a case needs it
    assert "from library import three as needed\n" in text  # the name beside it may be the library's own answer
    assert "import library" not in text


def test_what_other_files_import_stays():
    assert "TWO = 2" in without_solutions(SOURCE, ["TWO"])


def test_teachers_cells_and_folds_go():
    kinds = {"teacher": "Expected: six.", "solution:97.1": "solution"}
    cells = "".join(f'# %% [markdown] tags=["{tag}"]\n# {text}\n\n' for tag, text in kinds.items()) + "# %%\nx = 1\n"
    text = without_teachers_cells(cells)
    assert "six" not in text
    assert "solution" not in text
    assert "x = 1" in text


def test_recorded_answers_hold_those_of_every_mistake():
    exercise = exercises_of("03")["03.1"]
    kept = json.loads(json.dumps(answers_of(exercise)))
    assert len(kept["expected"]) == len(exercise.cases)
    assert [one["name"] for one in kept["mistakes"]] == [mistake.name for mistake in exercise.mistakes]
    assert all(len(one["answers"]) == len(exercise.cases) for one in kept["mistakes"])


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return strip(tmp_path_factory.mktemp("stripped"), record=())


@pytest.mark.parametrize("lesson", lessons_of(), ids=lambda lesson: f"lesson {lesson.number}")
def test_no_body_of_a_solution_is_left_in_its_lesson(package, lesson):
    """A solution's body, as its own lines, stands in no file of the lesson's folder."""
    folder = package / "lessons" / lesson.folder.name
    texts = [" ".join(ast.unparse(ast.parse(file.read_text(encoding="utf-8"))).split()) for file in folder.glob("*.py")]
    for identifier, exercise in exercises_of(lesson.number).items():
        body = " ".join(
            ast.unparse(ast.parse(f"def f():\n{indented(halves(exercise.reference)[1])}").body[0].body).split()
        )
        assert not any(body in text for text in texts), identifier


def indented(body):
    return "\n".join(f"    {line}" for line in body.splitlines())


def test_the_package_has_nothing_for_teachers(package):
    assert not (package / "teaching").exists()
    assert not list(package.rglob("teaching.md"))
    assert not list(package.rglob("__pycache__"))


def test_a_learner_of_the_package_is_diagnosed_and_their_function_runs_the_lesson(tmp_path):
    """In a process that sees this package alone: a solution's name leads to none, mistakes are named, and the
    lesson's own experiment asks for the learner's function."""
    strip(tmp_path, record=["03", "10"])
    code = f"""
import numpy as np
import kd_lab
from kd_lab.__main__ import main
from kd_lab.classroom import assert_solved, exercise
from kd_lab.classroom.diagnosis import diagnose, find_exercise
from kd_lab.classroom.recorded import StandIn
assert kd_lab.__file__.startswith({str(tmp_path)!r})
one = find_exercise("03.1")
assert isinstance(one.reference, StandIn) and not one.explanation and not one.unusual
wrong = diagnose(one, lambda student_logp, teacher_logp: (np.exp(student_logp) * (student_logp - teacher_logp)).sum(-1))
print("named:", wrong.name)
from kd_lab.lessons.l10_weak_to_strong.heads import confidence_loss
try:
    confidence_loss(0, 0, 0, 0)
except RuntimeError as error:
    print("open:", type(error).__name__)
@exercise("10.3")
def confidence_loss(*wrong):
    return 0.0
main([])
"""
    own = {"PYTHONPATH": str(tmp_path), "KD_LAB_PROGRESS": str(tmp_path / "progress.json"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=os.environ | own, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "named: direction reversed" in done.stdout
    assert "open: Unsolved" in done.stdout
    assert "03 · HOW: which KL" in done.stdout  # the course at a glance


@pytest.mark.lesson
def test_no_cell_before_an_exercise_of_the_package_needs_its_solution(package, tmp_path):
    """Pictures, explorers and reveals above a lesson's first exercise work before anything is solved."""
    code = """
import jupytext, kd_lab
from IPython.core.interactiveshell import InteractiveShell
from kd_lab.classroom.lesson import lessons_of
for lesson in lessons_of():
    cells = jupytext.reads(lesson.source.read_text(encoding="utf-8"), fmt="py:percent").cells
    shell = InteractiveShell()
    for cell in cells:
        if "@exercise(" in cell.source:
            print("\\nopens", lesson.number)
            break
        if cell.cell_type == "code" and not (done := shell.run_cell(cell.source)).success:
            print("\\nlacks", lesson.number, done.error_in_exec)
            break
"""
    own = {"PYTHONPATH": str(package.parent), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "TRITON_INTERPRET": "1"}
    own |= {"KD_LAB_PROGRESS": str(tmp_path / "progress.json"), "KD_LAB_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=package.parent,
        env=os.environ | own,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert not [line for line in done.stdout.splitlines() if line.startswith("lacks")]
    assert done.stdout.count("\nopens") == len(lessons_of())


def test_every_solution_has_a_name_of_its_own_in_its_lesson():
    for lesson in lessons_of():
        names = [written(one.reference).__name__ for one in exercises_of(lesson.number).values()]
        assert len(set(names)) == len(names)
