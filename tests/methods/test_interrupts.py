"""Ctrl-C at any line of the library: what is trained is returned, and all that was borrowed is put back."""

import sys
from pathlib import Path

import pytest
import torch

import kd_lab
from kd_lab.methods import distill, gkd, sequence_level, word_level
from kd_lab.models import GPT, CachedTeacher, GPTConfig, TabularModel
from kd_lab.worlds import language

FOLDER = str(Path(kd_lab.__file__).parent)
SPOKEN = language("brackets")
WORLD = SPOKEN.world(rows=16, seed=0)
SHAPE = GPTConfig(vocab_size=len(SPOKEN.vocabulary), context=WORLD.context, layers=1, heads=1, width=8)


def interrupted_at(line: int, run) -> tuple[object, bool]:
    """The result of `run`, in which Ctrl-C arrives at so many lines of the library; and whether there were so many."""
    lines = 0

    def trace(frame, event, _):
        nonlocal lines
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        lines += event == "line"
        if event == "line" and lines == line:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        return run(), lines >= line
    except KeyboardInterrupt:
        return None, True
    finally:
        sys.settrace(before)


@pytest.mark.parametrize("recipe", [word_level(), gkd(), sequence_level()], ids=["word", "gkd", "sequence"])
def test_an_interrupt_at_any_line_loses_nothing(recipe):
    """Every 97th line: checks, the teacher's cache, the first binding, a step, and the making of the result."""
    line, came, returned = 1, True, 0
    while came:
        student = GPT(SHAPE).eval()
        teacher = CachedTeacher(TabularModel(SPOKEN.logp)).train()
        start, chance = student.head.detach().clone(), torch.get_rng_state()
        options = {"steps": 1, "batch_size": 4, "progress": False}
        result, came = interrupted_at(line, lambda s=student, t=teacher, o=options: distill(s, t, WORLD, recipe, **o))
        assert not any(module.training for module in student.modules()), line
        assert all(module.training for module in teacher.modules()), line
        assert torch.equal(chance, torch.get_rng_state()), line
        assert torch.is_grad_enabled(), line
        if result is None:  # before anything was done
            assert torch.equal(start, student.head), line
        else:
            assert result.interrupted == (len(result.history["step"]) == 0), line
            returned += 1
        line += 97
    assert returned > 5
