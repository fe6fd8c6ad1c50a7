"""The minutes that a lesson takes to read and do, by its parts, counted in its source and not guessed."""

import re
from dataclasses import dataclass

from kd_lab.classroom.lesson import Lesson, tags

WORDS_PER_MINUTE = 180
EXPLORER_MINUTES = 3
TOLERANCE = 0.1
"""The share by which the minutes on a lesson's card may differ from the sum of its parts."""

MOST = 50
"""Minutes of one sitting; a longer lesson marks sections in their headings, as optional or as a second sitting."""

SECTION = re.compile(r"^(?=## )", re.MULTILINE)
LATER = re.compile(r"^## .*\((?:optional|second sitting)\)$", re.MULTILINE)


@dataclass(frozen=True)
class Minutes:
    """The parts of a learner's time, in minutes."""

    reading: float
    exercises: int
    explorers: int

    @property
    def total(self) -> float:
        return self.reading + self.exercises + self.explorers

    def __str__(self) -> str:
        return f"{self.reading:.0f} + {self.exercises} + {self.explorers}"


def words(text: str) -> int:
    """Words of markdown, a formula counting as one; hints and solutions are folded away and part of an exercise's time.

    >>> words("One $x^2 + y^2$ <details><summary>Hint 1</summary> Look. </details> and three more.")
    5
    """
    text = re.sub(r"<details>\s*<summary>(Hint|Solution)\b.*?</details>", "", text, flags=re.DOTALL)
    text = re.sub(r"\$\$.*?\$\$|\$[^$\n]+\$", "formula", text, flags=re.DOTALL)
    return len(re.findall(r"\w+", re.sub(r"</?\w+[^>]*>|\]\([^)]*\)", " ", text)))


def minutes_of(lesson: Lesson) -> Minutes:
    """The prose at 180 words per minute, exercises as their headings say, and three minutes for each explorer."""
    return counted(parts_of(lesson))


def later_minutes(lesson: Lesson) -> Minutes:
    """The part of `minutes_of` that lies in sections whose heading ends with "(optional)" or "(second sitting)"."""
    return counted([(prose, code) for prose, code in parts_of(lesson) if LATER.search(prose)])


def parts_of(lesson: Lesson) -> list[tuple[str, str]]:
    """A lesson's sections, from heading to heading of the second level: the prose of each and its code."""
    parts = [("", "")]
    for cell in lesson.cells():
        if "teacher" in tags(cell):
            continue
        if cell.cell_type == "code":
            parts[-1] = (parts[-1][0], f"{parts[-1][1]}\n{cell.source}")
            continue
        before, *sections = SECTION.split(cell.source)
        parts[-1] = (f"{parts[-1][0]}\n\n{before}", parts[-1][1])
        parts += [(section, "") for section in sections]
    return parts


def counted(parts: list[tuple[str, str]]) -> Minutes:
    """The minutes of some sections."""
    prose, code = ("\n\n".join(texts) for texts in zip(*parts, strict=True)) if parts else ("", "")
    exercises = re.findall(r"^### Exercise .*?(\d+) minutes\)$", prose, re.MULTILINE)
    explorers = len(re.findall(r"\.show\(\)", code))
    return Minutes(words(prose) / WORDS_PER_MINUTE, sum(map(int, exercises)), EXPLORER_MINUTES * explorers)


def minutes_on_card(lesson: Lesson) -> tuple[int, ...]:
    """The minutes that the card promises: for the first sitting, and then for what is optional or a second one.

    Raises:
        ValueError: the lesson has no card with minutes.
    """
    card = next((cell.source for cell in lesson.cells() if "card" in tags(cell)), "")
    line = re.search(r"\*\*Time:\*\*.*", card)
    if line is None or not (found := re.findall(r"(\d+) minutes", line[0])):
        raise ValueError(
            f"lesson {lesson.number} has no minutes on its card; expected a cell with the tag card and a line such as "
            "**Time:** 45 minutes to read and do."
        )
    return tuple(map(int, found))
