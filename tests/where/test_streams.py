"""Where batches come from: named streams that neither neighbours nor one another share, and prompts of any length."""

import pytest
import torch

from kd_lab.contracts import Where
from kd_lab.models import GPT, GPTConfig, TabularModel
from kd_lab.where import Corpus, Mixture, StudentRollouts, TeacherRollouts, teacher_texts
from kd_lab.worlds import Batch, World, language

SPOKEN = language("echo")
WORLD = SPOKEN.world(rows=64, seed=0)
SHAPE = GPTConfig(vocab_size=7, context=WORLD.context, layers=1, heads=1, width=8)
TEACHER = TabularModel(SPOKEN.logp)


def draws(where, seed, world=WORLD, count=5):
    source = where.bind(world, GPT(SHAPE, seed=1), TEACHER, seed)
    return [source(8).tokens for _ in range(count)]


@pytest.mark.parametrize(
    ("where", "writer"),
    [
        (Corpus(), "data"),
        (TeacherRollouts(size=16), "teacher"),
        (StudentRollouts(), "student"),
        (Mixture(0.5), "student"),
        (Mixture(0.0), "data"),
        (Mixture(0.0, TeacherRollouts()), "teacher"),
    ],
)
def test_a_where_says_who_writes_and_repeats_itself_for_a_seed(where, writer):
    assert isinstance(where, Where)
    assert where.written_by == writer
    for one, again in zip(draws(where, 0), draws(where, 0), strict=True):
        assert torch.equal(one, again)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("where", [StudentRollouts, Mixture])
def test_a_temperature_at_which_nobody_can_write_is_refused_at_once(where, temperature):
    """And not at the step at which the coin first falls on the student."""
    with pytest.raises(ValueError, match=rf"temperature is {temperature}; expected a number"):
        where(temperature=temperature)


def test_neighbouring_seeds_share_no_stream():
    """With seed, seed + 1, seed + 2 for its streams a mixture's student drew the prompts of the next seed's corpus."""
    drawn = [tuple(map(tuple, tokens.tolist())) for seed in range(4) for tokens in draws(Corpus(), seed)]
    assert len(set(drawn)) == len(drawn)
    prompted = WORLD.given(3)
    alone = [draws(StudentRollouts(), seed, prompted, 1)[0][:, :3] for seed in range(4)]
    corpus = [draws(Corpus(), seed, prompted, 1)[0][:, :3] for seed in range(5)]
    assert not any(torch.equal(one, other) for one in alone for other in corpus)


@pytest.mark.parametrize("otherwise", [Corpus(), TeacherRollouts(size=16)])
def test_without_the_student_a_mixture_draws_what_the_rest_alone_would_draw(otherwise):
    for one, other in zip(draws(Mixture(0.0, otherwise), 3), draws(otherwise, 3), strict=True):
        assert torch.equal(one, other)


def test_a_teachers_set_that_was_kept_is_drawn_from_as_the_one_that_is_written_anew():
    where = TeacherRollouts(size=16)
    kept = World("written", WORLD.vocabulary, teacher_texts(TEACHER, WORLD, where, seed=3), WORLD.held_out)
    for one, other in zip(draws(Corpus(), 3, kept), draws(where, 3), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "where",
    [StudentRollouts(), StudentRollouts(teacher_mix=0.3), TeacherRollouts(16), TeacherRollouts(16, "beam", 2)],
    ids=str,
)
def test_prompts_of_several_lengths_are_kept_and_do_not_count(where):
    tokens = SPOKEN.vocabulary.encode(["axya", "byyb", "cxc"])
    prompt_lengths = torch.tensor([1, 3, 2])
    texts = Batch.from_tokens(torch.nn.functional.pad(tokens, (0, 1)), prompt_lengths, end=0)
    world = World("prompted", SPOKEN.vocabulary, texts, texts)
    known = {tuple(row[:n]) for row, n in zip(tokens.tolist(), prompt_lengths.tolist(), strict=True)}
    batch = where.bind(world, GPT(SHAPE, seed=1), TEACHER, seed=0)(32)
    seen = {tuple(row[:n]) for row, n in zip(batch.tokens.tolist(), batch.prompt_lengths.tolist(), strict=True)}
    assert seen == known
