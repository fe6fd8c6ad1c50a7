"""Tokens alone: the student's logits against the text, and the teacher is not asked."""

import torch

from kd_lab.contracts import What
from kd_lab.models import GPT, GPTConfig
from kd_lab.what import Sequences
from kd_lab.worlds import language


def test_the_signal_is_the_text_itself_and_no_teacher_is_needed():
    spoken = language("echo")
    world = spoken.world(rows=16, seed=0)
    student = GPT(GPTConfig(vocab_size=len(spoken.vocabulary), context=world.context, layers=1, heads=1, width=8))
    batch = world.train[slice(0, 4)]
    logits, tokens = Sequences().bind(student, None, 0).read(batch)
    assert isinstance(Sequences(), What)
    assert torch.equal(tokens, batch.targets)
    assert torch.equal(logits, student(batch.inputs))
