"""Weak teachers and strong students on one task: who learns what from whom, in all runs at once."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.lessons.l10_weak_to_strong.exercises import confidence_loss, gain_and_misfit
from kd_lab.lessons.l10_weak_to_strong.heads import Loss, accuracy, answer, fit_teacher, train_heads, with_constant
from kd_lab.lessons.l10_weak_to_strong.spelling import (
    NARROW,
    WEAK,
    Deal,
    reader,
    readings,
    spellings,
    untrained,
)
from kd_lab.models import load_teacher
from kd_lab.worlds import surnames

RUNS = 24
HEADS = {"narrow": slice(-NARROW, None), "wide": slice(None)}
"""The part of a model that a head reads: its three numbers of surprise, or these and all hidden features."""

SHORT = 6  # letters up to which the biased labels call everything a name


@dataclass(frozen=True, eq=False)
class Labels:
    """A weak teacher's word in each run, and how often it is right on the test."""

    probabilities: Float[Tensor, "R N"]  # for the student's texts
    accuracy: Float[np.ndarray, " R"]

    @property
    def hard(self) -> Float[Tensor, "R N"]:
        """1 where the teacher takes a text for a name, else 0."""
        return (self.probabilities > 0.5).float()


class Contest:
    """One task, dealt anew in each run. Students are the model that ships and one of its shape that has read nothing.

    Args:
        seed: of the first run.
        runs: how many.
    """

    def __init__(self, seed: int, runs: int = RUNS):
        self.seed, self.texts = seed, spellings(surnames())
        self.deal = Deal.of(range(seed, seed + runs), len(self.texts))
        self.truth = self.deal.truth("student")  # [R, N]

    @cached_property
    def read(self) -> dict[str, Float[Tensor, "N 2 K"]]:
        """The readings of each strong model, by whether it has read names before."""
        strong = load_teacher("surnames")
        return {"names": readings(strong, self.texts), "nothing": readings(untrained(strong), self.texts)}

    def weak(self, name: str) -> Labels:
        """A small language model with a head that has seen 300 true labels; `name` is one of WEAK."""
        read = readings(reader(surnames(), *WEAK[name]), self.texts)
        weights = fit_teacher(self.deal.part(read, "teacher"), self.deal.truth("teacher"))
        said, test = (answer(self.deal.part(read, part), weights) for part in ("student", "test"))
        return Labels(said, accuracy(test, self.deal.truth("test")).numpy())

    def features(self, model: str, head: str, part: str) -> Float[Tensor, "R M K"]:
        """The features that a head sees of one part of the texts; `model` has read "names" or "nothing"."""
        return self.deal.part(self.read[model][..., HEADS[head]], part)

    def learn(
        self, model: str, head: str, labels: Tensor, alpha: float = 0.0, loss: Loss = confidence_loss
    ) -> Float[np.ndarray, " R"]:
        """The accuracy on the test of a student that was taught by these labels, in each run."""
        weights = train_heads(self.features(model, head, "student"), labels, alpha, loss, seed=self.seed)
        return accuracy(answer(self.features(model, head, "test"), weights), self.deal.truth("test")).numpy()

    def gains(
        self, model: str, head: str, labels: Labels, rule: Callable = gain_and_misfit
    ) -> Float[np.ndarray, "R 3"]:
        """Gain, misfit and overlap of least-squares students, in the squared error on the student's own texts.

        Ten runs of a narrow head, five of a wide one, which costs more. `rule` sees features without a dependence: a
        layer norm's sum to zero, and not every way to solve least squares bears that.
        """
        runs = 10 if head == "narrow" else 5
        features = map(span, with_constant(self.features(model, head, "student")[:runs]).double().numpy())
        rows = zip(features, labels.probabilities.double().numpy(), self.truth.double().numpy(), strict=False)
        return np.array([(*rule(x, w, t), overlap(x, w, t)) for x, w, t in rows])

    def flipped(self, share: float) -> Float[Tensor, "R N"]:
        """True labels of which this share, drawn at random, is wrong."""
        chance = torch.rand(self.truth.shape, generator=torch.Generator().manual_seed(self.seed))
        return torch.where(chance < share, 1 - self.truth, self.truth)

    def one_sided(self, share: float) -> Float[Tensor, "R N"]:
        """True labels, except that misspellings drawn at random, this share of all texts, are called names."""
        chance = torch.rand(self.truth.shape, generator=torch.Generator().manual_seed(self.seed))
        called = chance < share / (1 - self.truth.mean(1, keepdim=True))
        return torch.where(called, torch.ones_like(self.truth), self.truth)

    def biased(self) -> Float[Tensor, "R N"]:
        """True labels, except that every text of at most six letters is called a name."""
        letters = (self.deal.part(self.texts, "student") != 0).sum(-1)
        return torch.where(letters <= SHORT, torch.ones_like(self.truth), self.truth)


def span(features: Float[np.ndarray, "N K"]) -> Float[np.ndarray, "N J"]:
    """Orthogonal columns, of mean square 1, that can write whatever these features can write."""
    columns, sizes, _ = np.linalg.svd(features, full_matrices=False)
    return np.sqrt(len(features)) * columns[:, sizes > 1e-5 * sizes[0]]


def overlap(features: Float[np.ndarray, "N K"], weak: Float[np.ndarray, " N"], truth: Float[np.ndarray, " N"]) -> float:
    """⟨w − ŵ, t − t̂⟩ / N: how far that which the student leaves out of the labels is truth that it cannot write."""
    both = np.stack([weak, truth], axis=1)
    left = both - features @ np.linalg.lstsq(features, both, rcond=None)[0]
    return float(np.mean(left[:, 0] * left[:, 1]))
