"""JupyterLab on a learner's copies: at the lesson that comes next, without questions about news."""

import os
import re
from pathlib import Path

from kd_lab.classroom.copies import latest, lay_out
from kd_lab.classroom.lesson import ROOT, Lesson, lessons_of
from kd_lab.classroom.overview import is_done
from kd_lab.classroom.progress import answers

SETTINGS = Path(__file__).parent / "jupyter"
"""A folder of Jupyter's configuration. It holds defaults, so a learner's own settings go before them."""


def in_checkout() -> bool:
    """Whether the lessons' notebooks and the README lie beside the package."""
    return (ROOT / "lessons").is_dir() and (ROOT / "README.md").is_file()


def desk() -> Path:
    """The folder of the copies: work/ in a checkout, else kd_lab_work/ in the current folder."""
    return ROOT / "work" if in_checkout() else Path.cwd() / "kd_lab_work"


def chosen(number: str | None, kept: dict[str, str]) -> Lesson:
    """The lesson with this number; without one, the first whose exercises are not all solved.

    Args:
        number: such as "03" or "3b".
        kept: the learner's answers.

    Raises:
        ValueError: no lesson has this number.
    """
    lessons = lessons_of()
    if number is None:
        return next((lesson for lesson in lessons if not is_done(lesson, kept)), lessons[0])
    wanted = re.sub(r"^(?=\d(\D|$))", "0", number.lower())  # 3 is 03, 3b is 03b
    for lesson in lessons:
        if wanted == lesson.number:
            return lesson
    raise ValueError(f"there is no lesson {number!r}; there are {', '.join(lesson.number for lesson in lessons)}")


def command(notebook: Path, root: Path) -> list[str]:
    """The arguments of JupyterLab: what it opens, and the folder that its file browser shows."""
    options = [str(notebook), f"--ServerApp.root_dir={root}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        options.append("--allow-root")
    return options


def open_lab(number: str | None = None, folder: Path | None = None, options: list[str] | None = None) -> None:
    """Bring the copies up to date and run JupyterLab on one of them, until it is stopped.

    Args:
        number: the lesson to open, such as "03"; the first that is not done by default.
        folder: of the copies; `desk()` by default.
        options: more of JupyterLab's, such as "--no-browser".

    Raises:
        ValueError: no lesson has this number, or the folder cannot be written.
    """
    from jupyterlab.labapp import LabApp

    try:
        lesson = chosen(number, answers())
    except ValueError as error:
        hint = "; the value of an option of JupyterLab goes behind =, as in --port=8889" if options else ""
        raise ValueError(f"{error}{hint}") from error
    shown = ROOT if folder is None and in_checkout() else folder or desk()
    # Links stay as they are: Jupyter compares the two as texts, and refuses a copy that lies outside its root.
    root, folder = (Path(os.path.abspath(place)) for place in (shown, folder or desk()))
    print("\n".join([f"Your copies of the lessons are in {folder}", *lay_out(lessons_of(), folder)]), flush=True)
    paths = [os.environ.get("JUPYTER_CONFIG_PATH", ""), str(SETTINGS)]
    os.environ["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, paths))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads of a kernel that wait do not spin
    LabApp.launch_instance([*command(latest(lesson, folder), root), *(options or [])])
