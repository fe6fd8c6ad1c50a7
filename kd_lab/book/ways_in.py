"""A reader's way in: the first page, and each lesson in one line with its minutes and what may be skipped."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from kd_lab.classroom.lesson import Lesson, tags
from kd_lab.classroom.minutes import minutes_of, minutes_on_card

FIRST_PAGE = Path(__file__).parent / "site" / "index.md"


def index_page(lessons: Sequence[Lesson]) -> str:
    """The first page: for whom the course is, each lesson in a line, and the ways into the reference."""
    minutes = [minutes_on_card(lesson) for lesson in lessons]
    text = FIRST_PAGE.read_text(encoding="utf-8")
    text = text.replace("{{lessons}}", "\n".join(map(way_in, lessons)))
    return text.replace("{{count}}", str(len(lessons))).replace("{{hours}}", f"{sum(map(sum, minutes)) / 60:.0f}")


def contents(title: str, pages: Iterable[str], lines: Iterable[str]) -> str:
    """The page in front of others in its folder, with some lines about them."""
    return "\n".join([f"# {title}", "", *lines, "", "```{toctree}", ":hidden:", "", *pages, "```", ""])


def way_in(lesson: Lesson, folder: str = "lessons/") -> str:
    """A lesson in one line: its title, what a reader will be able to do, its minutes, and what may be skipped.

    Args:
        lesson: which.
        folder: of its page, as seen from the page with the line.
    """
    title, promise = re.match(r"# (.+)\n+(.+)", lesson.cells()[0].source).groups()
    return f"- [{title}]({folder}{lesson.notebook.name}): {promise} *{in_short(lesson)}*"


def in_short(lesson: Lesson) -> str:
    """The minutes of a lesson, those of reading it without its exercises, and the parts that may be skipped."""
    first, *more = minutes_on_card(lesson)
    cells = lesson.cells()
    card = next(cell.source for cell in cells if "card" in tags(cell))
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    optional = re.findall(r"^## (.+) \(optional\)$", prose, re.MULTILINE)
    longer = f", and {sum(more)} more {'that are optional' if optional else 'in a second sitting'}" if more else ""
    parts = minutes_of(lesson)
    said = [
        f"{first} minutes to read and do{longer}.",
        f"Without the exercises it is {parts.reading + parts.explorers:.0f} minutes.",
    ]
    if optional:
        said.append(f"You may skip {' and '.join(f'“{one}”' for one in optional)}.")
    if "**Optional:**" in card:
        said.append("You may skip this lesson.")
    return " ".join(said)
