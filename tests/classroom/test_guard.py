"""Hostile answers: none leaves the check with an error of its own, none hangs, none leaves a trace in the session."""

import os
import random
import signal
import sys
import threading
import time

import numpy as np
import pytest
import torch

from kd_lab.classroom import guard
from kd_lab.classroom.diagnosis import Case, Exercise, Misconception, diagnose
from kd_lab.classroom.guard import Endless, contained, time_limit


def total(values):
    """The sum of values."""
    return values.sum()


CASES = (Case("two numbers", lambda: (torch.tensor([1.0, 2.0]),)),)
SUM = Exercise(total, "One sum.", CASES, (), seconds=0.3)
WORD = Exercise(lambda values: "three", "A word.", CASES, (), seconds=0.3)


class Sulking:
    """Raises whatever is asked of it."""

    def __getattribute__(self, name):
        raise RuntimeError("not today")

    def __repr__(self):
        raise RuntimeError("not today")

    def __eq__(self, other):
        raise RuntimeError("not today")

    __hash__ = None


class Agreeable:
    """Equal to everything."""

    def __eq__(self, other):
        return True

    __hash__ = None


class Unspeakable(Exception):
    def __str__(self):
        raise RuntimeError("not today")


def endless_repr():
    class Endless_:
        def __repr__(self):
            while True:
                pass

    return Endless_()


def nested():
    inside = []
    inside.append(inside)
    return inside


def raising(error):
    raise error


@pytest.mark.parametrize("exercise", [SUM, WORD], ids=["a number", "a word"])
@pytest.mark.parametrize(
    "answer",
    [
        lambda values: Sulking(),
        lambda values: [Sulking()],
        lambda values: {"a": Sulking()},
        lambda values: Agreeable(),
        lambda values: Sulking,
        lambda values: torch.sparse_coo_tensor([[0]], [2.0], (2,)),
        lambda values: torch.empty(2, device="meta"),
        lambda values: torch.tensor(3 + 4j),
        lambda values: np.array([object()]),
        lambda values: "3.0",
        lambda values: nested(),
        lambda values: endless_repr(),
        lambda values: exit(),
        lambda values: quit(0),
        lambda values: sys.exit(),
        lambda values: os._exit(1),
        lambda values: raising(Unspeakable()),
        lambda values: raising(GeneratorExit()),
        lambda values: raising(BaseException("base")),
        lambda values: raising(ExceptionGroup("group", [ValueError("a")])),
        lambda values: raising(Endless()),
    ],
)
def test_no_answer_leaves_the_check_or_is_called_right(exercise, answer):
    assert isinstance(diagnose(exercise, answer), Misconception)


def test_a_sparse_answer_that_is_right_is_right():
    assert diagnose(SUM, lambda values: torch.sparse_coo_tensor(torch.empty(0, 1), [3.0], ())) is None


def swallows_exceptions(values):
    while True:
        try:  # noqa: SIM105
            time.sleep(0.01)
        except Exception:
            pass


def swallows_everything(values):
    while True:
        try:  # noqa: SIM105
            time.sleep(0.01)
        except:  # noqa: E722
            pass


def swallows_everything_twice(values):
    while True:
        try:
            while True:
                try:  # noqa: SIM105
                    values.sum()
                except BaseException:
                    pass
        except BaseException:
            pass


NEEDS_ALARM = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="Windows has no alarm")


@pytest.mark.parametrize(
    "answer",
    [
        swallows_exceptions,
        pytest.param(swallows_everything, marks=NEEDS_ALARM),  # without one, whoever swallows `Endless` goes on
        pytest.param(swallows_everything_twice, marks=NEEDS_ALARM),
    ],
)
def test_an_endless_answer_that_swallows_its_end_is_ended(answer):
    began = time.monotonic()
    assert "did not end within 0.3 seconds" in diagnose(SUM, answer).message
    assert time.monotonic() - began < 60


def test_where_there_is_no_alarm_another_thread_keeps_the_time():
    """Another thread has none, and Windows has none."""
    found = []
    thread = threading.Thread(target=lambda: found.append(diagnose(SUM, swallows_exceptions)), daemon=True)
    thread.start()
    thread.join(60)
    assert "did not end within 0.3 seconds" in found[0].message


def test_a_call_that_cannot_be_stopped_says_what_to_press(monkeypatch, capsys):
    monkeypatch.setattr(guard, "PATIENCE", 0.1)

    def in_another_thread():  # where nothing interrupts a long call into C
        with pytest.raises(Endless), time_limit(0.1):  # noqa: PT012
            time.sleep(3)  # the word comes after 0.4 seconds, on a busy machine later
            sum(range(10))

    thread = threading.Thread(target=in_another_thread)
    thread.start()
    thread.join()
    assert "Press the interrupt button" in capsys.readouterr().err


def repeat(call):
    while True:
        call()


@pytest.mark.parametrize("limit", [pytest.param(guard.alarm, marks=NEEDS_ALARM), guard.watchdog])
def test_a_busy_machine_shortens_no_limit(limit):
    """What counts is the time that the process works; one that only waits has three times as long."""
    with limit(guard.Clock(2.0)):  # six on the wall
        time.sleep(2.5)
    for endless in (lambda: time.sleep(0.01), lambda: None):
        began = time.process_time()
        with pytest.raises(Endless), limit(guard.Clock(0.4)):
            repeat(endless)
        assert time.process_time() - began < 1.0


def test_limits_may_be_nested():
    with pytest.raises(Endless), time_limit(0.3):  # noqa: PT012
        with time_limit(10.0):
            pass
        with time_limit(10.0):
            time.sleep(5)


def test_what_an_answer_changes_is_undone(tmp_path):
    def disturbing(values):
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        torch.manual_seed(1)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        sys.setrecursionlimit(5000)
        os.chdir(tmp_path)
        return values.sum()

    def state():
        return (
            os.getcwd(),
            random.getstate(),
            np.random.get_state()[1].tolist(),  # noqa: NPY002
            torch.get_rng_state().tolist(),
            torch.get_default_dtype(),
            torch.is_grad_enabled(),
            sys.getrecursionlimit(),
            exit,
            os._exit,
        )

    before = state()
    assert diagnose(SUM, disturbing) is None
    assert state() == before


def test_a_candidate_finds_itself_under_its_own_name():
    def countdown(n):
        return n and globals()["countdown"](n - 1)

    with contained(countdown):
        assert countdown(3) == 0
    assert "countdown" not in globals()


def test_where_a_process_has_no_threads_a_call_has_no_limit(monkeypatch):
    monkeypatch.setattr(guard, "HAS_THREADS", False)
    monkeypatch.setattr(threading.Thread, "start", lambda self: raising(RuntimeError("can't start new thread")))
    with time_limit(1e-9):
        assert sum(range(1000)) == 499500
    assert diagnose(SUM, total) is None
