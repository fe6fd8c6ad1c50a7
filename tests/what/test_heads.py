"""Logits as two factors, of the library's own models: the loss and the gradient that logits give."""

import pytest
import torch

from kd_lab.how import Divergence
from kd_lab.methods import Recipe, distill
from kd_lab.models import GPT, GPTConfig, TabularModel
from kd_lab.what import Heads, Logits
from kd_lab.where import Mixture
from kd_lab.worlds import language

SPOKEN = language("echo")
WORLD = SPOKEN.world(rows=32, seed=0)


def gpt(width: int, seed: int = 0) -> GPT:
    shape = {"vocab_size": len(SPOKEN.vocabulary), "context": WORLD.context, "layers": 2, "heads": 2}
    return GPT(GPTConfig(**shape, width=width), seed=seed)


def test_a_run_of_heads_is_the_run_of_logits():
    """Rollouts and all: the recipes differ in what is held, and in nothing else."""
    how = Divergence("jsd", temperature=2.0)
    losses = [
        distill(gpt(16), gpt(24, seed=1), WORLD, Recipe("gkd", what, how, Mixture(0.5)), steps=8, batch_size=8,
                progress=False).history["loss"]
        for what in (Logits(), Heads())
    ]  # fmt: skip
    assert losses[1] == pytest.approx(losses[0], rel=1e-5, abs=1e-6)


def test_the_factors_of_two_widths_and_the_teacher_without_a_gradient():
    student, teacher, batch = gpt(16).double(), gpt(24, seed=1).double(), WORLD.train[slice(0, 4)]
    student_head, teacher_head = Heads().bind(student, teacher, 0).read(batch)
    assert not teacher_head.hidden.requires_grad
    torch.testing.assert_close(student_head.logits(torch.float64), student(batch.inputs))
    torch.testing.assert_close(teacher_head.logits(torch.float64), teacher(batch.inputs))


def test_a_model_that_has_logits_alone_is_refused():
    with pytest.raises(ValueError, match=r"the teacher is a TabularModel, which gives its logits as a whole"):
        Heads().bind(gpt(16), TabularModel(SPOKEN.logp), seed=0)
