from kd_lab.book.ways_in import contents, in_short, index_page, way_in
from kd_lab.classroom.lesson import find_lessons

LESSONS = {lesson.number: lesson for lesson in find_lessons()}


def test_a_lesson_in_one_line_has_its_promise_and_its_minutes():
    line = way_in(LESSONS["03"])
    assert line.startswith("- [03 · HOW: which KL](lessons/03_which_kl.ipynb): After this lesson you can")
    assert "*40 minutes to read and do. Without the exercises it is 1" in line
    assert "\n" not in line


def test_a_part_or_a_lesson_that_may_be_skipped_is_named():
    assert in_short(LESSONS["04b"]).endswith("You may skip this lesson.")
    assert in_short(LESSONS["05"]).count("“") == 3
    assert ", and 20 more that are optional." in in_short(LESSONS["05"])
    assert "skip" not in in_short(LESSONS["03"])


def test_a_second_sitting_is_not_to_be_skipped():
    words = in_short(LESSONS["04"])
    assert "in a second sitting" in words
    assert "skip" not in words


def test_every_line_is_whole():
    for lesson in LESSONS.values():
        assert in_short(lesson)[0].isdigit(), lesson.name
        assert "(" not in in_short(lesson), lesson.name


def test_the_first_page_leads_everywhere():
    page = index_page([LESSONS["03"]])
    assert "{{" not in page
    for place in ("lessons/index", "methods/index", "reference/index", "claims", "trainers"):
        assert f"\n{place}\n" in page


def test_a_list_of_pages():
    page = contents("Methods", ["gkd", "rkd"], ["a line"])
    assert page.startswith("# Methods\n\na line\n")
    assert page.endswith(":hidden:\n\ngkd\nrkd\n```\n")
