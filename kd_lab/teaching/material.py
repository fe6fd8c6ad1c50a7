"""The parts of a lesson that a class sees: hook, hand examples, filmstrips, claims, recap, questions to discuss.

Pictures and claims come from the executed notebook, texts from its source.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser

import nbformat
from nbformat import NotebookNode

from kd_lab.classroom.claim import Claim
from kd_lab.classroom.claims import claims_in
from kd_lab.classroom.lesson import Lesson, tags
from kd_lab.teaching.notes import WHO

BY_HAND = re.compile(r"(?:### |\*\*)?By hand\b")
NAMED = re.compile(r"^Explorer “(.+?)”: ")
ELSEWHERE = re.compile(r"#|\*\*(?:Derive|Experiment|Explore|Two counterfeits|Is it right)")
"""A paragraph that begins in this way is no longer part of a hand example."""


@dataclass(frozen=True)
class Picture:
    """A picture of a lesson, as a data URI."""

    source: str
    alt: str
    caption: str  # Markdown


@dataclass(frozen=True)
class Film:
    """A few settings of an explorer, side by side."""

    explorer: str  # its name
    pictures: tuple[Picture, ...]


class Pictures(HTMLParser):
    """The pictures of an output, and the text of the paragraphs behind each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str, list[str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if tag == "img":
            self.found.append((given.get("src") or "", given.get("alt") or "", []))

    def handle_data(self, data: str) -> None:
        if self.found and data.strip():
            self.found[-1][2].append(data.strip())


@dataclass(frozen=True)
class Material:
    """The parts of a built lesson that a class sees; texts are Markdown."""

    promise: str
    hook: Picture | None
    by_hand: tuple[str, ...]
    films: tuple[Film, ...]
    claims: tuple[Claim, ...]
    recap: str
    questions: tuple[str, ...]  # to discuss
    last_cell: int  # the highest number that a cell bears


def material_of(lesson: Lesson) -> Material:
    """The material of a lesson from its source and its executed notebook."""
    notebook = nbformat.read(lesson.notebook, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    hook = next((pictures[0] for cell in code for pictures in [pictures_of(cell)] if pictures), None)
    return Material(
        promise=prose(lesson)[0].split("\n\n")[1],
        hook=hook,
        by_hand=tuple(text for source in prose(lesson) for text in hand_examples(source)),
        films=tuple(films_of(code)),
        claims=tuple(claims_in(notebook)),
        recap=section(lesson, "Recap"),
        questions=discuss_questions(section(lesson, "Discuss")),
        last_cell=max((cell.execution_count or 0 for cell in code), default=0),
    )


def prose(lesson: Lesson) -> list[str]:
    """The texts of a lesson, cell by cell, as learners see them."""
    return [c.source for c in lesson.cells() if c.cell_type == "markdown" and "teacher" not in tags(c)]


def section(lesson: Lesson, name: str) -> str:
    """The text under a heading of the second level; empty where there is none."""
    found = re.search(rf"^## {name}$(.*?)(?=^## |\Z)", "\n\n".join(prose(lesson)), re.MULTILINE | re.DOTALL)
    return found[1].strip() if found else ""


def discuss_questions(text: str) -> tuple[str, ...]:
    """The questions of a section “Discuss”: a numbered list gives one for each number, any other text is one.

    >>> discuss_questions("*For two people.* Why\\nis that?")
    ('Why is that?',)
    >>> discuss_questions("*For two people.*\\n\\n1. Why?\\n2. How?")
    ('Why?', 'How?')
    """
    text = re.sub(WHO, "", text)
    numbered = re.split(r"^\d+\. ", text, flags=re.MULTILINE)
    found = numbered[1:] if len(numbered) > 1 and not numbered[0].strip() else [text]
    return tuple(" ".join(one.split()) for one in found if one.strip())


def hand_examples(source: str) -> list[str]:
    """The examples by hand in one cell of text: from the words “By hand” to what is no longer part of it.

    >>> hand_examples("Before.\\n\\n**By hand.** $1+1$\\n\\nis two.\\n\\n### Exercise\\n\\nmore")
    ['**By hand.** $1+1$\\n\\nis two.']
    """
    found: list[list[str]] = []
    inside = False
    for paragraph in source.split("\n\n"):
        if BY_HAND.match(paragraph):
            found.append([])
            inside = True
        elif ELSEWHERE.match(paragraph):
            inside = False
        if inside:
            found[-1].append(paragraph.removeprefix("### "))
    return ["\n\n".join(paragraphs) for paragraphs in found]


def films_of(cells: Sequence[NotebookNode]) -> Iterator[Film]:
    """The filmstrips of some cells, each with the name of the explorer that stands before it."""
    name = ""
    for cell in cells:
        texts = "".join(output.get("data", {}).get("text/plain", "") for output in cell.outputs)
        if found := NAMED.search(texts):
            name = found[1]
        if ".filmstrip(" in cell.source and (pictures := pictures_of(cell)):
            yield Film(name, tuple(pictures))


def pictures_of(cell: NotebookNode) -> list[Picture]:
    """The pictures that a cell left, each with its caption or with the text beside it."""
    found: list[Picture] = []
    for output in cell.outputs:
        data = output.get("data", {})
        for source, alt, texts in Pictures(data.get("text/html", "")).found:
            found.append(Picture(source, alt, captioned(texts)))
        if "text/markdown" in data and found and not found[-1].caption:
            found[-1] = Picture(found[-1].source, found[-1].alt, data["text/markdown"].strip().strip("*"))
    return found


def captioned(texts: list[str]) -> str:
    """The heading beside a picture in bold, and its sentence."""
    return f"**{texts[0]}** {' '.join(texts[1:])}".strip() if texts else ""
