import pytest
from lesson_folder import SOURCE, forget_lesson, write_lesson

from kd_lab.classroom.lesson import find_lessons
from kd_lab.classroom.minutes import Minutes, minutes_of, minutes_on_card

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


def test_a_card_that_names_sections_is_added_up(lesson_with):
    lesson = lesson_with("")
    assert minutes_on_card(lesson) == 5
    text = lesson.source.read_text(encoding="utf-8")
    lesson.source.write_text(text.replace("5 minutes to read", "35 minutes for one, 15 minutes for the other"))
    assert minutes_on_card(lesson) == 50
    lesson.source.write_text(text.replace("5 minutes to read", "a while to read"))
    with pytest.raises(ValueError, match="lesson 97 has no minutes on its card"):
        minutes_on_card(lesson)
