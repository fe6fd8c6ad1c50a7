"""Students of 8,000 weights and their teachers, from 1,000 weights to 0.8 million: the runs behind the capacity gap."""

import copy
from dataclasses import dataclass
from functools import cache

from torch import nn

from kd_lab.measure import bits_per_character
from kd_lab.methods import distill, labels_only, word_level
from kd_lab.models import GPT, CachedTeacher, GPTConfig, load_teacher
from kd_lab.worlds import World, surnames

SHAPES = {"1K": (1, 2, 8), "8K": (1, 4, 24), "105K": (2, 4, 64), "0.8M": (4, 4, 128)}
"""Layers, heads and width, by the number of weights."""

STUDENT = "8K"
READ, BATCH = 600, 32  # steps of a teacher, names per step of everyone
FEW = 300  # names of the small world
LABELS = "labels"


def model_of(size: str, world: World, seed: int) -> GPT:
    layers, heads, width = SHAPES[size]
    return GPT(GPTConfig(len(world.vocabulary), world.context, layers, heads, width), seed=seed)


def weights_of(size: str) -> int:
    """The number of weights of a shape, for a world of 27 symbols and 14 positions."""
    return sum(parameter.numel() for parameter in model_of(size, surnames(), seed=0).parameters())


def bits(model: nn.Module) -> float:
    """Held-out bits per character."""
    return round(bits_per_character(model, surnames().held_out), 4)


@dataclass(frozen=True, eq=False)
class Grown:
    """A teacher at the end of its training, and at its best on the way."""

    last: GPT
    best: GPT


@cache
def grown(size: str, names: int, seed: int) -> Grown:
    """A teacher that has read so many names for 600 steps. The largest of all names is the one that ships.

    `best` is the teacher as it was when its held-out bits were lowest, looked at every 60 steps.
    """
    world = surnames() if names == len(surnames().train) else surnames().subset(names, seed=0)
    if size == "0.8M":
        shipped = load_teacher("surnames")
        return Grown(shipped, shipped)
    kept: dict[str, object] = {"bits": float("inf")}

    def look(model: nn.Module) -> float:
        now = bits(model)
        if now < kept["bits"]:
            kept.update(bits=now, model=copy.deepcopy(model))
        return now

    few = names <= FEW and size != "1K"  # the smallest is hardly better on the way
    teacher = model_of(size, world, seed + 1000)
    distill(
        teacher, None, world, labels_only(), steps=READ, seed=seed + 1000, batch_size=BATCH, progress=False,
        evaluate=look if few else None, evaluate_every=60,
    )  # fmt: skip
    return Grown(teacher.eval(), (kept["model"] if few else teacher).eval())


def student_of(teacher: nn.Module | None, names: int, steps: int, seed: int, size: str = STUDENT) -> GPT:
    """A student that learns from a teacher at τ = 1, or from the labels of the same names where there is none."""
    world = surnames() if names == len(surnames().train) else surnames().subset(names, seed=0)
    student = model_of(size, world, seed)
    source, recipe = (None, labels_only()) if teacher is None else (_remembered(teacher), word_level())
    distill(student, source, world, recipe, steps=steps, seed=seed, batch_size=BATCH, progress=False)
    return student.eval()


_memories: dict[int, CachedTeacher] = {}


def _remembered(teacher: nn.Module) -> CachedTeacher:
    """Every text is read once by each teacher, however many students ask for it."""
    return _memories.setdefault(id(teacher), CachedTeacher(teacher))
