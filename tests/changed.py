"""The tests to run before a commit: those of the packages that changed, and the rules of the house.

    python tests/changed.py

prints folders and files for pytest. What changed is what differs from the main branch, or what is not committed. A
change under kd_lab/how is tested by tests/how and the doctests of kd_lab/how.
"""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
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
    """Folders of tests and of doctests for changed files.

    >>> mirrors_of(["kd_lab/how/sparse.py", "README.md"])[4:]
    ['kd_lab/how', 'tests/how']
    """
    chosen = set()
    for file in map(Path, files):
        if file.parts[0] not in ("kd_lab", "tests") or file.suffix != ".py" or len(file.parts) < 3:
            continue
        part = Path(*file.parts[1:3]) if file.parts[1] == "lessons" else Path(file.parts[1])
        chosen |= {Path("kd_lab") / part, Path("tests") / part}
    return ALWAYS + sorted(str(path) for path in chosen if (ROOT / path).exists())


if __name__ == "__main__":
    print(" ".join(mirrors_of(changed_files())))
