"""A student that is too small to remember: it sees the last token and nothing before it."""

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass
class StepCache:
    """How many tokens were read. The model needs none of them, only the room that is left."""

    length: int = 0

    def select(self, rows: Int[Tensor, " N"]) -> "StepCache":
        """A cache for the chosen rows, which have all read the same number of tokens."""
        return StepCache(self.length)


class BigramModel(nn.Module):
    """log q(y_t | y_<t) = log_softmax(table[y_(t−1)]): one row of logits for every token that can come last.

    V² parameters beside the V + V² + … + V^L of a `TabularModel`: a student that cannot be its teacher, so that what a
    loss gives up becomes visible, and with so few parameters that the gradient of every single text can be listed.

    >>> import torch
    >>> model = BigramModel(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    >>> model(torch.tensor([[0, 1, 1]])).tolist()
    [[[1.0, 2.0], [3.0, 4.0], [3.0, 4.0]]]
    """

    def __init__(self, table: Float[Tensor, "_ _"], context: int = 64) -> None:
        """`table` holds the logits after each token; the leading end mark uses row 0.

        Raises:
            ValueError: the table is not square, or the context is below 1.
        """
        super().__init__()
        if table.ndim != 2 or table.shape[0] != table.shape[1]:
            raise ValueError(
                f"the table has shape {tuple(table.shape)}; expected [V, V], one row of logits a last token"
            )
        if context < 1:
            raise ValueError(f"context is {context}; expected at least 1 token to read")
        self.table = nn.Parameter(table.detach().clone())
        self.context = context

    @property
    def vocab_size(self) -> int:
        return len(self.table)

    def new_cache(self, batch_size: int, length: int) -> StepCache:
        """An empty cache; `batch_size` and `length` are the interface's and cost nothing here."""
        return StepCache()

    def forward(self, tokens: Int[Tensor, "B T"], cache: StepCache | None = None) -> Float[Tensor, "B T V"]:
        """Logits of the token after each position.

        Raises:
            ValueError: more tokens than the context has room for.
        """
        past = cache.length if cache else 0
        if past + tokens.shape[1] > self.context:
            raise ValueError(
                f"{tokens.shape[1]} tokens came after {past}; expected at most {self.context} in all: cut the text, or "
                "build the model with a longer context"
            )
        if cache:
            cache.length += tokens.shape[1]
        return self.table[tokens]
