import gc
import weakref
from importlib import import_module

import pytest
import torch

from kd_lab.classroom import progress
from kd_lab.classroom.diagnosis import Case, Exercise, Mistake
from kd_lab.classroom.exercise import EXERCISE_MIME, assert_solved, exercise, guarded


def double(x):
    return 2 * x


CHOSEN = Exercise(
    double,
    "Twice.",
    (Case("x = 3", lambda: (torch.tensor(3.0),)),),
    (Mistake("squared", "That is the square <b>.", lambda x: x * x),),
)


@pytest.fixture
def panels(monkeypatch):
    shown = []
    exercise_module = import_module("kd_lab.classroom.exercise")  # the package's attribute is the function
    monkeypatch.setattr(exercise_module, "find_exercise", lambda identifier: CHOSEN)
    monkeypatch.setattr(exercise_module, "show", shown.append)
    return shown


def test_a_right_answer_is_kept(panels):
    @exercise("99.1")
    def mine(x):
        return x + x

    assert mine is not double
    assert mine(4) == 8
    assert panels[0].data[EXERCISE_MIME] == {"id": "99.1", "state": "right"}


def test_an_answer_that_cannot_be_kept_says_so_once_and_counts(panels, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KD_LAB_PROGRESS", str(tmp_path / "file" / "progress.json"))
    for _ in range(2):

        @exercise("99.1")
        def mine(x):
            return x + x

        assert mine(4) == 8
    assert [panel.heading.partition(" (")[0] for panel in panels] == [
        "Exercise 99.1: right",
        "Your answers cannot be kept",
        "Exercise 99.1: right",
    ]


def test_an_unsolved_one_is_replaced_without_alarm(panels):
    @exercise("99.1")
    def mine(x): ...

    assert mine is double
    assert panels[0].data[EXERCISE_MIME]["state"] == "not started"
    assert panels[0].tone == "plain"
    assert "reference solution" in str(panels[0])


def test_a_wrong_one_is_replaced_and_diagnosed_in_text_and_html(panels):
    @exercise("99.1")
    def mine(x):
        return x**2

    assert mine is double
    assert panels[0].data[EXERCISE_MIME]["state"] == "not there yet"
    assert "That is the square <b>." in str(panels[0])
    assert "That is the square &lt;b&gt;." in panels[0].html()
    assert "your function gives 9" in panels[0].html()


def test_a_crash_never_leaves_the_decorator(panels):
    @exercise("99.1")
    def mine(x):
        raise SystemError("boom")

    assert mine is double
    assert "SystemError: boom" in str(panels[0])


def test_an_answer_comes_in_the_form_of_the_references(panels):
    @exercise("99.1")
    def mine(x):
        return float(x) + float(x)

    assert mine(torch.tensor(4.0)).equal(torch.tensor(8.0))


def test_where_a_right_answer_stops_later_the_reference_answers_and_a_panel_says_so_once(panels):
    @exercise("99.1")
    def mine(x):
        if x.dim():
            raise KeyError("rows")
        return x + x

    rows = torch.ones(2)
    assert mine(rows).equal(2 * rows)
    assert mine(rows).equal(2 * rows)
    _, told = panels
    assert told.data[EXERCISE_MIME] == {"id": "99.1", "state": "stopped"}
    assert "99.1" in told.heading
    assert "KeyError: 'rows'" in str(told)
    gone = torch.ones(2)
    seen = weakref.ref(gone)
    mine(gone)
    del gone
    gc.collect()
    assert seen() is None  # no error is kept, whose traceback would keep the arguments of each call
    with pytest.raises(AttributeError, match="dim"):  # a call that the reference cannot answer either
        mine(object())


def test_a_kernels_launches_are_guarded_and_all_else_is_the_kernels(panels):
    class Kernel:
        def __init__(self, fn):
            self.fn = fn

        def __call__(self):
            raise TypeError("a kernel is launched, not called")

        def __getitem__(self, grid):
            return lambda out: self.fn(out, grid[0])

    def own(out, programs):
        out[:] = [1] if programs == 1 else 1 / 0

    reference = Kernel(lambda out, programs: out.__setitem__(slice(None), [programs]))
    mine, out = guarded("99.1", Exercise(reference, "", (), ()), Kernel(own)), []
    for programs in (1, 2):
        mine[(programs,)](out)
        assert out == [programs]
    assert mine.fn is own
    assert "ZeroDivisionError" in str(panels[0])


def test_the_graded_cell_sees_through_the_fallback(panels):
    assert_solved("99.1", lambda x: x + x)
    with pytest.raises(AssertionError, match="not solved yet"):
        assert_solved("99.1", exercise("99.1")(lambda x: x * x))
    assert_solved("99.1", exercise("99.1")(lambda x: x + x))
    with pytest.raises(AssertionError, match="the square"):
        assert_solved("99.1", lambda x: x * x)


def test_the_lines_of_a_solved_kernel_are_kept(panels, monkeypatch):
    triton = pytest.importorskip("triton")

    def launched(kernel, x):
        kernel[(1,)](x, 1)
        return 2 * x

    @triton.jit
    def reference(x, n):
        pass

    @triton.jit
    def mine(x, n):
        n + n

    chosen = Exercise(reference, "", (Case("x = 3", lambda: (torch.tensor(3.0),)),), (), run=launched)
    monkeypatch.setattr(import_module("kd_lab.classroom.exercise"), "find_exercise", lambda identifier: chosen)
    exercise("99.7")(mine)
    assert progress.recall("99.7") == progress.SOLVED
    assert progress.solution("99.7") == "@triton.jit\ndef mine(x, n):\n    n + n"


def test_a_solved_exercise_stays_solved_and_shows_its_lines_again(panels):
    def mine(x):
        return x + x

    def unsolved(x): ...

    exercise("99.1")(mine)
    exercise("99.1")(lambda x: x * x)
    assert progress.recall("99.1") == progress.SOLVED
    exercise("99.1")(unsolved)
    assert panels[-1].data[EXERCISE_MIME]["state"] == "not started"
    assert panels[-1].listing == ("def mine(x):", "    return x + x")
    assert "solved this before" in str(panels[-1])
