"""Features through a projector, out of the forward pass that makes the logits."""

import pytest
import torch

from kd_lab.methods import distill, fitnets, labels_only, rkd
from kd_lab.models import GPT, GPTConfig, TabularModel
from kd_lab.what import Features, Relations
from kd_lab.what.features import says_something
from kd_lab.worlds import language

SPOKEN = language("echo")
WORLD = SPOKEN.world(rows=128, seed=0)


def gpt(width: int, layers: int = 2, seed: int = 0) -> GPT:
    config = GPTConfig(vocab_size=len(SPOKEN.vocabulary), context=WORLD.context, layers=layers, heads=2, width=width)
    return GPT(config, seed=seed)


TEACHER = gpt(24, seed=1)


class Counting(GPT):
    passes = 0

    def forward(self, tokens, cache=None, return_hidden=False):
        type(self).passes += 1
        return super().forward(tokens, cache, return_hidden)


@pytest.mark.parametrize("what", [Features(), Relations()], ids=str)
def test_one_forward_pass_gives_logits_and_hidden_states(what):
    Counting.passes = 0
    student = Counting(gpt(16).config)
    what.bind(student, gpt(24), 0).read(WORLD.train[slice(0, 4)])
    assert Counting.passes == 1


def test_features_have_the_teachers_width_and_only_the_student_side_a_gradient():
    signal = Features(student_layer=0, teacher_layer=1).bind(gpt(16), gpt(24), seed=0)
    (features, logits), hint = signal.read(WORLD.train[slice(0, 4)])
    assert features.shape == hint.shape == (4, WORLD.context, 24)
    assert features.requires_grad
    assert logits.requires_grad
    assert not hint.requires_grad


def test_the_projector_learns_beside_the_student():
    recipe = fitnets()
    signal = recipe.what.bind(gpt(16), gpt(24), seed=0)
    (projector,) = signal.parameters
    batch = WORLD.train[slice(0, 8)]
    recipe.how(*signal.read(batch), batch).backward()
    assert projector.grad.abs().sum() > 0


def trained(recipe) -> GPT:
    student = gpt(16)
    distill(student, TEACHER, WORLD, recipe, steps=80, batch_size=32, progress=False)
    return student


def hidden(model: GPT) -> torch.Tensor:
    with torch.no_grad():
        return model(WORLD.held_out.inputs, return_hidden=True)[1][-1]


def test_hints_move_the_students_features_to_where_a_projector_finds_the_teachers():
    def unexplained(student: GPT) -> float:
        """The share of the teacher's features that the best linear projector cannot read off the student's."""
        counts = says_something(WORLD.held_out.mask)
        ours, theirs = (hidden(model)[counts] for model in (student, TEACHER))
        residual = theirs - ours @ torch.linalg.lstsq(ours, theirs).solution
        return (residual.square().sum() / theirs.square().sum()).item()

    assert unexplained(trained(fitnets(weight=1.0))) < 0.7 * unexplained(trained(labels_only()))


class LoudAtTheStart(GPT):
    """A model as large ones are: whatever the text, the state of its first position is huge."""

    loudness = 0.0

    def forward(self, tokens, cache=None, return_hidden=False):
        logits, hidden = super().forward(tokens, cache, return_hidden=True)
        loud = self.loudness * (torch.arange(tokens.shape[1]) == 0)[:, None]
        return (logits, [states + loud for states in hidden]) if return_hidden else logits


@pytest.mark.parametrize("recipe", [fitnets(), rkd()], ids=str)
def test_the_first_position_teaches_nothing(recipe):
    """Its state has read the mark alone that begins every text."""
    student, batch = gpt(16), WORLD.train[slice(0, 8)]
    teacher = LoudAtTheStart(gpt(24).config, seed=1)
    signal = recipe.what.bind(student, teacher, seed=0)
    losses = []
    for teacher.loudness in (0.0, 500.0):
        losses.append(recipe.how(*signal.read(batch), batch))
    assert losses[1] == losses[0]


def test_hints_of_the_first_position_are_zero_on_both_sides():
    (features, _), hint = Features().bind(gpt(16), gpt(24), seed=0).read(WORLD.train[slice(0, 4)])
    assert features[:, 0].abs().sum() == hint[:, 0].abs().sum() == 0
    assert (features[:, 1:].norm(dim=-1) > 0).all()
    assert (hint[:, 1:].norm(dim=-1) > 0).all()


class Exact(GPT):
    """A model that reads in fp32, under autocast too."""

    def forward(self, tokens, cache=None, return_hidden=False):
        with torch.autocast("cpu", enabled=False):
            return super().forward(tokens, cache, return_hidden)


@pytest.mark.parametrize("what", [Features(), Relations()], ids=str)
def test_what_is_read_off_hidden_states_is_made_in_fp32_under_autocast(what):
    signal, batch = what.bind(Exact(gpt(16).config), Exact(gpt(24).config, seed=1), 0), WORLD.train[slice(0, 4)]
    exact = signal.read(batch)
    with torch.autocast("cpu", torch.bfloat16):
        read = signal.read(batch)
    torch.testing.assert_close(read, exact, rtol=0, atol=0)


@pytest.mark.parametrize("what", [Features, Relations])
def test_models_without_hidden_states_are_refused(what):
    with pytest.raises(ValueError, match="the teacher is a TabularModel, which has no hidden states"):
        what().bind(gpt(16), TabularModel(SPOKEN.logp), 0)
    with pytest.raises(ValueError, match="student_layer is 5 for a student of 2 blocks"):
        what(student_layer=5).bind(gpt(16), gpt(16), 0)
