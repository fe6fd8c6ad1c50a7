"""A model that is a table: one row of logits for every prefix. Exact as a teacher, without bias as a student."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.models.finite_state import StateCache, past_and_room


class TabularModel(nn.Module):
    """A `LanguageModel` of one table per depth: the logits after y_1 … y_t are row Σ_k y_k V^(t−k) of table t.

    The first token of an input is the end mark that begins a text and is no part of the prefix, so L tables read L
    tokens and predict y_1 … y_L. The tables are parameters: a student made of them can represent every distribution, so
    what it fails to learn is the loss's doing and not the architecture's. Their dtype is kept (an exact language's is
    float64; use `.float()` beside a float32 model).

    Args of the constructor: `tables[t]`, [V**t, V], logits or log-probabilities, of which −inf is probability 0 and
    stays it; `end`, the id that begins and ends a text.

    >>> from kd_lab.worlds import language
    >>> model = TabularModel(language("echo").logp)
    >>> model(torch.zeros(1, 1, dtype=torch.long)).exp().argmax().item()  # "a" opens most texts
    1

    Raises:
        ValueError: the tables do not have the shapes [1, V], [V, V], [V², V], …, or the end is no token.
    """

    def __init__(self, tables: Sequence[Float[Tensor, "..."]], end: int = 0) -> None:
        super().__init__()
        shapes = [tuple(table.shape) for table in tables]
        size = shapes[0][-1] if shapes and shapes[0] else 0
        if not shapes or shapes != [(size**t, size) for t in range(len(shapes))]:
            raise ValueError(
                f"the tables have shapes {shapes}; expected [(1, V), (V, V), (V², V), …], one row for each prefix"
            )
        if not 0 <= end < size:
            raise ValueError(f"end is {end}; expected an id of the vocabulary, 0 … {size - 1}")
        self.end = end
        self.tables = nn.ParameterList(nn.Parameter(table.detach().clone()) for table in tables)

    @classmethod
    def uniform(cls, vocab_size: int, context: int, dtype: torch.dtype = torch.float32) -> "TabularModel":
        """A student that knows nothing: every conditional is uniform.

        >>> TabularModel.uniform(vocab_size=7, context=3).tables[2].shape
        torch.Size([49, 7])
        """
        return cls([torch.zeros(vocab_size**t, vocab_size, dtype=dtype) for t in range(context)])

    @property
    def vocab_size(self) -> int:
        return self.tables[0].shape[1]

    @property
    def context(self) -> int:
        return len(self.tables)

    def new_cache(self, batch_size: int, length: int) -> StateCache:
        """An empty cache with room for `length` tokens in each of `batch_size` rows."""
        return StateCache.empty(batch_size, length, self.tables[0].device)

    def forward(self, tokens: Int[Tensor, "B T"], cache: StateCache | None = None) -> Float[Tensor, "B T V"]:
        """Logits of the token after each position; with a cache, of those after the tokens that it has read.

        Raises:
            ValueError: past and new tokens exceed the depth of the tree or the cache, an id is no token, or a row does
                not begin with the end mark.
        """
        past = past_and_room(cache, self.context, tokens.shape[1])
        if not past and (tokens[:, 0] != self.end).any():
            raise ValueError(
                f"a row begins with token {int(tokens[:, 0].max())}; expected the end mark {self.end}, which begins "
                "every text of a batch"
            )
        if ((tokens < 0) | (tokens >= self.vocab_size)).any():
            raise ValueError(
                f"token ids reach from {int(tokens.min())} to {int(tokens.max())}; expected 0 … {self.vocab_size - 1}"
            )
        number, numbers = cache.states[:, past - 1] if cache and past else None, []
        for column in tokens.unbind(1):
            number = torch.zeros_like(column) if number is None else number * self.vocab_size + column
            numbers.append(number)
        if cache:
            cache.add(torch.stack(numbers, 1))
        return torch.stack([self.tables[t][number] for t, number in enumerate(numbers, past)], 1)
