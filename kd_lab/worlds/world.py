"""A world: where text comes from, split once into what may be trained on and what is held out."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kd_lab.worlds.batch import END, Batch, Vocabulary


@dataclass(frozen=True)
class World:
    """A vocabulary, a training set and a held-out set that shares no text with it.

    An exact language is the one exception: its held-out set is a fresh draw, and what generalises is known exactly.
    """

    name: str
    vocabulary: Vocabulary
    train: Batch
    held_out: Batch
    prompt_length: int = 1  # ids given before generation starts; 1 is the bare end mark of a free text
    weights: Float[Tensor, " N"] | None = (
        None  # how often `sample` draws each training row, up to a factor; None: alike
    )

    def __post_init__(self) -> None:
        if self.weights is None:
            return
        if len(self.weights) != len(self.train):
            raise ValueError(f"{len(self.weights)} weights came for {len(self.train)} training rows; give one a row")
        if not (self.weights.isfinite().all() and (self.weights >= 0).all() and self.weights.sum() > 0):
            raise ValueError("a weight is negative, infinite or NaN, or all are zero; expected frequencies ≥ 0")

    @property
    def context(self) -> int:
        """The longest input a model of this world must read, in tokens."""
        return self.train.inputs.shape[1]

    def sample(self, batch_size: int, generator: torch.Generator) -> Batch:
        """Rows of the training set, drawn with replacement, in proportion to `weights` where the world has them."""
        if self.weights is not None:
            return self.train[torch.multinomial(self.weights, batch_size, replacement=True, generator=generator)]
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
        return replace(
            self,
            name=f"{self.name}[{rows}]",
            train=self.train[chosen],
            weights=None if self.weights is None else self.weights[chosen],
        )

    def given(self, prompt_length: int) -> "World":
        """The same texts with their first `prompt_length` ids given as a prompt: completion instead of free text.

        Texts that end inside the prompt leave nothing to complete and are left out.

        Raises:
            ValueError: no text of the training or the held-out set is longer than the prompt.
        """
        parts = []
        for part in (self.train, self.held_out):
            complete = (part.tokens[:, 1:prompt_length] != END).all(1)
            if not complete.any():
                raise ValueError(
                    f"prompt_length is {prompt_length} and no text of {self.name} is longer than such a prompt; "
                    f"expected a prompt that leaves something to predict, so take fewer than {prompt_length} ids"
                )
            parts.append(Batch.from_tokens(part.tokens[complete], prompt_length))
        return World(f"{self.name} given {prompt_length - 1}", self.vocabulary, *parts, prompt_length)
