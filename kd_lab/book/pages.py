"""A lesson as a page to read: explorers play back, predictions and quizzes unfold, names of the library are links."""

import html
import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_output

from kd_lab.book.docstrings import CODE
from kd_lab.book.ways_in import in_short
from kd_lab.classroom.claim import CLAIM_MIME
from kd_lab.classroom.exercise import EXERCISE_MIME
from kd_lab.classroom.lesson import Lesson
from kd_lab.classroom.panel import with_code
from kd_lab.classroom.questions import COVERED, questions_of

EXPLORER = re.compile(r"^Explorer “(.+?)”: run this cell to move it\. (.*)$", re.DOTALL)


CHECKED = (
    '<p class="playback-note">In JupyterLab this cell checks your lines: it names a misconception and shows the '
    "smallest case on which it matters.</p>"
)


def lesson_page(lesson: Lesson, recording: Mapping[str, Any] | None, links: Mapping[str, str]) -> NotebookNode:
    """The built notebook of a lesson, with everything that asked for a kernel turned into something to read.

    Args:
        lesson: built, with its outputs.
        recording: from `recording_of`; without one, explorers show their sentence and predictions their options.
        links: names of the library → the targets of their reference.
    """
    notebook = nbformat.read(lesson.notebook, as_version=4)
    numbers: dict[str, int] = {}
    notebook.cells[0].source += f"\n\n*{in_short(lesson)}*"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source, links)
            continue
        outputs = []
        for output in cell.outputs:
            text = output.get("data", {}).get("text/plain", "")
            if CLAIM_MIME in output.get("data", {}):
                identifier = output.data[CLAIM_MIME]["id"]
                numbers[identifier] = numbers.get(identifier, 0) + 1
                outputs.append(page(with_anchor(output.data["text/html"], identifier, numbers[identifier])))
            elif EXERCISE_MIME in output.get("data", {}):
                outputs.append(page(CHECKED))
            elif found := EXPLORER.match(text):
                outputs.append(page(playback(lesson, found[1], found[2], recording)))
            elif text.startswith("Predict: "):
                outputs.append(page(prediction(text, recording)))
            elif text.startswith("Question 1 of "):
                outputs.append(page(quiz(lesson.number)))
            elif text != COVERED:
                outputs.append(output)
        cell.outputs = outputs
    return notebook


def page(source: str) -> NotebookNode:
    return new_output("display_data", {"text/html": source})


def linked(source: str, links: Mapping[str, str]) -> str:
    """Markdown whose inline code is a link where it names something public of the library.

    A link to a file that is no page becomes its path.

    >>> print(linked("Use `softmax_kl(q, p)`, not `forward`.", {"softmax_kl": "kd_lab.how.softmax_kl"}))
    Use {py:obj}`softmax_kl(q, p) <kd_lab.how.softmax_kl>`, not `forward`.
    """

    def role(found: re.Match[str]) -> str:
        target = links.get(found[1])
        return f"{{py:obj}}`{found[1]}{found[2] or ''} <{target}>`" if target else found[0]

    source = re.sub(r"\[([^\]]+)\]\(\.\./([^)]+)\)", r"\1 (`\2` in the repository)", source)
    parts = re.split(r"(^```.*?^```|^#.*?$)", source, flags=re.DOTALL | re.MULTILINE)
    return "".join(CODE.sub(role, part) if i % 2 == 0 else part for i, part in enumerate(parts))


def claim_anchor(identifier: str, number: int) -> str:
    """Where on a lesson's page a claim stands; the first of its parts has number 1."""
    return f"claim-{identifier.lower()}-{number}"


def with_anchor(source: str, identifier: str, number: int) -> str:
    """A claim under its anchor, with a link to its row among all claims."""
    anchor = claim_anchor(identifier, number)
    back = f'<p class="claim-back"><a href="../claims.html#{anchor}">{identifier} among all claims</a></p>'
    return f'<div id="{anchor}">{source}{back}</div>'


def playback(lesson: Lesson, name: str, sentence: str, recording: Mapping[str, Any] | None) -> str:
    """An explorer that plays back what was recorded; without a recording, its first sentence."""
    if recording is None or name not in recording["explorers"]:
        return f"<p><strong>{html.escape(name)}</strong>: {with_code(sentence)} In JupyterLab you move it yourself.</p>"
    folder = f"../_static/recordings/{lesson.name}/"
    data = recording["explorers"][name] | {"name": name, "folder": folder}
    first, said = data["frames"][",".join(map(str, data["start"]))]
    width, height = data["size"]
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return (
        f'<div class="playback"><script type="application/json">{text}</script>'
        f'<div class="frame"><img src="{folder}{first}" alt="{html.escape(said)}" width="{width}" height="{height}">'
        f"</div><p>{html.escape(said)}</p></div>"
        '<p class="playback-note">Recorded pictures: one control at a time where the combinations are many.</p>'
    )


def prediction(text: str, recording: Mapping[str, Any] | None) -> str:
    """A prediction with its options, and what happened in a fold."""
    question, *options = text.removeprefix("Predict: ").removesuffix("\nRun this cell to answer.").split("\n  ○ ")
    for one in (recording or {}).get("predictions", {}).values():
        if one["question"] == f"Predict: {question}" and one["right"] is not None:
            happened = f"{one['right'][:1].upper()}{one['right'][1:]}. {one['because']}".rstrip()
            return asked(f"Predict: {question}", options, "What happened", happened)
    return asked(f"Predict: {question}", options)


def quiz(number: str) -> str:
    """The questions of a lesson, each with its answer and the feedback on it in a fold."""
    questions = questions_of(number).QUIZ
    return "".join(
        asked(f"{i}. {one.text}", one.shuffled(), "Answer", f"{one.right}: {one.options[one.right]}")
        for i, one in enumerate(questions, 1)
    )


def asked(question: str, options: list[str], summary: str = "", answer: str = "") -> str:
    listed = "".join(f"<li>{with_code(option)}</li>" for option in options)
    fold = f"<details><summary>{summary}</summary><p>{with_code(answer)}</p></details>" if answer else ""
    return f'<div class="question"><p><strong>{with_code(question)}</strong></p><ul>{listed}</ul>{fold}</div>'


def copy_pictures(recording: Mapping[str, Any], static: Path, lesson: Lesson) -> int:
    """Copy the pictures of a lesson's recording to where its page looks for them; returns their bytes."""
    place = static / "recordings" / lesson.name
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(recording["folder"], place, ignore=shutil.ignore_patterns("*.json"))
    return sum(file.stat().st_size for file in place.iterdir())
