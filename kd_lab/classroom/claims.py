"""Print what the lessons claim and measured: `python -m kd_lab.classroom.claims [02 …] [--run]`."""

import argparse
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from kd_lab.classroom.build import BuildError, execute
from kd_lab.classroom.claim import CLAIM_MIME, Claim
from kd_lab.classroom.lesson import ROOT, Lesson, edition_of, find_lessons
from kd_lab.classroom.terminal import print_in_any_encoding


def claims_in(notebook: NotebookNode) -> list[Claim]:
    """The claims that an executed notebook carries, in their order."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [Claim.from_json(output.data[CLAIM_MIME]) for output in outputs if CLAIM_MIME in output.get("data", {})]


def claims_of(lesson: Lesson, run: bool = False) -> list[Claim]:
    """The claims of a lesson: those of its built notebook, or of a fresh run.

    Raises:
        ValueError: the notebook has not been built.
    """
    if run:
        with tempfile.TemporaryDirectory() as cache:
            return claims_in(execute(edition_of(lesson, "unsolved"), lesson, Path(cache)).notebook)
    if not lesson.notebook.exists():
        raise ValueError(
            f"{lesson.notebook} does not exist; build it with python -m kd_lab.classroom.build {lesson.number}, "
            "or add --run"
        )
    return claims_in(nbformat.read(lesson.notebook, as_version=4))


def table(rows: Iterable[tuple[str, Claim]]) -> str:
    """Claim · lesson · measured value ± interval · verdict, one line each.

    >>> print(table([("00", Claim("C00b", "The chain rule is exact.", (2e-9,), "nats", "holds"))]))
    claim  lesson  measured    verdict  sentence
    C00b   00      2e-09 nats  holds    The chain rule is exact.
    """
    lines = [("claim", "lesson", "measured", "verdict", "sentence")]
    lines += [(c.id, lesson, c.measured(), c.verdict, c.sentence) for lesson, c in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return "\n".join(
        "  ".join([*(text.ljust(width) for text, width in zip(line[:4], widths, strict=True)), line[4]])
        for line in lines
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kd_lab.classroom.claims", description=__doc__)
    parser.add_argument("lessons", nargs="*", metavar="NN", help="numbers of lessons; all by default")
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (default: this one)")
    parser.add_argument("--run", action="store_true", help="run the lessons now instead of reading the built notebooks")
    options = parser.parse_args(arguments)
    print_in_any_encoding()
    try:
        lessons = find_lessons(options.root, options.lessons)
        print(table((lesson.number, claim) for lesson in lessons for claim in claims_of(lesson, options.run)))
    except (BuildError, ValueError) as error:
        print(f"claims stopped: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
