"""The tests to run before a commit: those that name a module that changed, and the rules of the house.

    python tests/changed.py

prints folders and files for pytest. What changed is what differs from the main branch, or what is not committed. A
change of kd_lab/how/sparse.py is tested by its doctests and by the files of tests/how that name `sparse`; a change of a
lesson, or of a notebook, also by the rules for the pages of all lessons.
"""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = ["tests/lessons/test_lesson_pages.py", "tests/lessons/test_lesson_sources.py"]
ALWAYS = ["tests/test_house.py", "tests/test_english.py", "tests/test_init.py", "tests/test_setup_files.py"]


def git(*arguments: str) -> list[str]:
    """The lines that git answers with; none where there is no repository."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def changed_files() -> list[str]:
    """Paths that differ from where this branch left main, that are not committed, or that git does not know yet."""
    base = git("merge-base", "HEAD", "origin/main") or git("merge-base", "HEAD", "main") or ["HEAD"]
    return [*git("diff", "--name-only", base[0]), *git("ls-files", "--others", "--exclude-standard")]


def mirrors_of(files: list[str]) -> list[str]:
    """Test files, and the files whose doctests run, for changed files.

    >>> mirrors_of(["tests/how/logit_pairs.py", "README.md"])[-1]
    'tests/how'
    """
    chosen = set()
    for file in map(Path, files):
        if file.suffix == ".ipynb" or file.parts[:2] == ("kd_lab", "lessons"):
            chosen |= set(map(Path, PAGES))
        if file.parts[0] not in ("kd_lab", "tests") or file.suffix != ".py":
            continue
        folder = Path("tests", *file.parts[1:-1])
        if file.parts[0] == "tests":
            chosen |= {file} if file.name.startswith("test_") or folder == Path("tests") else {folder}
        else:
            chosen |= {file} | files_naming(file.stem, folder)
    return ALWAYS + sorted(path.as_posix() for path in chosen if (ROOT / path).exists() and path.name != "lesson.py")


def files_naming(module: str, folder: Path) -> set[Path]:
    """The test files of a folder that name a module; the whole folder where none does, as for `__init__`."""
    word = re.compile(rf"\b(?:test_)?{module}\b")
    tests = sorted((ROOT / folder).glob("test_*.py"))
    naming = {test for test in tests if word.search(f"{test.stem} {test.read_text(encoding='utf-8')}")}
    return {test.relative_to(ROOT) for test in naming} or {folder}


if __name__ == "__main__":
    print(" ".join(mirrors_of(changed_files())))
