"""The contest of lesson 00: the same small student with labels and with a teacher, and what it believes on the way."""

from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from kd_lab.classroom.students import taught
from kd_lab.measure import bits_per_character
from kd_lab.methods import Recipe, distill, labels_only, word_level
from kd_lab.models import GPT, GPTConfig, next_token_logp
from kd_lab.worlds import Batch, World

STEPS, EVERY, BATCH_SIZE, LEARNING_RATE = 400, 40, 32, 0.01
JUDGED = 600  # held-out names on which a student is judged on the way
RECIPES: tuple[Recipe, ...] = (labels_only(), word_level())


def new_student(world: World, number: int) -> GPT:
    """The student of lesson 00 with the initial weights of this seed."""
    shape = GPTConfig(vocab_size=len(world.vocabulary), context=world.context, layers=1, heads=2, width=48)
    return GPT(shape, seed=number)


def judged_names(world: World, seed: int) -> Batch:
    """Some of the held-out names, drawn with a seed: the list is sorted by frequency, and its first are special."""
    generator = torch.Generator().manual_seed(seed)
    return world.held_out[torch.randperm(len(world.held_out), generator=generator)[:JUDGED]]


def contest(
    names: World, guide: nn.Module, seeds: range, judged: Batch, steps: int = STEPS
) -> dict[str, Float[np.ndarray, "seeds points"]]:
    """Held-out bits per character after every EVERY steps, with labels and with a teacher; the rest is the same.

    Args:
        names: the world to learn from.
        guide: the teacher.
        seeds: one pair of students for each, with the same initial weights and the same batches.
        judged: held-out names.
        steps: of each training.
    """

    def runs(recipe: Recipe) -> Float[np.ndarray, "seeds points"]:
        pupils = taught(
            f"contest {recipe.name}", partial(new_student, names), seeds, teacher=guide, world=names, recipe=recipe,
            steps=steps, batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE,
            evaluate=lambda model: bits_per_character(model, judged), evaluate_every=EVERY,
        )  # fmt: skip
        return np.stack([one.curve[EVERY - 1 :: EVERY] for one in pupils])

    return {recipe.name: runs(recipe) for recipe in RECIPES}


def beliefs(
    names: World, guide: nn.Module, texts: list[str], seed: int, every: int = 20, steps: int = STEPS
) -> dict[str, Float[np.ndarray, "moments texts V"]]:
    """Next-symbol distributions after a few prefixes, before the first update and after every `every` steps.

    Returns:
        recipe → probabilities, one slice per moment; and "teacher" and "labels", one slice each: the guide's
        distributions, and how often each symbol came next in the names (the empirical distribution).
    """
    read = {text: names.vocabulary.encode([text])[:, : len(text) + 1] for text in texts}

    def look(model: nn.Module) -> Float[np.ndarray, "texts V"]:
        with torch.no_grad():
            return np.stack([next_token_logp(model, tokens)[0, -1].exp().numpy() for tokens in read.values()])

    found = {}
    for recipe in RECIPES:
        student = new_student(names, seed)
        moments = [look(student)]

        def note(model: nn.Module, moments: list = moments) -> float:
            moments.append(look(model))
            return 0.0

        distill(
            student, guide, names, recipe, steps=steps, seed=seed,
            batch_size=BATCH_SIZE, learning_rate=LEARNING_RATE, progress=False, evaluate=note, evaluate_every=every,
        )  # fmt: skip
        found[recipe.name] = np.stack(moments)
    return found | {"teacher": look(guide)[None], "labels": _frequencies(names, texts)[None]}


def _frequencies(names: World, texts: list[str]) -> Float[np.ndarray, "texts V"]:
    """The share of each symbol among those that follow a prefix in the training names, each name counted once."""
    end = names.vocabulary.symbols[names.vocabulary.end]
    whole = [name + end for name in names.vocabulary.decode(names.train.tokens)]
    rows = np.zeros((len(texts), len(names.vocabulary)))
    for row, text in zip(rows, texts, strict=True):
        for name in whole:
            if name.startswith(text) and len(name) > len(text):
                row[names.vocabulary.symbols.index(name[len(text)])] += 1
        row /= max(row.sum(), 1)
    return rows
