from kd_lab.book.__main__ import SITE, write_sources
from kd_lab.classroom.lesson import find_lessons

(LESSON,) = find_lessons(numbers=["03"])


def test_all_sources_are_written_without_running_a_lesson(tmp_path):
    write_sources(tmp_path / "source", [LESSON], [], tmp_path / "recordings")
    written = {
        str(file.relative_to(tmp_path / "source")) for file in (tmp_path / "source").rglob("*") if file.is_file()
    }
    assert {"index.md", "claims.md", "trainers.md", "lessons/03_which_kl.ipynb", "lessons/index.md"} <= written
    assert {
        "methods/gkd.rst",
        "reference/how.rst",
        "_static/player.js",
        "_static/book.css",
        "_static/favicon.svg",
    } <= written
    assert not (tmp_path / "recordings").exists()


def test_the_player_is_a_page_of_plain_javascript():
    text = (SITE / "player.js").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 80
    assert "import" not in text
