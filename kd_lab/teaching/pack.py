"""Build the teacher's pack: `make teaching`, or `python -m kd_lab.teaching.pack [03 …] [--out DIR]`.

For each lesson with teaching notes: a plan, slides, questions, their solutions, and rubrics, as HTML and, where there
is a Chromium, as PDF. For the course: syllabi of 6 and of 14 weeks, and projects. All of it
comes from the lessons' own sources.
"""

import argparse
import html
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from tqdm import tqdm

from kd_lab.classroom.lesson import ROOT, Lesson, find_lessons
from kd_lab.classroom.overview import title_of
from kd_lab.teaching.material import material_of
from kd_lab.teaching.notes import FILE, Notes, notes_in
from kd_lab.teaching.paper import chromium, print_page

KINDS = ("plan", "slides", "questions", "solutions", "rubrics")
NO_BOOK = "the pack needs the extra book: pip install -c constraints.txt -e '.[book]'"
NO_CHROMIUM = "no chromium, chromium-browser or google-chrome on the PATH: the pages are HTML only"


def write_lesson(lesson: Lesson, notes: Notes, folder: Path) -> list[Path]:
    """Write the pages of one lesson into its folder under `folder`, and return them."""
    from kd_lab.teaching import pages
    from kd_lab.teaching.slides import slides

    place = folder / lesson.name
    place.mkdir(parents=True, exist_ok=True)
    bodies = {
        "plan": pages.plan(lesson, notes),
        "questions": pages.questions(lesson, notes, solved=False),
        "solutions": pages.questions(lesson, notes, solved=True),
        "rubrics": pages.rubrics(notes),
    }
    files = {kind: pages.document(f"{notes.title}: {kind}", body, "../") for kind, body in bodies.items()}
    files["slides"] = slides(notes, material_of(lesson))
    written = []
    for kind in KINDS:
        written.append(place / f"{kind}.html")
        written[-1].write_text(files[kind], encoding="utf-8")
    return written


def write_course(lessons: Sequence[Lesson], folder: Path) -> list[Path]:
    """Write the syllabi and the projects, whichever lessons were chosen: a course is planned as a whole."""
    from kd_lab.teaching import pages
    from kd_lab.teaching.projects import PROJECTS
    from kd_lab.teaching.syllabi import SYLLABI

    by_number = {lesson.number: lesson for lesson in lessons}
    titles = {lesson.number: title_of(lesson) for lesson in lessons}
    written = []
    for weeks, plan in SYLLABI.items():
        written.append(folder / f"syllabus_{weeks}_weeks.html")
        body = pages.syllabus(plan, by_number, titles)
        written[-1].write_text(pages.document(f"kd_lab in {weeks} weeks", body, ""), encoding="utf-8")
    written.append(folder / "projects.html")
    body = pages.projects(PROJECTS, titles)
    written[-1].write_text(pages.document("Projects", body, ""), encoding="utf-8")
    return written


def copy_mathematics(folder: Path) -> None:
    """MathJax beside the pages, so that formulas are set without a network: one bundle and its fonts."""
    package = find_spec("sphinx-mathjax-offline")
    source = Path(str(package.origin)).parent / "static" / "mathjax"
    place = folder / "_static" / "mathjax"
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(source / "tex-chtml.js", place)
    shutil.copytree(source / "output" / "chtml", place / "output" / "chtml", dirs_exist_ok=True)


def index(written: Sequence[Path], folder: Path, titles: Mapping[str, str]) -> str:
    """The first page: a line for each lesson with its pages, as HTML and as PDF where they were printed.

    Args:
        written: the pages.
        folder: of the pack.
        titles: of the lessons, by the names of their folders; no other page is in one of these.
    """
    from kd_lab.teaching.pages import table

    def links(page: Path) -> str:
        place = page.relative_to(folder).as_posix()
        paper = f' (<a href="{place.removesuffix("html")}pdf">PDF</a>)' if page.with_suffix(".pdf").exists() else ""
        return f'<a href="{place}">{page.stem.replace("_", " ")}</a>{paper}'

    courses = "".join(f"<li>{links(page)}</li>" for page in written if page.parent.name not in titles)
    rows = []
    for name, title in titles.items():
        pages = [page for page in written if page.parent.name == name]
        rows += [(html.escape(title), *map(links, pages))] if pages else []
    return (
        f"<main><h1>kd_lab: the teacher's pack</h1><h2>A course</h2><ul>{courses}</ul>"
        f"<h2>A lesson</h2>{table(('lesson', *KINDS), rows)}</main>"
    )


def build(folder: Path, numbers: Sequence[str] = (), root: Path = ROOT, program: str | None = None) -> list[Path]:
    """Build the pack and return its pages.

    Args:
        folder: where.
        numbers: only these lessons; all that have teaching notes by default.
        root: the checkout.
        program: the Chromium that prints; without one there is HTML only.

    Raises:
        ValueError: there is no such lesson, a lesson that was asked for has no notes, its notes are not in the fixed
            form, the extra `book` is missing, or Chromium could not print.
    """
    if find_spec("mdit_py_plugins") is None or find_spec("sphinx-mathjax-offline") is None:
        raise ValueError(NO_BOOK)
    from kd_lab.teaching.pages import document

    chosen = {lesson: notes_in(lesson.folder) for lesson in find_lessons(root, list(numbers))}
    if numbers and (without := [lesson.number for lesson, notes in chosen.items() if notes is None]):
        raise ValueError(f"lesson {', '.join(without)} has no {FILE}; write one as in the folder of lesson 03")
    folder.mkdir(parents=True, exist_ok=True)
    copy_mathematics(folder)
    written = write_course(find_lessons(root), folder)
    for lesson, notes in tqdm(chosen.items(), desc="lessons"):
        written += write_lesson(lesson, notes, folder) if notes else []
    for page in tqdm(written, desc="PDF", disable=program is None):
        if program is not None:
            print_page(program, page)
    titles = {lesson.name: title_of(lesson) for lesson in chosen}
    first = folder / "index.html"
    first.write_text(document("kd_lab: the teacher's pack", index(written, folder, titles), ""), encoding="utf-8")
    return [first, *written]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kd_lab.teaching.pack", description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "lessons", nargs="*", metavar="NN", help="numbers of lessons; all with teaching notes by default"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "teaching", help="where the pack goes")
    parser.add_argument("--html", action="store_true", help="no PDF")
    options = parser.parse_args(arguments)
    start, program = time.perf_counter(), None if options.html else chromium()
    if program is None and not options.html:
        print(NO_CHROMIUM, file=sys.stderr)
    try:
        pages = build(options.out, options.lessons, program=program)
    except ValueError as error:
        print(f"pack stopped: {error}", file=sys.stderr)
        return 1
    print(f"{pages[0]}  {len(pages)} pages, {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
