"""A model that is a table: one row of logits for every prefix. Exact as a teacher, without bias as a student."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.worlds import END


@dataclass
class PrefixCache:
    """The tokens read so far, [B, L]; the first `length` columns count."""

    tokens: Int[Tensor, "B L"]
    length: int = 0

    def select(self, rows: Int[Tensor, " N"]) -> "PrefixCache":
        """A new cache whose row i continues row `rows[i]` of this one."""
        return PrefixCache(self.tokens[rows], self.length)


class TabularModel(nn.Module):
    """The interface of a GPT over one table a depth: the logits after y_1 … y_t are row Σ_k y_k V^(t−k) of table t.

    The first token of an input is the leading end mark and is no part of the prefix, so L tables read L tokens and
    predict y_1 … y_L. The tables are parameters: a student made of them can represent every distribution, so what it
    fails to learn is the loss's doing and not the architecture's. Their dtype is kept (an exact language's is float64;
    use `.float()` beside a float32 model).

    Args of the constructor: `tables[t]`, [V**t, V], logits or log-probabilities; −inf is probability 0 and stays it.

    >>> from kd_lab.worlds import language
    >>> model = TabularModel(language("echo").logp)
    >>> model(torch.zeros(1, 1, dtype=torch.long)).exp().argmax().item()  # "a" opens most texts
    1

    Raises:
        ValueError: the tables do not have the shapes [1, V], [V, V], [V², V], ….
    """

    def __init__(self, tables: Sequence[Float[Tensor, "..."]]) -> None:
        super().__init__()
        shapes = [tuple(table.shape) for table in tables]
        size = shapes[0][-1] if shapes and shapes[0] else 0
        if not shapes or shapes != [(size**t, size) for t in range(len(shapes))]:
            raise ValueError(
                f"the tables have shapes {shapes}; expected [(1, V), (V, V), (V², V), …], one row for each prefix"
            )
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

    def new_cache(self, batch_size: int, length: int) -> PrefixCache:
        """An empty cache with room for `length` tokens in each of `batch_size` rows."""
        return PrefixCache(torch.zeros(batch_size, length, dtype=torch.long, device=self.tables[0].device))

    def forward(self, tokens: Int[Tensor, "B T"], cache: PrefixCache | None = None) -> Float[Tensor, "B T V"]:
        """Logits of the token after each position; with a cache, of those after the tokens that it has read.

        Raises:
            ValueError: past and new tokens exceed the depth of the tree or the cache, or a row does not begin with END.
        """
        past, new = (cache.length if cache else 0), tokens.shape[1]
        room = min(self.context, cache.tokens.shape[1]) if cache else self.context
        if past + new > room:
            raise ValueError(
                f"{new} tokens came after {past}; expected at most {room} in all, the depth of the tree or the length "
                "of the cache: cut the text"
            )
        if cache:
            cache.tokens[:, past : past + new] = tokens
            tokens = cache.tokens[:, : past + new]
            cache.length += new
        if (tokens[:, :1] != END).any():
            raise ValueError(
                f"a row begins with token {int(tokens[:, 0].max())}; expected the leading end mark {END}, which every "
                "text of a batch begins with"
            )
        if ((tokens < 0) | (tokens >= self.vocab_size)).any():
            raise ValueError(
                f"token ids reach from {int(tokens.min())} to {int(tokens.max())}; expected 0 … {self.vocab_size - 1}"
            )
        number = torch.zeros_like(tokens[:, 0])
        logits = []
        for t in range(past + new):
            if t:
                number = number * self.vocab_size + tokens[:, t]
            if t >= past:
                logits.append(self.tables[t][number])
        return torch.stack(logits, dim=1)
