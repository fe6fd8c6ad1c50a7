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


IMPORTS = [
    "import pandas_that_nobody_has as pd",
    "import math, pandas_that_nobody_has as pd",
    "from pandas_that_nobody_has import *",
    "from math import pi, name_that_it_has_not",
    "from kd_lab.how import jsd\nimport math, kd_lab.how.losses",
    "%%time\nimport math\nfrom __future__ import annotations",
    "x = 1\nfrom __future__ import annotations\nfrom math import *",
]


@pytest.mark.parametrize("cell", IMPORTS)
def test_an_import_that_the_answer_does_not_need_costs_nothing(cell):
    found = slice_of(
        ["import math\nfrom math import sqrt", cell, "def g(x):\n    return math.sqrt(x)\nK = 1", ANSWER], "03.1"
    )
    assert "kd_lab" not in found.source
    scope = {}
    exec(compile(found.source, "<slice>", "exec", dont_inherit=True), scope)
    assert scope[found.name](4) == 3


def test_an_import_that_the_answer_needs_is_one_of_what_it_needs_or_an_error():
    with pytest.raises(ModuleNotFoundError):
        exec(slice_of(["import pandas_that_nobody_has as g\nK = 1", ANSWER], "03.1").source, {})
    scope = {}
    exec(slice_of(["from operator import *\ng, K = neg, 1", ANSWER], "03.1").source, scope)
    assert scope["f"](3) == -2
    both = ["from kd_lab.how import forward_kl as g, jsd\nK = 1", ANSWER]
    assert "jsd" not in slice_of(both, "03.1").source
    assert "jsd" in slice_of(both, "03.1", narrow=False).source


@pytest.mark.parametrize(
    "cell",
    [
        "try:\n    import nonsense_that_nobody_has as g\nexcept ImportError:\n    from operator import neg as g",
        "if True:\n    def g(x):\n        return -x",
        "%%time\nfrom operator import neg as g",
        "from operator import neg as g\n\n%time g(1)\ng?",
        "from operator import neg as g\nfor _ in range(2):\n    %time g(1)",
        "from operator import neg as g\ndef broken(x):\n    nonlocal x",
    ],
)
def test_what_a_notebook_binds_is_found_where_it_is_bound(cell):
    scope = {}
    exec(slice_of([cell, "K = 1", ANSWER], "03.1").source, scope)
    assert scope["f"](3) == -2


def test_what_a_method_puts_into_a_needed_name_comes_along_and_a_call_on_a_module_does_not():
    cells = [
        "import math\nK = 0\npowers = []\nmath.nonsense()\nother = []",
        "for k in range(3):\n    powers.append(2**k)",
    ]
    cells += ["other.append(1 / 0)", ANSWER.replace("g(x)", "math.floor(powers[x])")]
    scope = {}
    exec(slice_of(cells, "03.1").source, scope)
    assert scope["f"](2) == 4


def test_a_name_of_pythons_own_that_is_bound_anew_counts_as_bound():
    scope = {}
    cells = ["sum = abs\nK = 1", ANSWER.replace("g(x)", "sum(x)"), "abs = None\nsum = None"]
    exec(slice_of(cells, "03.1").source, scope)
    assert scope["f"](-3) == 4


@pytest.mark.parametrize("before", ["", "%matplotlib inline\n", "%%time\n\n"])
def test_a_line_that_begins_with_an_operator_is_no_magic(before):
    body = "index = (\n        x\n        % 4\n    )\n    return index"
    scope = {}
    exec(slice_of([before + ANSWER.replace("return g(x) + K", body)], "03.1").source, scope)
    assert scope["f"](6) == 2


FLAWS = {
    "nonlocal g": 3,
    "g(x)\n    global g": 4,
    "break": 3,
    "def h(x, x):\n        return 0": 3,
    "return " + "-" * 3000 + "x": None,
}


@pytest.mark.parametrize("body", FLAWS)
def test_what_python_parses_and_does_not_compile_is_a_syntax_error_of_its_own_exercise(body):
    broken = ANSWER.replace("03.1", "03.2").replace("return g(x) + K", body)
    cells = ["g = abs; K = 0", f"\n%time 1\n{broken}", ANSWER]
    with pytest.raises(NotThere) as absent:
        slice_of(cells, "03.2")
    assert absent.value.state == "syntax error"
    if FLAWS[body]:
        assert f"line {FLAWS[body] + 2}:" in str(absent.value)
    assert "g(x) + K" in slice_of(cells, "03.1").source


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
