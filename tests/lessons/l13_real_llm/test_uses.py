"""Fewer bits, memory, speculation and stored distributions, on a tiny teacher."""

import pytest
import torch

pytest.importorskip("transformers", reason="transformers is not installed: make real")

from l13_tiny import BUDGET, teacher, texts

from kd_lab.lessons.l13_real_llm import uses
from kd_lab.lessons.l13_real_llm.pruning import shallower
from kd_lab.lessons.l13_real_llm.study import Study


@pytest.fixture(scope="module")
def study() -> Study:
    return Study.of(teacher(), texts(), BUDGET)


def test_fewer_bits_cost_more_and_weigh_less(study) -> None:
    eight, size_of_eight = uses.quantized(study.teacher, 8)
    four, size_of_four = uses.quantized(study.teacher, 4)
    assert size_of_four < size_of_eight < uses.half_bytes(study.teacher)
    gaps = [sum(study.measure(model)["forward_kl"]) for model in (study.teacher, eight, four)]
    assert gaps[0] < gaps[1] < gaps[2]
    weight = four.model.get_decoder().layers[0].mlp.up_proj.weight
    assert max(len(group.unique()) for group in weight.reshape(-1, 16)) <= 15


def test_memory_counts_two_logits_and_fewer() -> None:
    held = uses.loss_memory(20_000, 32, 256, materialise=True)
    never = uses.loss_memory(20_000, 32, 256, materialise=False)
    assert held["logits"] == 256 * 20_000 * 4 == never["logits"]
    if held["peak"] is not None:  # Linux
        assert held["peak"] > 2 * held["logits"]
        assert never["peak"] < held["peak"] / 2
    assert (held["materialised"], never["materialised"]) == (True, False)


def test_a_teacher_that_drafts_for_itself_is_always_accepted(study) -> None:
    found = uses.speculation(study, study.teacher, row=0)
    assert [run["guesses"] for run in found["runs"]] == list(uses.GUESSES)
    for run in found["runs"]:
        assert run["accepted"] == run["guessed"]
        assert 0 < run["tokens"] <= BUDGET.new_tokens
    assert 0 < found["plain_tokens"] <= BUDGET.new_tokens


def test_calls_are_timed_by_width(study) -> None:
    prompt = torch.tensor([2, 6, 7])
    assert set(uses.call_seconds(study.teacher, prompt, (1, 3), rounds=2)) == {1, 3}


def test_distributions_are_those_of_the_models(study) -> None:
    student = shallower(study.teacher, [0, 3, 5])
    stored = uses.next_tokens(study, {"healed": student}, prompts=16)
    assert (len(stored), stored.models) == (16, ("teacher", "healed"))
    batch = study.world.held_out
    with torch.no_grad():
        whole = study.teacher(batch.inputs).log_softmax(-1)
    rows = [row for row in range(len(batch)) for _ in range(2)]
    for i, row in enumerate(rows):
        found = stored.events("teacher")[i, :-1]
        assert (whole[row][:, stored.ids[i]] - found).abs().max(-1).values.min() < 1e-3, "at none of the text's places"
