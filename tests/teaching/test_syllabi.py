"""The syllabi name lessons that exist, in an order in which they can be taught, at a cost that students can bear."""

import re

import pytest

from kd_lab.classroom.lesson import find_lessons
from kd_lab.classroom.minutes import minutes_on_card
from kd_lab.classroom.overview import title_of
from kd_lab.teaching.notes import LENGTHS
from kd_lab.teaching.pages import home_minutes, syllabus
from kd_lab.teaching.syllabi import SYLLABI

LESSONS = {lesson.number: lesson for lesson in find_lessons()}
HOME = 90
"""Minutes of whole lessons that a week may ask for at home."""


def numbers(week):
    return [*(one for one, _ in week.in_class), *week.at_home]


@pytest.mark.parametrize("weeks", SYLLABI)
def test_a_syllabus_names_lessons_in_an_order_that_can_be_taught(weeks):
    plan = SYLLABI[weeks]
    assert len(plan) == weeks
    seen = set()
    for week in plan:
        assert set(numbers(week)) <= set(LESSONS)
        assert all(minutes in LENGTHS for _, minutes in week.in_class)
        assert sum(minutes for _, minutes in week.in_class) <= max(LENGTHS)
        assert home_minutes(week, LESSONS) <= HOME
        assert all(len(minutes_on_card(LESSONS[one])) > 1 for one in week.later)
        for one in numbers(week):  # of the lessons that its card asks for, all that the syllabus has came before
            card = next(cell.source for cell in LESSONS[one].cells() if "card" in cell.metadata.get("tags", []))
            before = re.search(r"\*\*Before this:\*\*(.*)", card)
            asked = set(re.findall(r"\((\d\d[a-z]?)_\w+\.ipynb\)", before[1])) if before else set()
            assert asked <= seen | set(numbers(week)), (one, asked - seen)
        seen |= set(numbers(week))


def test_fourteen_weeks_hold_the_whole_course():
    missing = set(LESSONS) - {one for week in SYLLABI[14] for one in numbers(week)}
    assert not missing, f"give lessons {sorted(missing)} a week in kd_lab/teaching/syllabi.py"


def test_the_page_adds_up_the_minutes_of_the_cards():
    page = syllabus(SYLLABI[6], LESSONS, {number: title_of(lesson) for number, lesson in LESSONS.items()})
    whole = [minutes_on_card(LESSONS[one]) for week in SYLLABI[6] for one in week.at_home]
    later = [minutes_on_card(LESSONS[one])[1:] for week in SYLLABI[6] for one in week.later]
    alone = sum(map(sum, whole + later))
    in_class = sum(minutes for week in SYLLABI[6] for _, minutes in week.in_class)
    assert f"In all {in_class} minutes in class and {alone} minutes alone" in page
    assert page.count("<tr>") == 1 + len(SYLLABI[6])
