from kd_lab.book.__main__ import contents, index_page, way_in, write_sources
from kd_lab.classroom.lesson import find_lessons

(LESSON,) = find_lessons(numbers=["03"])


def test_a_lesson_in_one_line_has_its_promise_and_its_minutes():
    line = way_in(LESSON)
    assert line.startswith("- [03 · HOW: which KL](lessons/03_which_kl.ipynb): After this lesson you can")
    assert "minutes to read and do" in line
    assert "\n" not in line


def test_an_optional_lesson_says_so():
    (optional,) = find_lessons(numbers=["04b"])
    assert "may be skipped" in way_in(optional)


def test_the_first_page_leads_everywhere():
    page = index_page([LESSON])
    assert "{{" not in page
    for place in ("lessons/index", "methods/index", "reference/index", "claims"):
        assert f"\n{place}\n" in page


def test_a_list_of_pages():
    assert contents("Methods", ["gkd", "rkd"]).endswith(":maxdepth: 1\n\ngkd\nrkd\n```\n")


def test_all_sources_are_written_without_running_a_lesson(tmp_path):
    write_sources(tmp_path / "source", [LESSON], [], tmp_path / "recordings")
    written = {
        str(file.relative_to(tmp_path / "source")) for file in (tmp_path / "source").rglob("*") if file.is_file()
    }
    assert {"index.md", "claims.md", "lessons/03_which_kl.ipynb", "lessons/index.md"} <= written
    assert {"methods/gkd.rst", "reference/how.rst", "_static/player.js", "_static/book.css"} <= written
    assert not (tmp_path / "recordings").exists()
