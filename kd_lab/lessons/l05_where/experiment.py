"""The two experiments of lesson 05 with networks: a small transformer on the tunes, and students of real surnames."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.lessons.l05_where.tunes import LOST, L, V
from kd_lab.measure import bits_per_character, sampled_gap_by_position
from kd_lab.methods import Recipe, distill, word_level
from kd_lab.models import GPT, FiniteStateModel, GPTConfig, target_logp
from kd_lab.where import rollout
from kd_lab.worlds import Batch, World

READ = 1000  # texts behind an expectation over the tunes


@dataclass(frozen=True)
class Gaps:
    """KL(p‖q) at each position, on either one's prefixes, estimated from texts."""

    own: Float[Tensor, " L"]
    theirs: Float[Tensor, " L"]
    off_road: float = 0.0  # the mean at the lost prefixes of the common beginning's texts, in nats per position


def continue_network(teacher: FiniteStateModel, world: World, recipes: Mapping[str, Recipe], seed: int) -> dict:
    """A transformer of one layer, 16 wide: 100 word-level steps, then for each recipe a copy trained for 60 more.

    Returns:
        `Gaps` by recipe. `off_road` is read at the same prefixes for all: where texts of the beginning are lost.
    """
    generator = torch.Generator().manual_seed(seed)
    start = torch.zeros(READ, 1, dtype=torch.long)
    reader = copy.deepcopy(teacher).float()
    budget: dict[str, Any] = {"batch_size": 32, "progress": False}
    begun = GPT(GPTConfig(V, L, layers=1, heads=1, width=16), seed=seed)
    distill(begun, reader, world, word_level(), steps=100, seed=seed, learning_rate=1e-2, **budget)
    read, stray = (rollout(model, world, start, generator) for model in (reader, begun))
    lost = Batch(stray.tokens, (teacher.states(stray.inputs) == LOST) & stray.mask)
    found = {}
    for label, recipe in recipes.items():
        network = copy.deepcopy(begun)
        distill(network, reader, world, recipe, steps=60, seed=seed + 100, learning_rate=3e-3, **budget)
        written = rollout(network, world, start, generator)
        own, theirs, off = (sampled_gap_by_position(network, reader, texts) for texts in (written, read, lost))
        found[label] = Gaps(own, theirs, (off.sum() / lost.mask.float().mean(0).sum()).item())
    return found


@dataclass(frozen=True)
class Pupil:
    """A student of surnames after its second training."""

    model: nn.Module
    bits: float  # held-out bits per character
    judged: float  # −log p of its own names under the teacher, nats per character
    gaps: Gaps
    seconds: list[float]  # at the end of each step


def continue_surnames(
    teacher: nn.Module, world: World, recipes: Mapping[str, Recipe], held_out: Batch, seed: int
) -> dict[str, Pupil]:
    """A student of 28K weights: 32 word-level steps, then for each recipe a copy trained for 32 more."""
    budget: dict[str, Any] = {"steps": 32, "batch_size": 24, "progress": False}
    first = GPT(GPTConfig(len(world.vocabulary), world.context, layers=2, heads=2, width=32), seed=seed)
    distill(first, teacher, world, word_level(), seed=seed, **budget)
    generator = torch.Generator().manual_seed(seed)
    prompts = world.prompts(300, generator)
    read = rollout(teacher, world, prompts, generator)
    found = {}
    for label, recipe in recipes.items():
        model = copy.deepcopy(first)
        history = distill(model, teacher, world, recipe, seed=seed + 100, **budget).history
        written = rollout(model, world, prompts, generator)
        found[label] = Pupil(
            model,
            bits_per_character(model, held_out),
            -target_logp(teacher, written)[written.mask].mean().item(),
            Gaps(*(sampled_gap_by_position(model, teacher, texts) for texts in (written, read))),
            list(history["seconds"]),
        )
    return found
