"""`python -m kd_lab`, or `kd-lab`: the course at a glance, and the commands that it names."""

import argparse
import contextlib
import sys
from pathlib import Path


def parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    top = argparse.ArgumentParser(prog="kd-lab", description="Without a command: the course at a glance.")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    lab = commands.add_parser("lab", help="open a lesson in JupyterLab; other options go there, as --port=8889")
    lab.add_argument("lesson", nargs="?", metavar="NN", help="such as 03; by default the first that is not done")
    lab.add_argument("--dir", type=Path, help="the folder of your copies")
    commands.add_parser("progress", help="list predictions, quiz answers and solved exercises")
    cache = commands.add_parser("cache", help="say where models are kept between runs and how large they are")
    cache.add_argument("--clear", action="store_true", help="remove them")
    lessons = commands.add_parser("lessons", help="copy the lessons").add_subparsers(required=True, metavar="copy")
    copy = lessons.add_parser("copy", help="into a folder of your own; a copy that you edited is never overwritten")
    copy.add_argument("dir", type=Path, metavar="DIR")
    with contextlib.suppress(ModuleNotFoundError):  # a class's own package has no part for teachers
        from kd_lab.teaching.commands import add_parser

        add_parser(commands)
    return top


def run(options: argparse.Namespace, rest: list[str]) -> None:
    """Carry out one command. The classroom is imported here and not above: the library does not rest on it."""
    from kd_lab.classroom.copies import lay_out
    from kd_lab.classroom.lab import desk, open_lab
    from kd_lab.classroom.lesson import lessons_of
    from kd_lab.classroom.overview import cache_line, clear_cache, overview
    from kd_lab.classroom.progress import answers, summary
    from kd_lab.classroom.terminal import print_in_any_encoding

    print_in_any_encoding()
    program = "kd-lab" if Path(sys.argv[0]).stem == "kd-lab" else "python -m kd_lab"
    if options.command == "lab":
        open_lab(options.lesson, options.dir, rest)
    elif options.command == "progress":
        print(summary(answers()))
    elif options.command == "cache":
        print(clear_cache() if options.clear else f"{cache_line()}; {program} cache --clear removes them")
    elif options.command == "class":
        from kd_lab.teaching.commands import run as run_class

        run_class(options)
    elif options.command == "lessons":
        print("\n".join([*lay_out(lessons_of(), options.dir), f"The lessons are in {options.dir.resolve()}"]))
    else:
        print(overview(answers(), desk(), program))


def main(arguments: list[str] | None = None) -> int:
    """Run `kd-lab` with these arguments, by default those of the command line."""
    top = parser()
    options, rest = top.parse_known_args(arguments)
    if rest and options.command != "lab":
        top.error(f"unknown: {' '.join(rest)}")
    try:
        run(options, rest)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("kd_lab"):
            raise
        print(f"{error.name} is not installed: the course needs kd_lab with its extra [course]", file=sys.stderr)
        return 1
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
