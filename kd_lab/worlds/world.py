"""A world: where text comes from, split once into what may be trained on and what is held out."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from kd_lab.worlds.batch import Batch, Vocabulary


@dataclass(frozen=True)
class World:
    """A vocabulary, a training set and a held-out set that shares no text with it."""

    name: str
    vocabulary: Vocabulary
    train: Batch
    held_out: Batch
    prompt_length: int = 1  # ids given before generation starts; 1 is the bare end mark of a free text

    @property
    def context(self) -> int:
        """The longest input a model of this world must read, in tokens."""
        return self.train.inputs.shape[1]

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Rows of the training set, drawn with replacement."""
        return self.train[torch.randint(len(self.train), (batch_size,), generator=generator)]

    def prompts(self, batch_size: int, generator: torch.Generator) -> Int[Tensor, "B P"]:
        """The first `prompt_length` ids of rows of the training set, drawn with replacement."""
        return self.sample(batch_size, generator).tokens[:, : self.prompt_length]

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
        return World(f"{self.name}[{rows}]", self.vocabulary, self.train[chosen], self.held_out, self.prompt_length)
