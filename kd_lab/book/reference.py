"""The pages beside the lessons: the library's reference, a page for each method, and the table of all claims."""

import ast
import inspect
import pkgutil
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from kd_lab.book.pages import claim_anchor
from kd_lab.classroom.claims import claims_of
from kd_lab.classroom.lesson import Lesson
from kd_lab.methods import METHODS, Recipe

PACKAGES = ("worlds", "models", "what", "how", "where", "methods", "measure", "compress", "viz", "classroom")
MODULES = ("contracts",)


def modules_below(package: ModuleType) -> list[ModuleType]:
    """The public modules of a package, those of its packages included, in the order of their names."""
    found = pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    names = sorted(module.name for module in found if not module.name.rpartition(".")[2].startswith("_"))
    return [import_module(name) for name in names]


def public_names(module: ModuleType) -> list[str]:
    """The classes and functions that a module defines and does not hide, in the order in which they stand."""
    objects = inspect.getmembers(module, lambda one: inspect.isclass(one) or inspect.isroutine(one))
    own = [(name, one) for name, one in objects if one.__module__ == module.__name__ and not name.startswith("_")]
    return [name for name, one in sorted(own, key=lambda pair: line_of(pair[1]))]


def line_of(one: Any) -> int:
    try:
        return inspect.getsourcelines(inspect.unwrap(one))[1]
    except (OSError, TypeError):
        return 0


def entries(package: ModuleType) -> Iterator[tuple[str, ModuleType, list[str]]]:
    """Heading, the module that documents, and its names: first what the package exports, then what its modules add."""
    exported = [
        name
        for name in getattr(package, "__all__", [])
        if inspect.isclass(one := getattr(package, name)) or inspect.isroutine(one)
    ]
    if exported:
        yield f"{package.__name__}", package, exported
    homes = {(getattr(package, name).__module__, getattr(package, name).__name__) for name in exported}
    for module in modules_below(package) if hasattr(package, "__path__") else [package]:
        names = [name for name in public_names(module) if (module.__name__, name) not in homes]
        if names:
            yield module.__name__, module, names


@cache
def documented() -> dict[str, Any]:
    """Target → what the reference documents there; what a package exports is found under the package's name."""
    found = {}
    for name in (*PACKAGES, *MODULES):
        for _, module, names in entries(import_module(f"kd_lab.{name}")):
            found |= {f"{module.__name__}.{one}": getattr(module, one) for one in names}
    return found


def link_targets() -> dict[str, str]:
    """Public name → the target of its reference: what a package exports, or else what one module alone defines."""
    homes: dict[str, list[str]] = {}
    for target in documented():
        homes.setdefault(target.rpartition(".")[2], []).append(target)
    exported = {name: [one for one in some if one.count(".") == 2] for name, some in homes.items()}
    return {name: (exported[name] or some)[0] for name, some in homes.items() if len(exported[name] or some) == 1}


def used_in(lesson: Lesson) -> list[Any]:
    """The things of the library that a lesson's own cells import, or read off a package that they import."""
    nodes = list(ast.walk(ast.parse(lesson.source.read_text(encoding="utf-8"))))
    names, modules = [], {}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "kd_lab":
            names += [getattr(import_module(node.module), one.name, None) for one in node.names]
            modules |= {one.name: f"kd_lab.{one.name}" for one in node.names if node.module == "kd_lab"}
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            names.append(getattr(import_module(modules[node.value.id]), node.attr, None))
    return names


def lessons_by_target(lessons: Sequence[Lesson]) -> dict[str, list[str]]:
    """The target of something public → the names of the lessons whose cells use it."""
    targets = {id(one): target for target, one in documented().items()}
    found: dict[str, list[str]] = {}
    for lesson in lessons:
        for target in sorted({targets[id(one)] for one in used_in(lesson) if id(one) in targets}):
            found.setdefault(target, []).append(lesson.name)
    return found


def heading(text: str, mark: str) -> str:
    return f"{text}\n{mark * len(text)}\n"


def reference_page(name: str) -> str:
    """The reference of one package as reStructuredText."""
    package = import_module(f"kd_lab.{name}")
    parts = [heading(f"kd_lab.{name}", "="), f".. automodule:: kd_lab.{name}\n   :no-index:\n"]
    for title, module, names in entries(package):
        if module is not package:
            parts += [heading(title, "-"), f".. automodule:: {module.__name__}\n   :no-index:\n"]
        for one in names:
            kind = "autoclass" if inspect.isclass(getattr(module, one)) else "autofunction"
            members = "   :members:\n" if kind == "autoclass" else ""
            parts.append(f".. {kind}:: {module.__name__}.{one}\n{members}")
    return "\n".join(parts)


def method_page(recipe: Any, lessons: Sequence[Lesson]) -> str:
    """One method: its row of the three-knob table, its reference, and the lessons that use it."""
    made: Recipe = recipe()
    (term,) = made.terms
    taught = [one for one in lessons if re.search(rf"\b{recipe.__name__}\(", one.source.read_text(encoding="utf-8"))]
    used = [f"- :doc:`/lessons/{one.name}`" for one in taught] or ["No lesson uses it by this name."]
    return "\n".join(
        [
            heading(made.name, "="),
            ".. list-table::\n   :header-rows: 1\n",
            "   * - WHAT\n     - HOW\n     - WHERE",
            f"   * - {term.what}\n     - {term.how}\n     - {term.where}\n",
            f".. autofunction:: kd_lab.methods.{recipe.__name__}\n   :no-index:\n",
            heading("In the lessons", "-"),
            *used,
            "",
        ]
    )


def claims_page(lessons: Sequence[Lesson]) -> str:
    """Every claim of the course with its number, its verdict, and a link to the place where it was measured."""
    rows = []
    for lesson in lessons:
        numbers: dict[str, int] = {}
        for one in claims_of(lesson):
            number = numbers[one.id] = numbers.get(one.id, 0) + 1
            anchor = claim_anchor(one.id, number)
            link = f'<a id="{anchor}" href="lessons/{lesson.name}.html#{anchor}">{one.id}</a>'
            cells = (link, one.sentence, one.measured(), one.verdict)
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    head = ["# What the lessons found", "", "| claim | sentence | measured | verdict |", "|---|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def methods_table() -> list[str]:
    """The three-knob table with a link for each method, as lines of Markdown."""
    rows = ["| method | WHAT | HOW | WHERE |", "|---|---|---|---|"]
    for recipe in METHODS:
        made: Recipe = recipe()
        (term,) = made.terms
        cells = (f"{{doc}}`{made.name} <{recipe.__name__}>`", str(term.what), str(term.how), str(term.where))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows


def package_line(name: str) -> str:
    """A package of the library with the first line of what it says of itself."""
    return f"- {{doc}}`kd_lab.{name} <{name}>`: {inspect.getdoc(import_module(f'kd_lab.{name}')).splitlines()[0]}"


def method_pages(lessons: Sequence[Lesson]) -> dict[str, str]:
    """File name without its ending → the page of a method."""
    return {recipe.__name__: method_page(recipe, lessons) for recipe in METHODS}
