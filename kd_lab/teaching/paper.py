"""Pages as PDF, printed by the Chromium or Chrome of this machine."""

import shutil
import subprocess
import tempfile
from pathlib import Path

NAMES = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome")
ON_MACOS = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
SECONDS = 120
FLAGS = (  # without a sandbox, which root has none of: the pages are our own and fetch nothing
    *("--headless", "--disable-gpu", "--no-sandbox", "--no-first-run", "--disable-background-networking"),
    *("--no-pdf-header-footer", "--virtual-time-budget=20000"),  # so that formulas are set before the page is printed
)


def chromium() -> str | None:
    """The path of a Chromium, or None where there is none. A snap comes last: it sees no page under /tmp."""
    found = [program for program in map(shutil.which, NAMES) if program]
    found += [str(ON_MACOS)] if ON_MACOS.exists() else []
    return min(found, key=is_snap, default=None)


def is_snap(program: str) -> bool:
    """Whether a program is a snap, or Ubuntu's script that starts one: such a program has a /tmp of its own."""
    places = (Path(program), Path(program).resolve())
    if any(place.parts[:2] == ("/", "snap") or place.name == "snap" for place in places):
        return True
    try:
        with places[1].open("rb") as file:
            start = file.read(4096)
    except OSError:  # it may be run and not read
        return False
    return start.startswith(b"#!") and b"/snap/bin/" in start


def print_page(program: str, page: Path) -> Path:
    """Print a page of HTML into a PDF beside it.

    Args:
        program: from `chromium()`.
        page: the HTML file.

    Raises:
        ValueError: Chromium ended without a PDF; the message holds its last words.
    """
    paper = page.with_suffix(".pdf")
    paper.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        place = (f"--user-data-dir={profile}", f"--print-to-pdf={paper.resolve()}", page.resolve().as_uri())
        try:
            said = subprocess.run([program, *FLAGS, *place], capture_output=True, text=True, timeout=SECONDS).stderr
        except subprocess.TimeoutExpired:
            said = f"no answer within {SECONDS} s"
    if not paper.exists():
        raise ValueError(f"{program} wrote no {paper.name}: {said.strip()[-300:]}; open {page} and print it by hand")
    return paper
