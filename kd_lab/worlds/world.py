"""A world: the source of texts, split once into those to train on and those held out."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kd_lab.arguments import checked
from kd_lab.contracts import Tokenizer
from kd_lab.worlds.batch import Batch


@checked
@dataclass(frozen=True)
class World:
    """A tokenizer, a training set and a held-out set that shares no text with it.

    An exact language is the one exception: its held-out set is a fresh draw, and generalisation is known exactly.
    """

    name: str
    vocabulary: Tokenizer
    train: Batch
    held_out: Batch
    weights: Float[Tensor, " N"] | None = None  # of each training row in `sample`, up to a factor; None: all alike

    def __post_init__(self) -> None:
        if self.weights is None:
            return
        if len(self.weights) != len(self.train):
            raise ValueError(
                f"{len(self.weights)} weights came for {len(self.train)} training rows; expected one for each row"
            )
        if not (self.weights.isfinite().all() and (self.weights >= 0).all() and self.weights.sum() > 0):
            raise ValueError("a weight is negative, infinite or NaN, or all are zero; expected frequencies ≥ 0")

    @property
    def context(self) -> int:
        """The longest input that a model of this world must read, in tokens."""
        return self.train.inputs.shape[1]

    @cached_property
    def prompt_length(self) -> int:
        """The most ids that a training row gives before its text begins; 1 is the bare mark that begins a free text."""
        return int(self.train.prompt_lengths.max())

    @checked
    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Rows of the training set, drawn with replacement, in proportion to `weights` where the world has them."""
        if self.weights is not None:
            return self.train[torch.multinomial(self.weights, batch_size, replacement=True, generator=generator)]
        return self.train[torch.randint(len(self.train), (batch_size,), generator=generator)]

    @checked
    def prompts(self, batch_size: int, generator: torch.Generator) -> Int[Tensor, "B P"]:
        """The prompts of rows of the training set, drawn with replacement.

        Raises:
            ValueError: prompts of several lengths were drawn, which need `sample(…).prompts(pad)` and its lengths.
        """
        prompts, lengths = self.sample(batch_size, generator).prompts(self.vocabulary.pad)
        if (lengths != lengths[0]).any():
            raise ValueError(
                f"prompts of {int(lengths.min())} to {int(lengths.max())} ids were drawn from {self.name}; expected "
                "one length: take world.sample(batch_size, generator).prompts(world.vocabulary.pad), which tells them"
            )
        return prompts

    @checked
    def subset(self, rows: int, seed: int = 0) -> "World":
        """The same world with only `rows` training texts, chosen by `seed`; the held-out set stays whole.

        Raises:
            ValueError: `rows` is not between 1 and the size of the training set.
        """
        if not 1 <= rows <= len(self.train):
            raise ValueError(
                f"rows is {rows}; expected 1 … {len(self.train)}, the size of the training set of {self.name}"
            )
        chosen = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(seed))[:rows]
        return replace(
            self,
            name=f"{self.name}[{rows}]",
            train=self.train[chosen],
            weights=None if self.weights is None else self.weights[chosen],
        )

    @checked
    def given(self, prompt_length: int) -> "World":
        """The same texts with at least their first `prompt_length` ids given: completion instead of free text.

        Texts that end inside the prompt leave nothing to complete and are left out.

        Raises:
            ValueError: no text of the training or of the held-out set is longer than the prompt.
        """
        masks = [
            part.mask & (torch.arange(part.mask.shape[1]) >= prompt_length - 1) for part in (self.train, self.held_out)
        ]
        train, held_out = (mask.any(1) for mask in masks)
        if prompt_length < 1 or not (train.any() and held_out.any()):
            raise ValueError(
                f"prompt_length is {prompt_length} and no text of {self.name} is longer than such a prompt; expected "
                "at least 1 id and a prompt that leaves something to predict: take fewer ids"
            )
        return replace(
            self,
            name=f"{self.name} given {prompt_length - 1}",
            train=Batch(self.train.tokens, masks[0])[train],
            held_out=Batch(self.held_out.tokens, masks[1])[held_out],
            weights=None if self.weights is None else self.weights[train],
        )
