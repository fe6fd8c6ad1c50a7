import pytest
from lesson_folder import SOURCE, forget_lesson, write_lesson

from kd_lab.classroom.lesson import find_lessons
from kd_lab.classroom.minutes import Minutes, later_minutes, minutes_of, minutes_on_card

SHOWN = "\n# %%\nexplorer.show()\nexplorer.filmstrip()\n"


@pytest.fixture
def lesson_with(tmp_path):
    def lesson(more):
        (found,) = find_lessons(write_lesson(tmp_path, SOURCE + more))
        return found

    yield lesson
    forget_lesson(tmp_path)


def test_parts_are_counted_in_the_source(lesson_with):
    fold = "\n# %% [markdown]\n# <details><summary>Why</summary>\n#\n#" + " word" * 180 + "\n#\n# </details>\n"
    found = minutes_of(lesson_with(SHOWN + fold + "\n# %%\nother.show()\n"))
    assert (found.exercises, found.explorers) == (2, 6)
    assert 1 <= found.reading < 2  # a fold that one has to open is reading
    assert str(Minutes(11.6, 28, 6)) == "12 + 28 + 6"
    assert found.total == found.reading + 8


@pytest.mark.parametrize("mark", ["optional", "second sitting"])
def test_later_sections_are_counted_apart(lesson_with, mark):
    section = f"\n# %% [markdown]\n# ## 9 · More ({mark})\n#\n#" + " word" * 180 + SHOWN
    after = "\n# %% [markdown]\n# ## Discuss again\n#\n#" + " word" * 360
    lesson = lesson_with(section + after)
    found = later_minutes(lesson)
    assert (found.exercises, found.explorers) == (0, 3)
    assert 1 <= found.reading < 1.1, "the section after an optional one is everybody's"
    assert minutes_of(lesson).total > found.total + 2


def test_a_card_names_what_is_optional_apart(lesson_with):
    lesson = lesson_with("")
    assert minutes_on_card(lesson) == (5,)
    text = lesson.source.read_text(encoding="utf-8")
    lesson.source.write_text(
        text.replace("5 minutes to read", "35 minutes for one, 15 minutes for the other"), encoding="utf-8"
    )
    assert minutes_on_card(lesson) == (35, 15)
    lesson.source.write_text(text.replace("5 minutes to read", "a while to read"), encoding="utf-8")
    with pytest.raises(ValueError, match="lesson 97 has no minutes on its card"):
        minutes_on_card(lesson)
