"""The briefs of the projects: whole, on their page, and with names that exist."""

import re
import shlex
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec

import pytest

from kd_lab.classroom.lesson import find_lessons
from kd_lab.classroom.overview import title_of
from kd_lab.teaching.pages import PARTS, line, projects
from kd_lab.teaching.projects import PROJECTS, Project

TITLES = {lesson.number: title_of(lesson) for lesson in find_lessons()}
each = pytest.mark.parametrize("project", PROJECTS, ids=[one.title for one in PROJECTS])


def found(name):
    """What a dotted name stands for: a module as far as there is one, then attributes."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            here = import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            here = getattr(here, part)
        return here
    raise AttributeError(name)


@each
def test_every_name_and_every_command_exists(project):
    quoted = re.findall(r"`([^`]+)`", " ".join(asdict(project).values()))
    names = [one.partition("(")[0] for one in quoted if one.startswith("kd_lab")]
    assert names
    for name in names:
        found(name)
    for command in (shlex.split(one) for one in quoted if one.startswith("python")):
        assert command[:2] == ["python", "-m"]
        assert find_spec(command[2]) is not None


def test_a_name_that_is_gone_is_seen():
    with pytest.raises(AttributeError):
        found("kd_lab.methods.no_such_recipe")


@each
def test_a_brief_is_whole_and_short(project):
    assert project.after in TITLES
    assert project.question.endswith("?")
    for part in PARTS:
        assert 5 <= len(getattr(project, part).split()) <= 60, part


def test_there_are_eight_and_the_page_shows_all_of_each():
    assert len({one.title for one in PROJECTS}) == len(PROJECTS) == 8
    page = projects(PROJECTS, TITLES)
    assert set(PARTS) | {"title", "after"} == set(Project.__dataclass_fields__)
    for one in PROJECTS:
        assert all(line(getattr(one, part)) in page for part in ("title", *PARTS))
