"""Three students of one teacher: what each is shown, and what is measured."""

import torch

from kd_lab.lessons.l10b_what_is_passed_on.fidelity import MEASURES, STUDENTS, Certain, measured, prompts_of
from kd_lab.models import GPT, GPTConfig, TabularModel
from kd_lab.worlds import language, surnames

SPOKEN = language("echo")


def test_a_certain_teacher_shows_its_likeliest_token_only():
    model = GPT(GPTConfig(7, 5, layers=1, heads=1, width=8), seed=0)
    tokens = torch.randint(0, 7, (3, 5), generator=torch.Generator().manual_seed(0))
    shown = Certain(model)(tokens)
    assert shown.argmax(-1).equal(model(tokens).argmax(-1))
    gap = model(tokens).topk(2, -1).values.diff().abs()
    assert (shown.softmax(-1).amax(-1)[gap[..., 0] > 0.3] > 0.999).all()


def test_a_teacher_measured_against_itself_is_faithful():
    model, batch = TabularModel(SPOKEN.logp).float(), SPOKEN.world(rows=200, seed=0).train
    right, same, gap, error = measured(model, model, batch)
    assert len(MEASURES) == 4
    assert (same, round(gap, 6)) == (1, 0)
    assert right > 0.4
    assert error < 0.1


def test_students_differ_in_what_they_are_shown():
    teacher = torch.nn.Identity()
    assert STUDENTS["labels"][1](teacher) is None
    assert STUDENTS["distilled"][1](teacher) is teacher
    assert STUDENTS["mimic"][1] is Certain
    assert STUDENTS["mimic"][0] == STUDENTS["distilled"][0], "the same loss on the same texts"


def test_random_letters_hold_no_end_and_count_everywhere():
    prompts = prompts_of(surnames())
    letters = prompts["random letters"]
    assert letters.mask.all()
    assert (letters.targets > 0).all()
    held_out = set(map(tuple, prompts["held-out"].tokens.tolist()))
    assert held_out.isdisjoint(map(tuple, prompts["training"].tokens.tolist()))
