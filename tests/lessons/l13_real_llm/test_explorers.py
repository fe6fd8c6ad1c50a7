"""The explorers of lesson 13 draw what is stored."""

from itertools import pairwise

import pytest
import torch

from kd_lab.how import forward_kl, softmax_kl
from kd_lab.lessons.l13_real_llm.explorers import NAMES, divergences, layers_explorer, prompts_explorer
from kd_lab.lessons.l13_real_llm.results import load_results
from kd_lab.worlds.next_tokens import load_next_tokens


@pytest.fixture(scope="module")
def stored():
    return load_next_tokens()


@pytest.mark.parametrize("name", NAMES.values())
def test_keeping_more_tokens_never_shows_less(stored, name) -> None:
    """Merging events only loses: a divergence of a coarser pair is at most that of the finer one."""
    for temperature in (1.0, 4.0):
        found = [divergences(stored, "healed", name, temperature, k) for k in (1, 4, 16, None)]
        for coarse, fine in pairwise(found):
            assert (coarse <= fine + 1e-6).all()


def test_a_divergence_is_that_of_the_events(stored) -> None:
    pair = [stored.events(name, 2.0, 8) for name in ("pruned", "teacher")]
    torch.testing.assert_close(
        divergences(stored, "pruned", "forward_kl", 2.0, 8), forward_kl(*(one.double() for one in pair))
    )
    wanted = softmax_kl(*pair, reduction="none")
    torch.testing.assert_close(
        divergences(stored, "pruned", "forward_kl", 2.0, 8).float(), wanted, atol=1e-4, rtol=1e-3
    )


def test_healing_is_seen_on_the_stored_prompts(stored) -> None:
    means = {name: divergences(stored, name, "forward_kl").mean() for name in ("pruned", "healed")}
    assert means["healed"] < means["pruned"]


def test_prompts_move(stored) -> None:
    explorer = prompts_explorer()
    sentences = {explorer.draw(one).sentence for one in ({}, {"tokens kept": "1"}, {"temperature τ": "4"})}
    assert len(sentences) == 3
    healed = explorer._artists.dots["healed"]
    assert len(healed.get_xdata()) == len(stored)
    assert (healed.get_ydata() <= healed.get_xdata() * (1 + 1e-5) + 1e-9).all()
    explorer.close()


def test_layers_go_in_the_stored_order() -> None:
    results = load_results()
    part = results.one("importance")
    explorer = layers_explorer(results)
    for removed in (0, 5, len(part["rounds"]) - 1):
        said = explorer.draw({"layers gone": removed}).sentence
        assert f"{removed} of {len(part['rounds'][0])} layers have gone" in said
        assert f"Without layer {part['gone'][removed]} as well" in said
        assert f"{min(part['rounds'][removed]):.2f} nats" in said
    explorer.close()


def test_a_bar_is_what_a_layer_costs_now() -> None:
    results = load_results()
    part = results.one("importance")
    explorer = layers_explorer(results)
    explorer.draw({"layers gone": 10})
    heights = [bar.get_height() for bar in explorer._artists.bars]
    there = [layer for layer in range(len(heights)) if layer not in part["gone"][:10]]
    for layer, cost in zip(there, part["rounds"][10], strict=True):
        assert heights[layer] == pytest.approx(cost - min(part["rounds"][9]))
    assert min(heights[layer] for layer in there) > 0.05, "every bar that is still there can be seen"
    explorer.close()
