"""Texts from behind an endpoint, and those of the Python installation."""

import pytest

from kd_lab.lessons.l13_real_llm.texts import as_prompt, ask, documentation, is_refusal, questions, sort_answers
from kd_lab.where import TextTeacher
from kd_lab.where.endpoint import Completion


def test_questions_are_different_and_always_in_one_order() -> None:
    asked = questions()
    assert len(asked) == len(set(asked)) > 250
    assert asked == questions()
    assert len({question.split()[0] for question in asked[:40]}) > 3, "the first forty are all of one form"


def test_a_prompt_is_a_turn_of_the_user_and_the_beginning_of_the_assistants() -> None:
    assert as_prompt("Why?").endswith("<|im_start|>assistant\n")
    assert as_prompt("Why?").count("<|im_end|>") == 1


@pytest.mark.parametrize(
    ("answer", "is_one"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("As an AI, I do not have opinions. Still, bees matter.", True),
        ("I cannot write letters.", True),
        ("Bees make honey. I'm sorry to say that they sting.", False),
        ("The moon is far away.", False),
        ("A desert is dry; rain cannot reach it.", False),
    ],
)
def test_a_refusal_declines_in_its_first_sentence(answer, is_one) -> None:
    assert is_refusal(answer) is is_one


def test_answers_are_sorted_and_counted() -> None:
    answers = [Completion("Yes.", True), Completion("I'm sorry, but no.", True), Completion(" ", True),
               Completion("It is a", False)]  # fmt: skip
    written = sort_answers(["a", "b", "c", "d"], answers)
    assert written == ([("a", "Yes."), ("d", "It is a")], 1, 1, 1)


@pytest.fixture
def tiny():
    pytest.importorskip("transformers", reason="transformers is not installed: make real")
    from tiny_transformers import tiny_model, tiny_tokenizer

    from kd_lab.models import HuggingFace

    return HuggingFace(tiny_model(), tiny_tokenizer()).eval()


def test_a_model_behind_an_endpoint_is_asked(tiny) -> None:
    from kd_lab.models import serve

    with serve(tiny, tiny.tokenizer) as url:
        written = ask(TextTeacher(url, retries=0), ["ab", "c d", "hh"] * 3, most_tokens=6, seed=0)
        again = ask(TextTeacher(url, retries=0), ["ab", "c d", "hh"] * 3, most_tokens=6, seed=0)
    assert written == again
    assert len(written.pairs) + written.refused + written.empty == 9


def test_held_out_documentation_is_from_other_sources(tiny) -> None:
    train, held_out = documentation(tiny.tokenizer, 400)
    assert len(train) > len(held_out) > 20
    assert not set(train) & set(held_out)
