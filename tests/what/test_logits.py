"""Logits of both models, the teacher's without a gradient, and a cache as the teacher: rows found by their text."""

import pytest
import torch

from kd_lab.contracts import What
from kd_lab.how import Divergence, sampled, top_k
from kd_lab.methods import Recipe, distill, word_level
from kd_lab.models import GPT, GPTConfig, TabularModel
from kd_lab.what import KeptLogits, Logits, Paths
from kd_lab.where import Corpus, StudentRollouts
from kd_lab.worlds import language

SPOKEN = language("echo")
WORLD = SPOKEN.world(rows=32, seed=0)
V = len(SPOKEN.vocabulary)
TEACHER = TabularModel(SPOKEN.logp)


def student() -> GPT:
    return GPT(GPTConfig(vocab_size=V, context=WORLD.context, layers=1, heads=2, width=16))


@pytest.mark.parametrize(("what", "kind"), [(Logits(), "distributions"), (Paths(), "paths")], ids=str)
def test_both_sides_are_logits_and_the_gradient_flows_to_the_student(what, kind):
    assert isinstance(what, What)
    assert what.gives == kind
    batch = WORLD.train[slice(0, 4)]
    student_logits, teacher_logits = what.bind(student(), TEACHER, 0).read(batch)
    assert student_logits.shape == teacher_logits.shape == (*batch.inputs.shape, V)
    assert student_logits.requires_grad
    assert not teacher_logits.requires_grad


def cache(k: int):
    with torch.no_grad():
        return top_k(TEACHER(WORLD.train.inputs).float(), k)


def recipe(**options) -> Recipe:
    return Recipe("offline", KeptLogits(WORLD.train), Divergence(**options), Corpus())


def train(teacher, of: Recipe):
    return distill(student(), teacher, WORLD, of, steps=5, batch_size=8, progress=False).history["loss"]


def test_a_cache_of_all_tokens_is_the_teacher_itself():
    assert train(cache(V), recipe()) == pytest.approx(train(TEACHER, word_level()), rel=1e-4)


def test_a_top_k_bounds_the_loss_from_below():
    whole, kept = train(TEACHER, word_level())[0], train(cache(2), recipe())[0]
    assert 0 < kept < whole


def test_draws_train_too():
    with torch.no_grad():
        draws = sampled(TEACHER(WORLD.train.inputs), 50, generator=torch.Generator().manual_seed(0))
    losses = train(draws, recipe())
    assert losses == pytest.approx(train(TEACHER, word_level()), rel=0.2)


def test_rows_are_found_by_their_text():
    kept, rows = cache(3), torch.tensor([5, 2, 5])
    _, signal = KeptLogits(WORLD.train).bind(student(), kept, 0).read(WORLD.train[rows])
    # equal texts have equal rows, so it is the text and not its number that matters
    assert torch.equal(signal.ids, kept.ids[rows])
    assert torch.equal(signal.logp, kept.logp[rows])


def test_what_a_cache_does_not_know_is_refused():
    with pytest.raises(ValueError, match="the cache has 32 rows and 8 texts"):
        KeptLogits(WORLD.train[slice(0, 8)]).bind(student(), cache(2), 0)
    signal = KeptLogits(WORLD.train).bind(student(), cache(2), 0)
    strange = WORLD.train[slice(0, 2)]
    strange.tokens[1, 1:] = 1
    with pytest.raises(ValueError, match="1 of 2 texts are not in the cache"):
        signal.read(strange)
    with pytest.raises(ValueError, match="the teacher is a TabularModel; expected a SparseTeacher"):
        train(TEACHER, recipe())
    with pytest.raises(ValueError, match=r"texts that nobody has looked at before.*Corpus"):
        Recipe("offline", KeptLogits(WORLD.train), Divergence(), StudentRollouts())
    with pytest.raises(ValueError, match=r"temperature is 2\.0 and the cache's 1\.0"):
        train(cache(2), recipe(temperature=2.0))
