"""The task of lesson 10: a name, or a name with two neighbouring letters exchanged? And what a language model reads."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from kd_lab.methods import distill, labels_only
from kd_lab.models import GPT, GPTConfig
from kd_lab.worlds import Batch, World

SHORTEST = 4  # letters of a name that is used: an exchange should leave something to recognise
FOR_TEACHER, FOR_STUDENT = 150, 1000  # names, each with its misspelling, that carry true labels, or a teacher's
NARROW = 3
"""Numbers that a narrow head reads: the model's surprise at a text, on average, at its worst, and in all."""

WEAK = {"nearly a coin": (8, 60), "weak": (8, 300), "less weak": (16, 300)}
"""Teachers by what they are called: width, and steps of training on the names."""


def exchanged(names: Int[Tensor, "N L"], seed: int) -> Int[Tensor, "N L"]:
    """Each name with two different neighbouring letters in each other's place."""
    generator = torch.Generator().manual_seed(seed)
    wrong = names.clone()
    for row in wrong:
        letters = int((row != 0).sum())
        places = [i for i in range(1, letters) if row[i] != row[i + 1]]
        place = places[int(torch.randint(len(places), (), generator=generator))]
        row[place : place + 2] = row[place : place + 2].flip(0)
    return wrong


def spellings(world: World, seed: int = 0) -> Int[Tensor, "N 2 L"]:
    """Held-out names, which no model has read, each beside its misspelling."""
    names = world.held_out.tokens
    names = names[(names != world.vocabulary.end).sum(1) >= SHORTEST]
    return torch.stack([names, exchanged(names, seed)], dim=1)


@torch.no_grad()
def readings(model: GPT, texts: Int[Tensor, "N 2 L"]) -> Float[Tensor, "N 2 K"]:
    """A model's view of each text: its hidden features (mean and last), then three numbers of surprise.

    Each of the K numbers is shifted and scaled to mean 0 and variance 1 over all texts.
    """
    batch = Batch.from_tokens(texts.flatten(0, 1), end=model.end)
    logits, hidden = model(batch.inputs, return_hidden=True)
    features, counts = model.norm(hidden[-1]), batch.mask.sum(1)
    logp = logits.log_softmax(-1).gather(-1, batch.targets[..., None])[..., 0].where(batch.mask, 0.0)
    total = logp.sum(1)
    columns = [
        features.where(batch.mask[..., None], 0.0).sum(1) / counts[:, None],
        features[torch.arange(len(features)), counts - 1],
        torch.stack([total / counts, logp.min(1).values, total], dim=1),
    ]
    read = torch.cat(columns, dim=1)
    return ((read - read.mean(0)) / (read.std(0) + 1e-6)).unflatten(0, texts.shape[:2])


def reader(world: World, width: int, steps: int, seed: int = 0) -> GPT:
    """A language model of one layer that has read the names for so many steps."""
    model = GPT(GPTConfig(len(world.vocabulary), world.context, layers=1, heads=2, width=width), seed=seed)
    return distill(model, None, world, labels_only(), steps=steps, seed=seed, progress=False).student.eval()


@dataclass(frozen=True)
class Deal:
    """The texts of R runs, dealt anew in each: some with true labels for the teacher, some for the student, a test."""

    order: Int[Tensor, "R N"]  # of the pairs

    @classmethod
    def of(cls, runs: range, pairs: int) -> "Deal":
        rows = [torch.randperm(pairs, generator=torch.Generator().manual_seed(run)) for run in runs]
        return cls(torch.stack(rows))

    def part(self, read: Shaped[Tensor, "N 2 *K"], which: str) -> Shaped[Tensor, "R M *K"]:
        """The readings of one part of the texts: "teacher", "student" or "test"; pair by pair."""
        first, second = FOR_TEACHER, FOR_TEACHER + FOR_STUDENT
        bounds = {"teacher": slice(0, first), "student": slice(first, second), "test": slice(second, None)}
        return read[self.order[:, bounds[which]]].flatten(1, 2)

    def truth(self, which: str) -> Float[Tensor, "R M"]:
        """1 for a name, 0 for a misspelling."""
        pairs = torch.tensor([1.0, 0.0]).expand(self.order.shape[1], 2)
        return self.part(pairs, which)


def untrained(model: GPT, seed: int = 1) -> GPT:
    """A model of the same shape that has read nothing."""
    return GPT(model.config, seed=seed).eval()
