"""A lesson's teaching notes, `kd_lab/lessons/lNN_name/teaching.md`, as data."""

import re
from dataclasses import dataclass
from pathlib import Path

FILE = "teaching.md"
SECTIONS = ("Goals", "Routes", "Misconceptions", "Discussions", "Exam")
LENGTHS = (10, 50, 90)
"""Minutes of the three routes through a lesson."""

ROW = re.compile(r"^\| *(\d+) *\| *(.+?) *\| *(.+?) *\|$", re.MULTILINE)
POINTS = re.compile(r"^- \(([12])\) (.+)$", re.MULTILINE)
TITLED = re.compile(r"(\d+)\. (.+) \((\d+) points?\)")
SOLUTION = "**Solution.**"
WHO = re.compile(r"\A\s*\*For two people[^*]*\*\s*")
"""The words with which a lesson opens its discussion; no part of the question."""


@dataclass(frozen=True)
class Step:
    """A line of a route."""

    minutes: int
    what: str
    where: str  # a section, an explorer, or the numbers of cells


@dataclass(frozen=True)
class Route:
    """A way through a lesson in a given time, and what it leaves out."""

    minutes: int
    lead: str  # what to know before it begins; may be empty
    steps: tuple[Step, ...]
    skip: str


@dataclass(frozen=True)
class Discussion:
    """A discussion question of the lesson, the answer to expect, and what it is marked by."""

    question: str
    expected: str
    rubric: tuple[tuple[int, str], ...]  # points, and what they are for

    @property
    def points(self) -> int:
        return sum(points for points, _ in self.rubric)


@dataclass(frozen=True)
class ExamQuestion:
    """A question of an exam, with its solution."""

    title: str
    points: int
    question: str
    solution: str


@dataclass(frozen=True)
class Notes:
    """All that a lecturer needs for one lesson; texts are Markdown."""

    title: str
    about: str  # the lesson in a few sentences, to a colleague; may be empty
    goals: tuple[str, ...]
    routes: tuple[Route, ...]
    misconceptions: tuple[tuple[str, str], ...]  # what students say, and how to meet it
    discussions: tuple[Discussion, ...]
    exam: tuple[ExamQuestion, ...]


def notes_in(folder: Path) -> Notes | None:
    """The notes in the folder of a lesson; None where it has none.

    Raises:
        ValueError: the notes are not in the fixed form; the message says where.
    """
    file = folder / FILE
    if not file.exists():
        return None
    try:
        return parsed(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from error


def parsed(text: str) -> Notes:
    """Notes from their Markdown.

    Raises:
        ValueError: a heading is missing, unknown or out of order, or a part under it is not in the fixed form.
    """
    head, *sections = re.split(r"^## (.+)\n", text, flags=re.MULTILINE)
    title = re.fullmatch(r"# (.+): teaching notes\n(.*)", head, re.DOTALL)
    if title is None:
        raise ValueError(f"it begins with {head.strip()[:60]!r}; expected “# <title of the lesson>: teaching notes”")
    names, bodies = tuple(sections[::2]), sections[1::2]
    if names != SECTIONS:
        raise ValueError(f"its sections are {', '.join(names)}; expected {', '.join(SECTIONS)}, in this order")
    goals, routes, misconceptions, discussions, exam = bodies
    unread("Goals", [line for line in goals.splitlines() if not line.startswith("- ")], "behind a dash")
    return Notes(
        title=title[1],
        about=title[2].strip(),
        goals=tuple(re.findall(r"^- (.+)$", goals, re.MULTILINE)),
        routes=tuple(route(name, body) for name, body in parts(routes)),
        misconceptions=tuple((name.strip('“”"'), body) for name, body in parts(misconceptions)),
        discussions=tuple(discussion(name, body) for name, body in parts(discussions)),
        exam=tuple(exam_question(i, name, body) for i, (name, body) in enumerate(parts(exam), 1)),
    )


def parts(section: str) -> list[tuple[str, str]]:
    """Heading and body of each part of a section.

    >>> parts("\\n### one\\n\\nbody\\n\\n### two\\nmore\\n")
    [('one', 'body'), ('two', 'more')]
    """
    head, *found = re.split(r"^### (.+)\n", section, flags=re.MULTILINE)
    if head.strip():
        raise ValueError(f"{head.strip()[:60]!r} stands before the first heading of its section; put it under one")
    return [(name.strip(), body.strip()) for name, body in zip(found[::2], found[1::2], strict=True)]


def unread(part: str, lines: list[str], place: str) -> None:
    """Refuse text that no page would show.

    Raises:
        ValueError: a line is not blank.
    """
    if found := next((line for line in lines if line.strip()), None):
        raise ValueError(f"in {part[:50]!r} nothing reads {found.strip()[:60]!r}; put it {place}, or take it out")


def route(name: str, body: str) -> Route:
    found = re.fullmatch(r"(\d+) minutes", name)
    skip = re.search(r"^Skip: (.+)$", body, re.MULTILINE)
    if found is None or skip is None:
        raise ValueError(
            f"the route {name!r} needs a heading such as “50 minutes” and under its table a line “Skip: …”"
        )
    lines = body.splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith("|")), len(lines))
    unread(name, [line for line in lines[first:] if not line.startswith(("|", "Skip: "))], "before the table")
    steps = tuple(Step(int(minutes), what, where) for minutes, what, where in ROW.findall(body))
    if (total := sum(step.minutes for step in steps)) != int(found[1]):
        raise ValueError(f"the steps of the route {name!r} take {total} minutes; expected {found[1]}")
    return Route(int(found[1]), "\n".join(lines[:first]).strip(), steps, skip[1])


def discussion(question: str, body: str) -> Discussion:
    found = re.fullmatch(r"\*\*Expected\.\*\* (.+?)\s+\*\*Rubric\.\*\*\s+(.+)", body, re.DOTALL)
    rubric = tuple((int(points), what) for points, what in POINTS.findall(found[2])) if found else ()
    if found is None or len(rubric) != len(re.findall(r"^- ", found[2], re.MULTILINE)) or not rubric:
        raise ValueError(
            f"the discussion {question[:50]!r} needs “**Expected.** …”, then “**Rubric.**” and a list whose lines "
            "begin with (1) or (2) points"
        )
    unread(question, [line for line in found[2].splitlines() if not line.startswith("- ")], "on the line of its points")
    return Discussion(re.sub(WHO, "", question), found[1], rubric)


def exam_question(number: int, name: str, body: str) -> ExamQuestion:
    found, (question, mark, solution) = TITLED.fullmatch(name), body.partition(SOLUTION)
    if found is None or int(found[1]) != number or not mark or not solution.strip():
        raise ValueError(
            f"the exam question {name!r} needs a heading such as “{number}. Short title (4 points)” and a paragraph "
            f"that begins with {SOLUTION}"
        )
    return ExamQuestion(found[2], int(found[3]), question.strip(), solution.strip())
