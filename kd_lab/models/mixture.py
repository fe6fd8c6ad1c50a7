"""Two models that write one text together: each next token is drawn from a mixture of their distributions."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.arguments import checked
from kd_lab.contracts import Cache, LanguageModel
from kd_lab.models.reading import last_logits


@dataclass
class PairCache:
    """The tokens that two models have read together, in the form of each."""

    first: Cache
    second: Cache

    @property
    def length(self) -> int:
        """Tokens read so far; setting it lower forgets the last ones."""
        return self.first.length

    @length.setter
    def length(self, length: int) -> None:
        self.first.length = self.second.length = length

    def select(self, rows: Int[Tensor, " N"]) -> "PairCache":
        """A new cache whose row i continues row `rows[i]` of this one."""
        return PairCache(self.first.select(rows), self.second.select(rows))


@checked
class MixtureModel(nn.Module):
    """p̃(·|prefix) = α·first(·|prefix) + (1−α)·second(·|prefix), with the interface of a model.

    Source: Gu et al. (2024), "MiniLLM", arXiv:2306.08543, equation 4.

    >>> from kd_lab.models import TabularModel
    >>> sure, unsure = TabularModel([torch.tensor([[0.0, -torch.inf]])]), TabularModel.uniform(2, 1)
    >>> MixtureModel(sure, unsure, share=0.5)(torch.tensor([[0]])).exp().detach()
    tensor([[[0.7500, 0.2500]]])
    """

    def __init__(self, first: LanguageModel, second: LanguageModel, share: float) -> None:
        """`share` is α, the first model's.

        Raises:
            ValueError: α is not strictly between 0 and 1, or the vocabularies or their ends differ.
        """
        super().__init__()
        if not 0 < share < 1:
            raise ValueError(f"share is {share}; expected 0 < α < 1: at the ends take one of the models itself")
        if (first.vocab_size, first.end) != (second.vocab_size, second.end):
            raise ValueError(
                f"the models have vocabularies of {first.vocab_size} and {second.vocab_size} ids that end with "
                f"{first.end} and {second.end}; expected the same ids on both"
            )
        self.first, self.second, self.share = first, second, share

    @property
    def vocab_size(self) -> int:
        return self.first.vocab_size

    @property
    def end(self) -> int:
        return self.first.end

    @property
    def context(self) -> int:
        return min(self.first.context, self.second.context)

    def new_cache(self, batch_size: int, length: int) -> PairCache:
        """An empty cache for both."""
        return PairCache(self.first.new_cache(batch_size, length), self.second.new_cache(batch_size, length))

    def forward(
        self, tokens: Int[Tensor, "B T"], cache: PairCache | None = None, last_only: bool = False
    ) -> Float[Tensor, "B _ V"]:
        """log p̃ of the token after each position, or after the last one alone, normalised; in fp32 at least."""
        caches = (cache.first, cache.second) if cache else (None, None)
        both = (
            last_logits(model)(tokens, cache=own)[:, None] if last_only else model(tokens, cache=own)
            for model, own in zip((self.first, self.second), caches, strict=True)
        )
        first, second = (logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1) for logits in both)
        return torch.logaddexp(first + math.log(self.share), second + math.log1p(-self.share))
