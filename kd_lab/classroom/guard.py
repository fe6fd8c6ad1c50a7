"""A learner's function under guard: it ends, it leaves the kernel alive, and it leaves no trace in the session."""

import builtins
import contextlib
import ctypes
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any, no_type_check

import numpy as np

from kd_lab.optional_torch import HAS_TORCH, torch

AGAIN = 0.1  # seconds after which a call that swallowed its end is ended once more
PATIENCE = 3.0  # seconds after which one that cannot be ended is spoken of
BUSY = 3.0  # how many times its limit a call may take on the wall while other processes have the core
STUCK = (
    "The check of this exercise is past its time and inside a call that Python cannot stop. "
    "Press the interrupt button (■) above the notebook; if nothing moves, restart the kernel (↻) and run again."
)


OWN = {__file__, contextlib.__file__}
WEBASSEMBLY = sys.platform in ("emscripten", "wasi")  # as in a browser
HAS_THREADS = not WEBASSEMBLY


class Endless(BaseException):
    """A call passed its time limit. It is no Exception: `except Exception` in a learner's loop does not swallow it."""


class Clock:
    """A limit that a busy machine does not shorten: seconds of this process, or `BUSY` times as many on the wall."""

    def __init__(self, seconds: float):
        self.seconds, self.wall, self.own = seconds, time.monotonic(), time.process_time()

    @property
    def left(self) -> float:
        """Seconds until the limit at the earliest; 0 or less where it is passed."""
        own, wall = time.process_time() - self.own, time.monotonic() - self.wall
        return min(self.seconds - own, BUSY * self.seconds - wall)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise Endless inside a block that runs too long, and go on raising until it leaves the block.

    What counts is the time that this process works; one that waits has `BUSY` times as long.

    A bare `except` in a loop swallows the first; the line after it raises again, wherever there is an alarm (not on
    Windows, and not in other threads than the first). Limits may be nested. Inside one long call into C nothing can be
    raised; if it lets other threads run, one of them says which button to press. Where a process has no threads, as in
    a browser, there is no limit: closing the page ends the call.
    """
    if not HAS_THREADS:
        yield
        return
    over, clock = threading.Event(), Clock(seconds)
    threading.Thread(target=speak_when_stuck, args=(over, clock), daemon=True).start()
    by_alarm = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()
    try:
        with (alarm if by_alarm else watchdog)(clock):
            yield
    finally:
        over.set()


def speak_when_stuck(over: threading.Event, clock: Clock) -> None:
    """Say which button to press where a block is `PATIENCE` past its limit and does not end."""
    while not over.wait(max(clock.left, 0.0) + PATIENCE):
        if clock.left <= 0:
            print(STUCK, file=sys.stderr, flush=True)
            return


@contextmanager
def alarm(clock: Clock) -> Iterator[None]:
    over: list[bool] = []  # filled at the end, so that no late alarm is set again
    outside, frame = set(), sys._getframe()
    while frame is not None:
        outside.add(frame)
        frame = frame.f_back

    @no_type_check  # checking would outlast the pause between two alarms
    def stop(_: int, frame: FrameType) -> None:
        if over:
            return
        signal.setitimer(signal.ITIMER_REAL, max(clock.left, AGAIN))
        if clock.left > 0:  # the machine is busy, and this process has had less than its time
            return
        if frame.f_code.co_filename in OWN:  # a limit is being entered or left
            return
        while frame not in outside:  # the next line of each function on the way out raises as well
            frame.f_trace = raise_endless
            frame = frame.f_back
        sys.settrace(lambda *_: None)  # new calls are not traced, which is why the alarm comes back
        raise Endless

    began, tracer = time.monotonic(), sys.gettrace()
    handler = signal.signal(signal.SIGALRM, stop)
    left, _ = signal.getitimer(signal.ITIMER_REAL)  # of the limit around this one
    clock.seconds = min(clock.seconds, left or clock.seconds)
    signal.setitimer(signal.ITIMER_REAL, clock.seconds)
    try:
        yield
    finally:
        over.append(True)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        sys.settrace(tracer)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 1e-3))


@no_type_check
def raise_endless(frame: FrameType, event: str, argument: Any) -> Any:
    if event == "line":  # an error that was raised in an "exception" would meet the same `except` again
        raise Endless
    return raise_endless


@contextmanager
def watchdog(clock: Clock) -> Iterator[None]:
    """`alarm` for Windows and for other threads than the first: another thread plants the exception."""
    target, over, lock = ctypes.c_ulong(threading.get_ident()), threading.Event(), threading.Lock()

    def watch() -> None:
        wait = clock.seconds
        while not over.wait(wait):
            wait = max(clock.left, AGAIN)
            with lock:  # never after the block has ended
                if not over.is_set() and clock.left <= 0:
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(target, ctypes.py_object(Endless))

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        # One that was planted at the last moment has to land here. Taking it back instead, by planting None, leaves the
        # interpreter's flag up: Python 3.11 then loops for ever in the first call that is traced.
        while not over.is_set():
            with contextlib.suppress(Endless):
                with lock:
                    over.set()
                for _ in range(3):
                    pass


@contextmanager
def contained(candidate: Callable[..., Any]) -> Iterator[None]:
    """Let a candidate find itself under its own name, which its decorator has not bound yet, and undo what it changes.

    `exit()` and `os._exit` end its call and not the kernel. Seeds, default dtype, grad mode, threads, recursion limit
    and working folder are afterwards as they were.
    """
    names, name = getattr(candidate, "__globals__", {}), getattr(candidate, "__name__", "")
    with ExitStack() as undo:
        for read, write in STATE:
            undo.callback(write, read())
        for place in (names, vars(builtins)):
            for leaver in ("exit", "quit"):
                bind(undo, place, leaver, leave)
        bind(undo, vars(os), "_exit", leave)
        bind(undo, names, name, candidate)
        yield


STATE: tuple[tuple[Callable[[], Any], Callable[[Any], Any]], ...] = (
    (os.getcwd, os.chdir),
    (random.getstate, random.setstate),
    (np.random.get_state, np.random.set_state),
    (sys.getrecursionlimit, sys.setrecursionlimit),
)
"""The state that a function can change beyond its arguments: each a way to read it and a way to set it."""

if HAS_TORCH:
    STATE += (
        (torch.get_rng_state, torch.set_rng_state),
        (torch.get_default_dtype, torch.set_default_dtype),
        (torch.is_grad_enabled, torch.set_grad_enabled),
        (torch.get_num_threads, torch.set_num_threads),
        (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
    )


def leave(*_: Any) -> None:
    raise SystemExit("it leaves Python instead of returning")


def bind(undo: ExitStack, place: dict[str, Any], name: str, value: Any) -> None:
    """Bind a name until `undo` closes."""
    if name in place:
        undo.callback(place.__setitem__, name, place[name])
    else:
        undo.callback(place.pop, name, None)
    place[name] = value
