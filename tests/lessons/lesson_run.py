"""One execution of a lesson, from which every test of that lesson reads what it needs.

A lesson takes up to a minute and a half, so it runs from top to bottom once, unsolved, as a learner meets it: in a
browser, or in a kernel alone where there is no browser. Then, in the same kernel, its exercises are answered, by their
solutions and by every right but unusual answer. After each of these the cells that call the learner's functions run
again, and those that read a value whose form is another now; the rest would compute what it computed before. At last
every explorer moves through its settings.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Protocol

import nbformat
from nbformat import NotebookNode
from repeated import bound_there_alone, callers, readers

from kd_lab.classroom.build import ROOT
from kd_lab.classroom.claim import Claim
from kd_lab.classroom.claims import claims_in
from kd_lab.classroom.diagnosis import Exercise, exercises_of
from kd_lab.classroom.elsewhere import stored, table
from kd_lab.classroom.exercise import EXERCISE_MIME
from kd_lab.classroom.lesson import Lesson, edition_of, exercise_function, exercise_of, tags


class Session(Protocol):
    """A notebook that is open: `lab_driver.Notebook` in a browser, or `kernel_alone.KernelAlone`."""

    def run_all(self) -> None: ...
    def run_cell(self, index: int, source: str | None = None) -> None: ...
    def cells(self) -> list[dict[str, Any]]: ...
    def outputs(self, index: int) -> list[dict[str, Any]]: ...
    def shut_down(self) -> None: ...


@dataclass(frozen=True)
class Answered:
    """What came out when the exercises were answered."""

    cells: NotebookNode  # answers, and the cells that ran again, in the order in which they ran
    sweep: NotebookNode  # the one cell that moved every explorer


class Run:
    """The execution of one lesson.

    Args:
        lesson: which.
        open_session: opens its notebook; called again where the answers are asked for after `end`.
    """

    def __init__(self, lesson: Lesson, open_session: Callable[[], Session]):
        self.lesson, self.open_session = lesson, open_session
        self.session: Session | None = None
        self.unsolved = nbformat.from_dict({"cells": self.begun().cells()})

    def begun(self) -> Session:
        """The open notebook, run from top to bottom."""
        if self.session is None:
            self.session = self.open_session()
            self.session.run_all()
        return self.session

    def end(self) -> None:
        if self.session is not None:
            self.session.shut_down()
            self.session = None

    @cached_property
    def answered(self) -> Answered:
        return answer(self.begun(), self.lesson)

    @property
    def claims(self) -> dict[str, tuple[Claim, ...]]:
        found: dict[str, tuple[Claim, ...]] = {}
        for claim in claims_in(self.unsolved):
            found[claim.id] = (*found.get(claim.id, ()), claim)
        return found


def answer(session: Session, lesson: Lesson) -> Answered:
    """Answer every exercise of a lesson that has run, and run again what the answers change."""
    solved, exercises = edition_of(lesson, "solved").cells, exercises_of(lesson.number)
    done: list[NotebookNode] = []

    def run(index: int, source: str) -> None:
        session.run_cell(index, source)
        outputs, metadata = map(nbformat.from_dict, (session.outputs(index), solved[index].metadata))
        done.append(nbformat.v4.new_code_cell(source, outputs=outputs, metadata=metadata))

    def forms() -> dict[str, str]:
        session.run_cell(last, "from forms import print_forms\n\nprint_forms(globals())")
        return json.loads("".join(output["text"] for output in session.outputs(last)))

    last = max(index for index, cell in enumerate(solved) if cell.cell_type == "code")
    before = forms()
    for turn in range(max(1, *(len(one.unusual) for one in exercises.values()))):
        identifiers = {name for name, one in exercises.items() if turn < max(1, len(one.unusual))}
        again = callers(solved, identifiers)
        for index, cell in enumerate(solved):
            if (identifier := exercise_of(cell)) in identifiers:
                for source in answers(identifier, exercises[identifier], cell.source, turn):
                    run(index, source)
            elif index in again:
                run(index, cell.source)
        after = forms()
        changed = {name for name in bound_there_alone(solved, again) if before.get(name) != after.get(name)}
        for index in readers(solved, changed):
            if index not in again:
                run(index, solved[index].source)
    pictures = str(ROOT / "build" / "explorers" / lesson.name)  # for people to look at
    run(last, f"from kd_lab.viz.sweep import sweep_all\n\nsweep_all({pictures!r})")
    return Answered(nbformat.from_dict({"cells": done[:-1]}), done[-1])


def answers(identifier: str, exercise: Exercise, solved: str, turn: int) -> list[str]:
    """The cells of an exercise in one turn: at first its solution, and one unusual answer in each."""
    name = exercise_function(solved).name
    unusual = (
        "from kd_lab.classroom.diagnosis import find_exercise\n\n"
        f'{name} = exercise("{identifier}")(find_exercise("{identifier}").unusual[{turn}])'
    )
    return [solved] * (turn == 0) + [unusual] * (turn < len(exercise.unusual))


def states(cells: Sequence[NotebookNode]) -> dict[str, list[str]]:
    """Exercise -> what the cells say of it, from the first to the last."""
    found: dict[str, list[str]] = {}
    for cell in cells:
        for output in cell.get("outputs", []):
            if state := output.get("data", {}).get(EXERCISE_MIME):
                found.setdefault(state["id"], []).append(state["state"])
    return found


def errors(cells: Sequence[NotebookNode]) -> list[str]:
    """Every error that a cell ended with, with the cell and its traceback."""
    return [
        "\n".join([cell["source"], "-" * 40, *output["traceback"]])
        for cell in cells
        for output in cell.get("outputs", [])
        if output["output_type"] == "error"
    ]


def verdicts(notebook: NotebookNode) -> list[tuple[str, str, Claim | None]]:
    """Every claim: its number, its sentence without digits, and the claim.

    The claims of cells that measure seconds have None for the last.
    """
    return [
        (claim.id, without_digits(claim.sentence), None if "timing" in tags(cell) else claim)
        for cell in notebook.cells
        for claim in claims_in(NotebookNode(cells=[cell]))
    ]


def without_digits(sentence: str) -> str:
    """What other hardware does not change in it."""
    return re.sub(r"[\d.,]+", "#", sentence)


def contradictions(saved: NotebookNode, run: NotebookNode) -> list[str]:
    """The claims of two runs of one lesson that contradict each other."""
    before, after = verdicts(saved), verdicts(run)
    if [one[:2] for one in before] != [one[:2] for one in after]:
        return [f"other claims: {[one[:2] for one in before]} and {[one[:2] for one in after]}"]
    pairs = [(one[2], other[2]) for one, other in zip(before, after, strict=True) if one[2] and other[2]]
    return [f"{one.id}: {one.measured()} {one.verdict}, then {other.measured()} {other.verdict}"
            for one, other in pairs if contradict(one, other)]  # fmt: skip


NEAR = 1.0
"""Half widths by which a margin may move from one processor to another while a verdict becomes "open"."""


def contradict(one: Claim, other: Claim) -> bool:
    """Whether the verdicts of one claim in two runs contradict each other.

    A margin just beyond what a verdict needs may fall short of it on another processor. So "open" goes with a verdict
    where the margins are near each other, or where the machines of the stored table do not agree either.
    """
    if one.verdict == other.verdict:
        return False
    if one.margin is None or other.margin is None or "open" not in (one.verdict, other.verdict):
        return True
    return abs(one.margin - other.margin) > NEAR and (one.id, without_digits(one.sentence)) not in mixed()


@cache
def mixed() -> set[tuple[str, str]]:
    """The claims, as in `verdicts`, that some machines of the stored table find open and others do not."""
    rows = [row for row in table(stored()["runs"]) if len(set(row["verdicts"].values())) > 1]
    return {(row["id"], without_digits(row["sentence"])) for row in rows}
