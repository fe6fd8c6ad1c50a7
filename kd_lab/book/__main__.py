"""Build the book: `make book`, or `python -m kd_lab.book [--record 03 …] [--out DIR]`."""

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from tqdm import tqdm

from kd_lab.book.pages import copy_pictures, lesson_page
from kd_lab.book.recording import recording_of
from kd_lab.book.reference import (
    MODULES,
    PACKAGES,
    claims_page,
    lessons_by_target,
    link_targets,
    method_pages,
    methods_table,
    package_line,
    reference_page,
)
from kd_lab.book.settings import application
from kd_lab.book.trainers import trainers_page
from kd_lab.book.ways_in import contents, index_page, way_in
from kd_lab.classroom.build import BuildError
from kd_lab.classroom.lesson import ROOT, Lesson, find_lessons

SITE = Path(__file__).parent / "site"


def write_sources(folder: Path, lessons: Sequence[Lesson], recorded: Sequence[str], recordings: Path) -> None:
    """Write all that Sphinx reads.

    Args:
        folder: where; emptied first.
        lessons: the pages.
        recorded: the numbers of those whose explorers play back.
        recordings: where what was recorded is kept between two builds.
    """
    shutil.rmtree(folder, ignore_errors=True)
    static = folder / "_static"
    static.mkdir(parents=True)
    for name in ("player.js", "book.css", "favicon.svg"):
        shutil.copy(SITE / name, static)
    links = link_targets()
    (folder / "lessons").mkdir()
    for lesson in tqdm(lessons, desc="lessons"):
        recording = recording_of(lesson, recordings) if lesson.number in recorded else None
        if recording:
            copy_pictures(recording, static, lesson)
        nbformat.write(lesson_page(lesson, recording, links), folder / "lessons" / lesson.notebook.name)
    pages = {f"reference/{name}.rst": reference_page(name) for name in (*PACKAGES, *MODULES)}
    pages |= {f"methods/{name}.rst": text for name, text in method_pages(lessons).items()}
    pages |= {"claims.md": claims_page(lessons), "index.md": index_page(lessons), "trainers.md": trainers_page()}
    lines = [way_in(lesson, folder="") for lesson in lessons]
    pages["lessons/index.md"] = contents("Lessons", [lesson.name for lesson in lessons], lines)
    pages["methods/index.md"] = contents("Methods", method_pages(lessons), methods_table())
    pages["reference/index.md"] = contents("Library", (*MODULES, *PACKAGES), map(package_line, (*MODULES, *PACKAGES)))
    for name, text in pages.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def build(out: Path, numbers: Sequence[str], recorded: Sequence[str]) -> Path:
    """Build the site and return the folder of its pages.

    Raises:
        BuildError: a lesson failed while it was recorded, or Sphinx found an error.
    """
    lessons = find_lessons(ROOT, list(numbers))
    source, pages = out / "source", out / "html"
    write_sources(source, lessons, recorded, out / "recordings")
    shutil.rmtree(pages, ignore_errors=True)
    with (out / "sphinx.log").open("w", encoding="utf-8") as log:
        app = application(source, pages, out / "doctrees", log, link_targets(), lessons_by_target(lessons))
        app.build(force_all=True)
    if app.statuscode:
        raise BuildError(f"Sphinx found an error; its log is {out / 'sphinx.log'}")
    remove_unused_mathematics(pages / "_static" / "mathjax")
    return pages


def remove_unused_mathematics(folder: Path) -> None:
    """MathJax comes with twenty bundles, of which the pages load one, and with a second way of drawing."""
    for bundle in folder.glob("*.js"):
        if bundle.name != "tex-chtml.js":
            bundle.unlink()
    for unused in ("adaptors", "output/svg", "input/mml", "input/asciimath.js"):
        path = folder / unused
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m kd_lab.book", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "book")
    parser.add_argument("--lessons", nargs="*", default=[], metavar="NN", help="only these; all by default")
    parser.add_argument("--record", nargs="*", metavar="NN", help="run only these for their explorers; all by default")
    options = parser.parse_args(arguments)
    start = time.perf_counter()
    try:
        everything = [lesson.number for lesson in find_lessons(ROOT, options.lessons)]
        recorded = everything if options.record is None else options.record
        pages = build(options.out, everything, recorded)
    except (BuildError, ValueError) as error:
        print(f"book stopped: {error}", file=sys.stderr)
        return 1
    size = sum(file.stat().st_size for file in pages.rglob("*") if file.is_file())
    print(f"{pages / 'index.html'}  {size / 2**20:.0f} MiB, {time.perf_counter() - start:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
