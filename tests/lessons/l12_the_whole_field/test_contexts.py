"""The three forms of a problem, and a teacher that reads more than its student."""

from functools import partial

import pytest
import torch

from kd_lab.lessons.l12_the_whole_field import contexts, forms
from kd_lab.lessons.l12_the_whole_field.contexts import CONTEXTS, InContext, self_distillation, solutions
from kd_lab.lessons.l12_the_whole_field.exercises import privileged_logits
from kd_lab.lessons.l12_the_whole_field.forms import FORMS, HINTED, PLAIN, TOLD, texts, width, world_of
from kd_lab.models import GPT, GPTConfig
from kd_lab.worlds.moves import SYMBOLS, draw_problems, solve

MODEL = GPT(GPTConfig(len(SYMBOLS), width(HINTED) - 1, layers=1, heads=2, width=8), seed=0)
PROBLEMS = ["47t90", "12345", "9n9s1"]


def told(problems):
    return world_of(TOLD, problems, problems).train


@pytest.mark.parametrize(
    ("form", "prompt", "answer"), [(PLAIN, "n47t90=", "2"), (TOLD, "s47t90=", "1322"), (HINTED, "1322s47t90=", "1322")]
)
def test_forms(form, prompt, answer):
    assert texts(["47t90"], form) == ([prompt], [answer])
    batch = world_of(form, ["47t90"], ["12345"]).train
    assert SYMBOLS.decode(batch.tokens) == [prompt + answer]
    assert batch.tokens.shape[1] == width(form)
    assert SYMBOLS.decode(batch.prompts(SYMBOLS.pad)[0][:, 1:]) == [prompt]
    assert int(batch.mask.sum()) == len(answer) + 1


def test_solutions_are_those_of_the_world():
    asked = SYMBOLS.encode(PROBLEMS)[:, 1:-1]
    written = SYMBOLS.decode(torch.cat([solutions(asked), torch.zeros(3, 1, dtype=torch.long)], 1))
    assert written == [solve(problem) for problem in PROBLEMS]


@pytest.mark.parametrize(
    ("reads", "shown"),
    [
        ("nothing", "s47t90=1322"),
        ("instruction", "s47t90=1322"),
        ("solution", "1322s47t90=1322"),
        ("another's solution", solve(PROBLEMS[-1]) + "s47t90=1322"),
    ],
)
def test_what_the_teacher_reads(reads, shown):
    ids = InContext(reads).shown(told(PROBLEMS).inputs)[:1]
    assert SYMBOLS.decode(torch.cat([ids, torch.zeros(1, 1, dtype=torch.long)], 1)) == [shown]


def test_without_the_instruction_the_teacher_reads_it():
    ids = InContext("instruction").shown(world_of(PLAIN, PROBLEMS, PROBLEMS).train.inputs)
    assert SYMBOLS.decode(ids)[0].startswith("s47t90=")


def test_the_teacher_is_read_where_it_predicts_the_same_token():
    batch = told(PROBLEMS)
    student, teacher = InContext("solution").bind(MODEL, MODEL, 0).read(batch)
    asked = batch.inputs[:, 2 : 3 + forms.MOVES_EACH]
    torch.testing.assert_close(teacher, privileged_logits(MODEL, batch.inputs, solutions(asked)))
    assert teacher.shape == student.shape
    assert not teacher.requires_grad
    same, nothing = InContext("nothing").bind(MODEL, MODEL, 0).read(batch)
    torch.testing.assert_close(same.detach(), nothing)


def test_a_strange_context_is_refused():
    with pytest.raises(ValueError, match="reads is 'the news'"):
        InContext("the news")
    assert all(str(self_distillation(reads)) for reads in CONTEXTS)


def test_answers_begin_with_the_problem(monkeypatch):
    for form in FORMS:
        written = forms.answers(MODEL, form, PROBLEMS)
        assert [text.partition("=")[0] for text in written] == PROBLEMS


def test_a_run_is_the_same_when_it_is_made_again(monkeypatch):
    few = draw_problems(60, torch.Generator().manual_seed(0), forms.MOVES_EACH)
    monkeypatch.setattr(forms, "problems", lambda: (few[:10], few[10:]))
    monkeypatch.setattr(contexts, "base", lambda seed: MODEL)
    monkeypatch.setattr(contexts, "learn", partial(forms.learn, steps=2))
    one, other = (contexts.solution_run(0)["ways"] for _ in range(2))
    assert {label: marks[:-1] for label, marks in one.items()} == {label: marks[:-1] for label, marks in other.items()}
    assert one["base"][2] == 0
    assert one["own solution"][2] > 0
