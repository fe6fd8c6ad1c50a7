"""The modules in the folder of a lesson, found by the lesson's number: the classroom rests on no lesson by name."""

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def part_of(lesson: str, part: str) -> ModuleType | None:
    """The module `part` of the lesson with this number, such as "exercises"; None where there is no lesson.

    >>> part_of("03", "questions").__name__
    'kd_lab.lessons.l03_which_kl.questions'
    >>> part_of("55", "questions") is None
    True
    """
    package = import_module("kd_lab.lessons")
    for module in iter_modules(package.__path__):
        if module.name.startswith(f"l{lesson}_"):
            return import_module(f"kd_lab.lessons.{module.name}.{part}")
    return None
