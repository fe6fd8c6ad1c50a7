"""The minutes that a lesson takes to read and do, by its parts, counted in its source and not guessed."""

import re
from dataclasses import dataclass

from kd_lab.classroom.lesson import Lesson, tags

WORDS_PER_MINUTE = 180
EXPLORER_MINUTES = 3
TOLERANCE = 0.25
"""The share by which the minutes on a lesson's card may differ from the sum of its parts."""


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
    cells = [cell for cell in lesson.cells() if "teacher" not in tags(cell)]
    prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    code = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
    exercises = re.findall(r"^### Exercise .*?(\d+) minutes\)$", prose, re.MULTILINE)
    explorers = len(re.findall(r"\.show\(\)", code))
    return Minutes(words(prose) / WORDS_PER_MINUTE, sum(map(int, exercises)), EXPLORER_MINUTES * explorers)


def minutes_on_card(lesson: Lesson) -> int:
    """The minutes that the card promises; where it names those of several sections, their sum.

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
    return sum(map(int, found))
