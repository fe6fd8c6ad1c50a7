"""`kd-lab class …`: what a teacher of a graded class types."""

import argparse
import os
from pathlib import Path

ABOUT = """Graded classes with nbgrader.

  kd-lab class init COURSE        a course: settings, sources, a README that says what comes next
  kd-lab class package DIR        a wheel for students, without solutions, and the tested versions
  kd-lab class report SUBMITTED   who solved what, and which misconceptions occurred how often
  kd-lab class hub                what a JupyterHub for a class needs, by measurement

Then, in COURSE: nbgrader generate_assignment 03, and after the class nbgrader autograde 03.
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `class` and its commands to those of kd-lab."""
    raw = argparse.RawDescriptionHelpFormatter
    top = commands.add_parser("class", help="graded classes with nbgrader", description=ABOUT, formatter_class=raw)
    actions = top.add_subparsers(dest="action", required=True, metavar="ACTION")
    init = actions.add_parser("init", help="make a course, or renew what you left as it was")
    init.add_argument("dir", type=Path, metavar="COURSE")
    init.add_argument("lessons", nargs="*", metavar="NN", help="such as 03; by default all, or those of the course")
    package = actions.add_parser("package", help="build a wheel without solutions")
    package.add_argument("dir", type=Path, metavar="DIR")
    grade = actions.add_parser("grade", help="grade notebooks that nbgrader sends; its settings call this")
    grade.add_argument("dir", type=Path, metavar="COURSE")
    report = actions.add_parser("report", help="a table, and one page of pictures to show the class")
    which = "nbgrader's folder submitted/, as each student last ran the cells, or autograded/, as graded"
    report.add_argument("dir", type=Path, metavar="SUBMITTED", help=which)
    report.add_argument("--out", type=Path, default=Path("report.html"), help="the page (default: report.html)")
    report.add_argument("--names", action="store_true", help="name the students on the page; keep it to yourself then")
    hub = actions.add_parser("hub", help="memory and cores for a class on one JupyterHub")
    hub.add_argument("--students", type=int, default=40)
    hub.add_argument("lessons", nargs="*", metavar="NN", help="the lessons of the class; all by default")


def run(options: argparse.Namespace) -> None:
    """Carry out one of the commands.

    Raises:
        ValueError: a folder or lesson is wrong; the message says which.
    """
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports Triton: exercises on kernels are judged on this CPU
    from kd_lab.teaching.course import init
    from kd_lab.teaching.grading import serve
    from kd_lab.teaching.hub import needs
    from kd_lab.teaching.package import build_wheel
    from kd_lab.teaching.report import report

    if options.action == "init":
        print("\n".join(init(options.dir, options.lessons)))
    elif options.action == "package":
        wheel = build_wheel(options.dir)
        if (versions := wheel.with_name("constraints.txt")).exists():
            print(f"Students install it through {versions}:")
        print(wheel)
    elif options.action == "grade":
        serve(options.dir)
    elif options.action == "report":
        print(report(options.dir, options.out, options.names))
    else:
        print(needs(options.students, options.lessons))
