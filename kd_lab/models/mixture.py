"""Two models that write one text together: each next token is drawn from a mixture of their distributions."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class MixtureModel(nn.Module):
    """p̃(·|prefix) = α·first(·|prefix) + (1−α)·second(·|prefix), with the interface of a model.

    Source: Gu et al. (2024), "MiniLLM", arXiv:2306.08543, equation 4.

    >>> from kd_lab.models import TabularModel
    >>> sure, unsure = TabularModel([torch.tensor([[0.0, -torch.inf]])]), TabularModel.uniform(2, 1)
    >>> MixtureModel(sure, unsure, share=0.5)(torch.tensor([[0]])).exp().detach().detach()
    tensor([[[0.7500, 0.2500]]])
    """

    def __init__(self, first: nn.Module, second: nn.Module, share: float) -> None:
        """`share` is α, the first model's.

        Raises:
            ValueError: α is not strictly between 0 and 1, or the vocabularies differ.
        """
        super().__init__()
        if not 0 < share < 1:
            raise ValueError(f"share is {share}; expected 0 < α < 1: at the ends take one of the models itself")
        if first.vocab_size != second.vocab_size:
            raise ValueError(
                f"the models have vocabularies of {first.vocab_size} and {second.vocab_size}; "
                "expected the same ids on both"
            )
        self.first, self.second, self.share = first, second, share

    @property
    def vocab_size(self) -> int:
        return self.first.vocab_size

    @property
    def context(self) -> int:
        return min(self.first.context, self.second.context)

    def new_cache(self, batch_size: int, length: int) -> "PairCache":
        """An empty cache for both."""
        return PairCache(self.first.new_cache(batch_size, length), self.second.new_cache(batch_size, length))

    def forward(self, tokens: Int[Tensor, "B T"], cache: "PairCache | None" = None) -> Float[Tensor, "B T V"]:
        """log p̃ of the token after each position, normalised."""
        first = self.first(tokens, cache=cache.first if cache else None).log_softmax(-1)
        second = self.second(tokens, cache=cache.second if cache else None).log_softmax(-1)
        return torch.logaddexp(first + math.log(self.share), second + math.log1p(-self.share))


class PairCache:
    """What both models have read."""

    def __init__(self, first: object, second: object) -> None:
        self.first, self.second = first, second

    @property
    def length(self) -> int:
        return self.first.length

    def select(self, rows: Int[Tensor, " N"]) -> "PairCache":
        """A new cache whose row i continues row `rows[i]` of this one."""
        return PairCache(self.first.select(rows), self.second.select(rows))
