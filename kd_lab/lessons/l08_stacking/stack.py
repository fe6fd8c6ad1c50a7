"""Every rung of the stack distil × prune × quantize, and how one is built.

The original is the surname teacher in 16-bit numbers. Its rungs: itself, or a student of half its layers and half its
width; none, a quarter, half or three quarters of all heads and channels removed, and the loss healed by distillation
from the original; 16, 8, 4, 3 or 2 bits per weight, the last of them by distillation through the rounding. 8 bits
multiply in integers where torch has a kernel for it; 4 and fewer are unpacked and multiplied in float32.

Trained models are kept in the user's cache.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from kd_lab.compress import prune, quantize
from kd_lab.methods import Recipe, Result, distill, word_level
from kd_lab.models import GPT, GPTConfig, load_model, save_model, trained
from kd_lab.worlds import Batch, World

STUDENT = GPTConfig(vocab_size=27, context=14, layers=2, heads=4, width=64)
PRUNED = (0, 25, 50, 75)  # percent of the heads and of the channels of every layer
BITS = (16, 8, 4, 3, 2)
GROUPS = {8: "channel", 4: 32, 3: 32, 2: 32}  # weights that share a scale; the integer kernels want one per output
TRAINED_BITS = 2  # at so few bits and fewer, a model is trained through the rounding
STEPS = {"distil": 600, "heal": 150, "round": 40}
LEARNING_RATE = {"distil": 4e-3, "heal": 3e-3, "round": 1e-3}
CALIBRATION = 512  # training names that tell which heads and channels are used


@dataclass(frozen=True)
class Stages:
    """The three choices that make a rung."""

    distilled: bool
    pruned: int  # percent
    bits: int

    @property
    def by_chance(self) -> bool:
        """Whether another seed gives another model: something was trained on the way."""
        return self.distilled or self.pruned > 0 or self.bits <= TRAINED_BITS

    def __str__(self) -> str:
        parts = [
            "distil" if self.distilled else "",
            f"prune {self.pruned} %" if self.pruned else "",
            f"{self.bits} bits" if self.bits < 16 else "",
        ]
        return " + ".join(filter(None, parts)) or "original"


FULL = (True, 50, 4)
"""The whole stack, as a model goes to production: distil, prune by half, round to 4 bits."""

RUNGS = tuple(Stages(d, p, b) for d in (False, True) for p in PRUNED for b in BITS)


def calibration(world: World) -> Batch:
    """Training names that pruning and rounding may look at."""
    return world.train[torch.randperm(len(world.train), generator=torch.Generator().manual_seed(0))[:CALIBRATION]]


def train(
    student: GPT,
    recipe: Recipe,
    kind: str,
    seed: int,
    world: World,
    teacher: GPT | None,
    steps: int | None = None,
) -> Result:
    """Train a student in place by a recipe, with the steps and the learning rate of its kind."""
    return distill(
        student,
        teacher,
        world,
        recipe,
        steps=steps or STEPS[kind],
        seed=seed,
        learning_rate=LEARNING_RATE[kind],
        progress=False,
    )


def student(recipe: Recipe, seed: int, world: World, teacher: GPT | None) -> GPT:
    """A small GPT of its own shape, trained from scratch."""
    return trained(
        f"stack-{recipe.name.replace(' ', '-')}",
        lambda: GPT(STUDENT, seed=seed),
        partial(train, recipe=recipe, kind="distil", seed=seed, world=world, teacher=teacher),
        key=[recipe, STEPS["distil"], LEARNING_RATE["distil"], seed],
    )


def cut(model: GPT, per_cent: int, world: World) -> GPT:
    """The model without the share of every layer's heads and channels that the calibration names use least."""
    stays = 1 - per_cent / 100
    keep = prune.select_structures(
        model,
        prune.wanda(model, calibration(world)),
        heads=max(1, round(stays * model.config.heads)),
        channels=round(stays * model.config.hidden_units),
    )
    return prune.remove_structures(model, keep, dropout=0.0)


def healed(model: GPT, per_cent: int, seed: int, world: World, teacher: GPT) -> GPT:
    """The model cut and then distilled from the original for a short while."""
    if not per_cent:
        return model
    return trained(
        f"stack-healed-{per_cent}",
        lambda: cut(model, per_cent, world),
        partial(train, recipe=word_level(), kind="heal", seed=seed, world=world, teacher=teacher),
        key=[STEPS["heal"], LEARNING_RATE["heal"], seed],
    )


def rounded(model: GPT, bits: int, seed: int, world: World, teacher: GPT) -> quantize.QuantizedModel:
    """The model in `bits` bits: rounded to nearest, or trained through the rounding with the original as teacher."""
    if bits > TRAINED_BITS:
        return quantize.round_to_nearest(model, bits, GROUPS[bits])
    student = trained(
        f"stack-rounded-{bits}",
        lambda: quantize.prepare_qat(cut(model, 0, world), bits, GROUPS[bits]),
        partial(train, recipe=word_level(), kind="round", seed=seed, world=world, teacher=teacher),
        key=[STEPS["round"], LEARNING_RATE["round"], seed],
    )
    return quantize.convert_qat(student)


def from_file(model: GPT, bits: int, path: Path, seed: int, world: World, teacher: GPT) -> GPT:
    """The model as it comes back from the file that it was written to, ready to run as fast as torch can run it."""
    if bits == 16:
        save_model(model, path, dtype=torch.float16)
        return load_model(path)
    quantize.save_quantized(rounded(model, bits, seed, world, teacher), path)
    return ready(quantize.load_quantized(path))


def ready(quantized: quantize.QuantizedModel) -> GPT:
    """A model that can be called: in integers where torch has a kernel for its codes here, else in float32."""
    try:
        return quantize.to_int8(quantized)
    except ValueError:  # only 8 bits have a kernel, and not on every machine
        return quantized.dequantize()
