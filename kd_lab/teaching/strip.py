"""The package as students receive it: every lesson works, and no solution of an exercise is in it.

The solution of an exercise becomes a stand-in (`kd_lab.classroom.recorded`); the mistakes, many of which are the
solution with one line changed, become recorded answers; solutions that look unusual, explanations and what only a
teacher reads are left out. Cases, checks and everything that the lessons import stay.
"""

import ast
import inspect
import json
import shutil
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import jupytext

from kd_lab.classroom.diagnosis import Exercise, answer_to, exercises_of, known_answer, written
from kd_lab.classroom.lesson import Lesson, lessons_of, tags
from kd_lab.classroom.recorded import FILE, encode

PACKAGE = Path(__file__).parents[1]
LEFT_OUT = ("teaching", "book", "bench", "__pycache__")
"""The folders of the package that a student does not need, the first of which a student should not read."""

DROPPED = ("unusual", "mistakes", "explanation", "reference", "check")
SUPPORT = "from kd_lab.classroom.diagnosis import Mistake\nfrom kd_lab.classroom.recorded import replayed, stand_in\n"


def strip(target: Path, record: Collection[str] | None = None) -> Path:
    """Write the package without its solutions.

    Args:
        target: a folder; `kd_lab` is made in it.
        record: numbers of the lessons that get what the diagnosis of an answer needs; all by default, which takes a
            minute. The functions of the others can be called, and their answers not be judged.

    Returns:
        The folder `kd_lab`.
    """
    package = target / "kd_lab"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns(*LEFT_OUT, "*.pyc", "teaching.md"))
    for lesson in lessons_of():
        folder = package / "lessons" / lesson.folder.name
        strip_lesson(lesson, folder, record is None or lesson.number in record)
    return package


def strip_lesson(lesson: Lesson, folder: Path, record: bool) -> None:
    """Take the solutions out of the copy of one lesson."""
    exercises = exercises_of(lesson.number)
    source = folder / "exercises.py"
    for file, names in homes(lesson, exercises).items():
        copy = folder / file.relative_to(lesson.folder)
        copy.write_text(without_functions(file.read_text(encoding="utf-8"), names), encoding="utf-8")
    source.write_text(without_solutions(source.read_text(encoding="utf-8"), wanted(lesson)), encoding="utf-8")
    text = folder / "lesson.py"
    text.write_text(without_teachers_cells(text.read_text(encoding="utf-8")), encoding="utf-8")
    if record:
        kept = {written(one.reference).__name__: answers_of(one) for one in exercises.values()}
        (folder / FILE).write_text(json.dumps(kept), encoding="utf-8")


def answers_of(exercise: Exercise) -> dict[str, Any]:
    """The answers of the solution and of each known mistake to the cases of an exercise."""
    return {
        "expected": [encode(known_answer(exercise, exercise.reference, case)) for case in exercise.cases],
        "mistakes": [
            {
                "name": mistake.name,
                "message": mistake.message,
                "answers": [encode(answer_to(exercise, mistake.function, case)) for case in exercise.cases],
            }
            for mistake in exercise.mistakes
        ],
    }


# ---- the source of an exercise ---------------------------------------------------------------------------------------


def homes(lesson: Lesson, exercises: dict[str, Exercise]) -> dict[Path, set[str]]:
    """The other files of a lesson that define a solution, and which."""
    found: dict[Path, set[str]] = {}
    for exercise in exercises.values():
        function = written(exercise.reference)
        file = Path(inspect.getfile(function))
        if file != lesson.folder / "exercises.py":
            found.setdefault(file, set()).add(function.__name__)
    return found


def wanted(lesson: Lesson) -> set[str]:
    """The names that the other files of the package import from a lesson's exercises."""
    module = f"kd_lab.lessons.{lesson.folder.name}.exercises"
    return {
        given.name
        for file in lesson.folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module == module
        for given in node.names
    }


