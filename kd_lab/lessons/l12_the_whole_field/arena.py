"""The arena in which every method of the field is trained: one world, one budget, two judges, and the cost of each run.

A prompt is the first two letters of a surname and a text is the rest. The student has read two hundred names for a
while before any method begins: an on-policy method needs a student that can write.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from math import log
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.how import forward_kl, reverse_kl
from kd_lab.methods import Recipe, distill, labels_only
from kd_lab.models import GPT, GPTConfig, load_teacher, next_token_logp
from kd_lab.where import rollout
from kd_lab.worlds import Batch, World, surnames

GIVEN = 3  # ids of a prompt: the mark that begins a name, and two letters
NAMES = 200  # training names
LABEL_STEPS, STEPS, BATCH, LEARNING_RATE = 60, 80, 32, 3e-3
JUDGED = 512  # held-out prompts, and as many texts for each judge
SHOWN = 8  # texts that are kept of a run

JUDGES = ("forward", "reverse", "held_out")
"""KL(P‖Q) and KL(Q‖P) in nats per text, and bits per character of the real names, which no method has seen."""


@cache
def world() -> World:
    """Surnames as completions of their first two letters, with `NAMES` of them to train on."""
    return surnames().given(GIVEN).subset(NAMES, seed=0)


@cache
def teacher() -> GPT:
    """The shipped teacher of surnames: 0.8 million weights, eighteen thousand names read."""
    return load_teacher("surnames")


def new_student(seed: int, width: int = 32, layers: int = 2) -> GPT:
    """A student of 26,000 weights that has read nothing, or one of another size."""
    place = world()
    return GPT(GPTConfig(len(place.vocabulary), place.context, layers=layers, heads=2, width=width), seed=seed)


@cache
def beginner(seed: int) -> GPT:
    """The student that every run of this seed begins with. Copy it before training."""
    student = new_student(seed)
    distill(student, None, world(), labels_only(), steps=LABEL_STEPS, seed=seed, batch_size=BATCH, progress=False)
    return student


# ---- the judges ------------------------------------------------------------------------------------------------------


@torch.no_grad()
def logp_of(model: nn.Module, batch: Batch) -> Float[Tensor, "B T V"]:
    return next_token_logp(model, batch.inputs)


@dataclass(frozen=True, eq=False)
class Judges:
    """Three readings of a student on held-out prompts.

    The prompts and the teacher's texts are the same for every student. At each prefix of a text the gap is summed over
    the whole vocabulary; along whole texts it adds up to the KL between them, by the chain rule.

    Args of the constructor: the teacher's texts and its log-probabilities on them.
    """

    texts: Batch
    texts_logp: Float[Tensor, "B T V"]
    reference: nn.Module
    place: World
    seed: int = 2  # of the students' texts

    def __call__(self, student: nn.Module) -> tuple[float, float, float]:
        """(KL(P‖Q), KL(Q‖P)) in nats per text, and bits per character of held-out names."""
        own = self.written(student)
        ahead = forward_kl(logp_of(student, self.texts), self.texts_logp)
        behind = reverse_kl(logp_of(student, own), logp_of(self.reference, own))
        real = self.place.held_out[slice(0, JUDGED)]
        surprise = -logp_of(student, real).gather(-1, real.targets[..., None])[..., 0]
        bits = surprise.where(real.mask, 0.0).sum().item() / int(real.mask.sum()) / log(2)
        return per_text(ahead, self.texts), per_text(behind, own), bits

    def written(self, student: nn.Module) -> Batch:
        """A text of the student for each prompt."""
        return texts_of(student, self.place, self.seed)


def per_text(values: Float[Tensor, "B T"], batch: Batch) -> float:
    """The mean over texts of the sum over counted positions."""
    return values.where(batch.mask, 0.0).sum().item() / len(batch)


def texts_of(model: nn.Module, place: World, seed: int, count: int = JUDGED) -> Batch:
    """One text of `model` for each of the first held-out prompts."""
    prompts = place.held_out[slice(0, count)].prompts(place.vocabulary.pad)[0]
    return rollout(model, place, prompts, torch.Generator().manual_seed(seed))


@cache
def judges() -> Judges:
    """The judges of the field: the shipped teacher's texts, one per held-out prompt."""
    texts = texts_of(teacher(), world(), seed=1)
    return Judges(texts, logp_of(teacher(), texts), teacher(), world())


# ---- one run ---------------------------------------------------------------------------------------------------------


class Counted(nn.Module):
    """A model that counts the positions it reads: with a gradient (training), and without (writing, judging)."""

    def __init__(self, inner: nn.Module):
        super().__init__()
        self.inner = inner
        self.trained = self.read = 0

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def forward(self, tokens: Tensor, *further: Any, **options: Any) -> Any:
        if torch.is_grad_enabled():
            self.trained += tokens.numel()
        else:
            self.read += tokens.numel()
        return self.inner(tokens, *further, **options)


@dataclass
class Cost:
    """The bill of a run: processor seconds, and positions that went through the models."""

    seconds: float
    teacher: int  # read or written by the teacher
    written: int  # or read without a gradient, by the student for its own training
    trained: int  # read by the student with a gradient


@dataclass
class Outcome:
    """A trained student, its three marks, its cost, and texts of its own."""

    student: nn.Module
    marks: tuple[float, float, float]
    cost: Cost
    samples: list[str] = field(default_factory=list)


def train(
    recipe: Recipe,
    seed: int,
    *,
    expert: nn.Module | None = None,
    start: nn.Module | None = None,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
    judge: Callable[[nn.Module], tuple[float, float, float]] | None = None,
) -> Outcome:
    """Train a copy of the beginner by a recipe, under the budget of the field, and judge it.

    Args:
        recipe: the method.
        seed: of the beginner and of everything drawn.
        expert: the teacher, if it is not the shipped one.
        start: the student to begin with, if it is not the beginner.
        steps, learning_rate: the budget of the field by default.
        judge: `judges()` by default.

    Raises:
        KeyboardInterrupt: training was stopped; a run that is not finished is worth nothing here.
    """
    student, guide = Counted(copy.deepcopy(start or beginner(seed))), Counted(expert or teacher())
    began = time.process_time()
    result = distill(
        student, guide, world(), recipe, steps=steps, seed=seed, batch_size=BATCH // sources(recipe),
        learning_rate=learning_rate, progress=False,
    )  # fmt: skip
    seconds = time.process_time() - began
    if result.interrupted:
        raise KeyboardInterrupt
    cost = Cost(round(seconds, 2), guide.read, student.read, student.trained)
    marks = (judge or judges())(student.inner)
    return Outcome(student.inner, marks, cost, shown(student.inner))


def sources(recipe: Recipe) -> int:
    """Batches that a recipe reads per step: where there are two, each has half of the texts."""
    return len(set(map(repr, (term.where for term in recipe.terms))))


def shown(student: nn.Module) -> list[str]:
    """The names that a student writes for the first prompts, the given letters apart: "sm·ith"."""
    place = world()
    words = place.vocabulary.decode(texts_of(student, place, seed=3, count=SHOWN).tokens)
    return [f"{word[: GIVEN - 1]}·{word[GIVEN - 1 :]}" for word in words]
