"""Which cells run again: those that call a learner's function, or something that was given it, and no others."""

from nbformat.v4 import new_code_cell, new_markdown_cell
from repeated import bound_there_alone, callers, readers

CELLS = [
    new_code_cell('@exercise("97.1")\ndef double(x):\n    ...'),
    new_markdown_cell("double(2)"),
    new_code_cell("four = double(2)"),
    new_code_cell("def quadruple(x):\n    return double(double(x))"),
    new_code_cell("print(four)"),
    new_code_cell("eight = quadruple(2)\nfor name in 'ab':\n    print(name)"),
    new_code_cell("sums = [sum(map(double, row)) for row in ((1, 2), (3,))]"),
    new_code_cell('@exercise("97.2")\ndef halve(x):\n    ...'),
    new_code_cell("one = halve(2)\nfor name in 'cd':\n    print(name, sums)"),
]


def test_callers_are_found_through_what_keeps_the_function():
    assert callers(CELLS, {"97.1"}) == [2, 3, 5, 6, 8]  # 8 reads `sums`, which map(double) could have kept
    assert callers(CELLS, {"97.2"}) == [8]
    assert callers(CELLS, set()) == []


def test_readers_hold_no_exercise():
    assert readers(CELLS, {"four"}) == [4]
    assert readers(CELLS, {"exercise"}) == []


def test_a_name_that_others_bind_too_says_nothing():
    assert bound_there_alone(CELLS, [2, 5]) == {"four", "eight"}