def without_functions(source: str, names: Iterable[str]) -> str:
    """A module whose functions of these names are stand-ins."""
    tree = ast.parse(source)
    tree.body = [standing_in(node) if defined(node) & set(names) else node for node in tree.body]
    return ast.unparse(behind_the_docstring(tree, SUPPORT))


def without_solutions(source: str, also: Iterable[str] = ()) -> str:
    """A module of exercises with stand-ins for its solutions, and nothing that only they and the mistakes need.

    Args:
        source: of a lesson's exercises.py, whose exercises are calls `Exercise(reference=…, …)`.
        also: further names to keep.
    """
    tree = ast.parse(source)
    homes = {name: node for node in tree.body for name in defined(node)}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Exercise"]
    solutions = {ast.unparse(keywords_of(call)["reference"]) for call in calls}
    hidden = solutions | {name for call in calls for name in read(keywords_of(call).get("unusual"))}
    for call in calls:
        given = keywords_of(call)
        name = ast.unparse(given["reference"])
        check = given.get("check")
        kept = {key: value for key, value in given.items() if key not in DROPPED}
        if check is not None and not reached(read(check), homes) & hidden:  # one that solves the exercise is left out
            kept["check"] = check
        mistakes = f"tuple(Mistake(*one) for one in replayed(__file__, {name!r}))"
        new = {"reference": name, "explanation": "''", "mistakes": mistakes}
        call.keywords = [ast.keyword(key, ast.parse(text, mode="eval").body) for key, text in new.items()]
        call.keywords += [ast.keyword(key, value) for key, value in kept.items()]
    for name in solutions:
        if isinstance(homes[name], ast.FunctionDef):
            tree.body[tree.body.index(homes[name])] = homes[name] = standing_in(homes[name])
    needed = reached({"EXERCISES", *also}, homes)
    tree.body = [node for node in tree.body if not defined(node) or defined(node) & needed or is_dunder(node)]
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):  # a line of the library may hold an answer beside a need
            node.names = [one for one in node.names if (one.asname or one.name).partition(".")[0] in needed]
    return ast.unparse(behind_the_docstring(tree, SUPPORT))


def keywords_of(call: ast.Call) -> dict[str, ast.expr]:
    return {str(one.arg): one.value for one in call.keywords}


def defined(node: ast.stmt) -> set[str]:
    """The names that a statement at the top of a module binds."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(given.asname or given.name).partition(".")[0] for given in node.names}
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}


def is_dunder(node: ast.stmt) -> bool:
    return any(name.startswith("__") for name in defined(node))


def read(node: ast.AST | None) -> set[str]:
    """The names that a piece of source reads."""
    return (
        {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}
        if node
        else set()
    )


def reached(names: Iterable[str], homes: dict[str, ast.stmt]) -> set[str]:
    """These names, and all that their definitions read, and so on."""
    found: set[str] = set()
    ahead = list(names)
    while ahead:
        name = ahead.pop()
        if name not in found and name in homes:
            found.add(name)
            ahead += read(homes[name])
    return found


def standing_in(node: ast.stmt) -> ast.stmt:
    """`def f(x, y): …` as `f = stand_in(__file__, "f", "x", "y")`."""
    assert isinstance(node, ast.FunctionDef)
    given = node.args
    names = [node.name, *(one.arg for one in [*given.posonlyargs, *given.args, *given.kwonlyargs])]
    return ast.parse(f"{node.name} = stand_in(__file__, {', '.join(map(repr, names))})").body[0]


def behind_the_docstring(tree: ast.Module, lines: str) -> ast.Module:
    position = 1 if ast.get_docstring(tree) is not None else 0
    tree.body[position:position] = ast.parse(lines).body
    return tree


def without_teachers_cells(source: str) -> str:
    """A lesson's text without its solutions and without what only a teacher reads."""
    notebook = jupytext.reads(source, fmt="py:percent")
    notebook.cells = [
        cell
        for cell in notebook.cells
        if not any(tag == "teacher" or tag.startswith("solution:") for tag in tags(cell))
    ]
    return jupytext.writes(notebook, fmt="py:percent")
