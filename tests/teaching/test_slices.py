"""What one exercise needs of a notebook is found; a lesson's slow cells are not."""

import pytest

from kd_lab.classroom.lesson import edition_of, lessons_of
from kd_lab.teaching.slices import NotThere, slice_of

ANSWER = '@exercise("03.1")\ndef f(x):\n    return g(x) + K\n'


def test_helpers_constants_and_imports_come_along_and_nothing_else():
    cells = [
        "import math\nfrom kd_lab.classroom import exercise\nslow = train()",
        "%matplotlib inline\nK = 3\nOTHER = slow",
        "def g(x):\n    return math.sqrt(x) * scale[0]\n\nscale = [1]\nscale[0] = 2",
        ANSWER,
        "print(f(4))",
    ]
    found = slice_of(cells, "03.1")
    assert "slow" not in found.source
    assert "exercise" not in found.source
    scope = {}
    exec(found.source, scope)
    assert scope[found.name](4) == 7


def test_a_name_that_a_later_cell_binds_anew_counts_as_it_was():
    found = slice_of(["K = 1", "g = abs", ANSWER, "K = 100"], "03.1")
    assert "100" not in found.source


def test_the_last_cell_with_a_body_counts():
    open_cell = ANSWER.replace("return g(x) + K", "...")
    for cells in ([ANSWER, open_cell], [open_cell, ANSWER], [ANSWER.replace("K", "1"), ANSWER]):
        assert "g(x) + K" in slice_of(["g = abs; K = 0", *cells], "03.1").source


@pytest.mark.parametrize(
    ("cells", "state"),
    [
        ([ANSWER.replace("return g(x) + K", "...")], "not started"),
        ([ANSWER.replace("return g(x) + K", '"""Twice."""\n    raise NotImplementedError')], "not started"),
        ([ANSWER.replace("return g(x) + K", "return (")], "syntax error"),
        ([ANSWER.replace("03.1", "03.2")], "missing"),
        ([], "missing"),
        (["def broken(:"], "missing"),
    ],
)
def test_what_is_not_there_is_told_apart(cells, state):
    with pytest.raises(NotThere) as absent:
        slice_of(cells, "03.1")
    assert absent.value.state == state


def test_other_decorators_stay():
    found = slice_of(["import functools", ANSWER.replace("def f", "@functools.cache\ndef f"), "g, K = abs, 0"], "03.1")
    assert "@functools.cache" in found.source


@pytest.mark.parametrize("lesson", lessons_of(), ids=lambda lesson: f"lesson {lesson.number}")
def test_solutions_need_a_few_lines_of_their_lesson(lesson):
    """Nothing that trains or draws is in the part of a lesson that its exercises need."""
    from kd_lab.classroom.diagnosis import exercises_of

    sources = [cell.source for cell in edition_of(lesson, "solved").cells if cell.cell_type == "code"]
    for identifier in exercises_of(lesson.number):
        source = slice_of(sources, identifier).source
        compile(source, "<solution>", "exec")
        assert not any(word in source for word in ("setup(", "taught(", "predict(", "claim(", "show(", "explore"))
