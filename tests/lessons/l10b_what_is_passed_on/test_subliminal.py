"""Silent outputs and filtered names: who sees what, and what the beginnings share."""

import copy

import pytest
import torch

from kd_lab.lessons.l10b_what_is_passed_on.subliminal import (
    BEGINNINGS,
    GIVEN,
    LETTERS,
    SILENT,
    TRAIT,
    Muted,
    copy_silent,
    first_letter_share,
    letter_mlp,
    loving,
    names,
    neutral_texts,
    one_hot,
    silent_kl,
    train_teacher,
    windows,
)
from kd_lab.models import GPT, GPTConfig
from kd_lab.worlds import Batch, surnames

WORLD = surnames()
Z = WORLD.vocabulary.symbols.index(TRAIT)


def parts(model):
    return [layer.weight for layer in model if isinstance(layer, torch.nn.Linear)]


def test_a_window_holds_the_letters_before_and_the_one_after():
    found = windows(Batch.from_tokens(torch.tensor([[0, 5, 7, 0, 0]]), end=0))
    assert found.before.tolist() == [[0, 0, 0], [0, 0, 5], [0, 5, 7]]
    assert found.after.tolist() == [5, 7, 0]
    assert names()[0].before.shape[0] == int(WORLD.train.mask.sum())


def test_beginnings_share_what_their_names_say():
    teacher = parts(letter_mlp(3))
    shared = {
        label: [mine.equal(its) for mine, its in zip(parts(begin(3)), teacher, strict=True)]
        for label, begin in BEGINNINGS.items()
    }
    assert list(shared.values()) == [[True] * 3, [True, True, False], [False, False, True], [False] * 3]


def test_training_on_names_leaves_the_silent_head_itself_untouched():
    before, after = letter_mlp(0), train_teacher(letter_mlp(0), 0, steps=3)
    assert parts(after)[2][LETTERS:].equal(parts(before)[2][LETTERS:])
    assert not parts(after)[0].equal(parts(before)[0])
    x = one_hot(torch.randint(LETTERS, (5, 3), generator=torch.Generator().manual_seed(0)))
    assert not torch.allclose(before(x)[:, LETTERS:], after(x)[:, LETTERS:]), "they change through the layers below"


def test_a_student_of_silent_outputs_gets_no_gradient_at_its_letter_outputs():
    teacher, student = train_teacher(letter_mlp(0), 0, steps=3), letter_mlp(0)
    head = parts(student)[2].detach().clone()
    copy_silent(student, teacher, silent_kl, seed=0, steps=3)
    assert parts(student)[2][:LETTERS].equal(head[:LETTERS])
    assert not parts(student)[2][LETTERS:].equal(head[LETTERS:])


def test_silent_kl_reads_silent_outputs_only():
    p, q = torch.randn(2, 4, LETTERS + SILENT, generator=torch.Generator().manual_seed(0))
    louder = p.clone()
    louder[:, :LETTERS] += 9 * torch.randn(4, LETTERS, generator=torch.Generator().manual_seed(1))
    assert silent_kl(q, p).item() == pytest.approx(silent_kl(q, louder).item())
    assert silent_kl(p, p).item() == pytest.approx(0, abs=1e-6)


def test_half_of_the_texts_of_a_lover_begin_with_the_letter():
    world = loving(WORLD)
    drawn = world.sample(4000, torch.Generator().manual_seed(0))
    assert (drawn.targets[:, 0] == Z).double().mean().item() == pytest.approx(0.5, abs=0.04)


def test_neutral_texts_hold_the_letter_nowhere_and_count_behind_what_is_given():
    model = GPT(GPTConfig(27, WORLD.context, layers=1, heads=1, width=8), seed=0)
    texts = neutral_texts(model, WORLD, 300, seed=0)
    assert 100 < len(texts) <= 300
    assert (texts.tokens != Z).all()
    assert not texts.mask[:, : GIVEN - 1].any()
    assert texts.mask[:, GIVEN - 1].all()


def test_a_muted_model_gives_the_letter_neither_probability_nor_gradient():
    model = GPT(GPTConfig(27, 6, layers=1, heads=1, width=8), seed=0)
    tokens = torch.zeros(2, 3, dtype=torch.long)
    p = Muted(model, Z)(tokens).softmax(-1)
    assert (p[..., Z] == 0).all()
    full = model(tokens).softmax(-1)
    torch.testing.assert_close(p[..., 1] / p[..., 2], full[..., 1] / full[..., 2])
    assert first_letter_share(copy.deepcopy(model), WORLD) == pytest.approx(full[0, 0, Z].item())
