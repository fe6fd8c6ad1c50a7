"""Layers are measured by their absence, and a shallower copy is the model that was measured."""

import pytest
import torch

pytest.importorskip("transformers", reason="transformers is not installed: make real")

from tiny_transformers import tiny_model, tiny_tokenizer

from kd_lab.how import softmax_kl
from kd_lab.lessons.l13_real_llm.pruning import (
    Trunk,
    evenly,
    greedy,
    influences,
    numbers,
    shallower,
    single_costs,
    without_least,
)
from kd_lab.models import HuggingFace
from kd_lab.worlds import Batch


@pytest.fixture(scope="module", params=["llama", "qwen2", "qwen3"])
def model(request) -> HuggingFace:
    wrapped = HuggingFace(tiny_model(request.param, num_hidden_layers=6), tiny_tokenizer())
    return wrapped.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def batch() -> Batch:
    tokens = torch.randint(3, 15, (4, 12), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(4, 11, dtype=torch.bool)
    mask[1, :4] = False
    return Batch(tokens, mask)


@pytest.mark.parametrize("kept", [[0, 1, 2, 3, 4, 5], [0, 2, 3, 5], [5], [1, 2]])
def test_the_cost_of_layers_is_that_of_the_shallower_copy(model, batch, kept) -> None:
    trunk = Trunk(model, batch)
    copy = shallower(model, kept)
    with torch.no_grad():
        wanted = softmax_kl(copy(batch.inputs), model(batch.inputs), mask=batch.mask).item()
        assert trunk.cost(trunk.streams(kept)[-1]) == pytest.approx(wanted, rel=1e-4, abs=1e-6)


def test_single_costs_and_greedy_agree_with_plain_search(model, batch) -> None:
    trunk = Trunk(model, batch)

    def cost(layers):
        with torch.no_grad():
            return trunk.cost(trunk.streams(layers)[-1])

    everything = list(range(6))
    plain = [cost(everything[:i] + everything[i + 1 :]) for i in everything]
    assert single_costs(trunk, everything) == pytest.approx(plain, rel=1e-4)
    layers = everything
    while len(layers) > 3:
        layers = min((layers[:i] + layers[i + 1 :] for i in range(len(layers))), key=cost)
    kept, gone, rounds = greedy(trunk, 3)
    assert kept == layers
    assert sorted(kept + gone) == everything
    assert [len(costs) for costs in rounds] == [6, 5, 4]


def test_rounds_that_are_known_are_not_measured_again(model, batch) -> None:
    trunk = Trunk(model, batch)
    kept, gone, rounds = greedy(trunk, 3)
    new = []
    assert greedy(trunk, 3, rounds[:2], new.append) == (kept, gone, rounds)
    assert new == rounds[2:]


def test_a_shallower_copy_trains_its_layers_alone_and_reads_with_a_cache(model, batch) -> None:
    copy = shallower(model, [0, 2, 5])
    trained = {name for name, weight in copy.model.named_parameters() if weight.requires_grad}
    assert trained
    assert all(".layers." in name for name in trained)
    assert numbers(copy) < numbers(model)
    cache = copy.new_cache(4, 11)
    with torch.no_grad():
        whole = copy(batch.inputs)
        parts = torch.cat([copy(batch.inputs[:, :5], cache=cache), copy(batch.inputs[:, 5:], cache=cache)], 1)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kept", [[], [2, 1], [0, 0], [0, 6], [-1, 2]])
def test_impossible_layers_are_refused(model, kept) -> None:
    with pytest.raises(ValueError, match="ascending numbers from 0 to 5"):
        shallower(model, kept)


def test_influence_is_one_number_per_layer(model, batch) -> None:
    found = influences(Trunk(model, batch))
    assert len(found) == 6
    assert all(0 <= value <= 2 for value in found)


def test_rules_without_a_measurement() -> None:
    assert evenly(30, 20)[0] == 0
    assert evenly(30, 20)[-1] == 29
    assert len(set(evenly(30, 15))) == 15
    assert without_least([3.0, 1.0, 2.0], 2) == [0, 2]
