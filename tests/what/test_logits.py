"""Logits of both models, the teacher's without a gradient; one WHAT for each kind that they make."""

import pytest

from kd_lab.contracts import What
from kd_lab.models import GPT, GPTConfig, TabularModel
from kd_lab.what import Logits, Paths
from kd_lab.worlds import language

SPOKEN = language("echo")
WORLD = SPOKEN.world(rows=16, seed=0)
STUDENT = GPT(GPTConfig(vocab_size=len(SPOKEN.vocabulary), context=WORLD.context, layers=1, heads=1, width=8))
TEACHER = TabularModel(SPOKEN.logp)


@pytest.mark.parametrize(("what", "kind"), [(Logits(), "distributions"), (Paths(), "paths")], ids=str)
def test_both_sides_are_logits_and_the_gradient_flows_to_the_student(what, kind):
    assert isinstance(what, What)
    assert what.gives == kind
    batch = WORLD.train[slice(0, 4)]
    student, teacher = what.bind(STUDENT, TEACHER, 0).read(batch)
    assert student.shape == teacher.shape == (*batch.inputs.shape, len(SPOKEN.vocabulary))
    assert student.requires_grad
    assert not teacher.requires_grad
