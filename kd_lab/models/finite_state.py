"""A model with finite memory: what it says next depends on the state that the text has led it to, and on no more."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.worlds import END


@dataclass
class StateCache:
    """The state that each row is in, [B], and how many tokens led there; None: nothing was read."""

    state: Int[Tensor, " B"] | None = None
    length: int = 0
    logp: Float[Tensor, "S V"] | None = None  # the model's, worked out once for a whole text

    def select(self, rows: Int[Tensor, " N"]) -> "StateCache":
        """A cache for the chosen rows, which have all read the same number of tokens."""
        return StateCache(None if self.state is None else self.state[rows], self.length, self.logp)


def window_moves(vocab_size: int, length: int) -> Int[Tensor, "S V"]:
    """The moves of a memory that holds the last `length` tokens, S = V^length; state 0 is a window full of end marks.

    >>> window_moves(2, 2).tolist()  # states 00, 01, 10, 11: each forgets its first digit and takes the new one
    [[0, 1], [2, 3], [0, 1], [2, 3]]
    """
    if length < 1:
        raise ValueError(f"length is {length}; expected a window of at least 1 token")
    states = torch.arange(vocab_size**length)
    return (states[:, None] * vocab_size + torch.arange(vocab_size)) % len(states)


class FiniteStateModel(nn.Module):
    """q(y_t | y_<t) = (1 − slip)·softmax(table[s_t]) + slip·u, and on to the state s_(t+1) = moves[s_t, y_t].

    Two such models make every expectation over prefixes a sum over pairs of states, at any length: see
    `kd_lab.measure.pair_reach`. With `window_moves` it is a student of short memory; for a window of one token that is
    a `BigramModel`. With a slip above 0 its hand is unsteady: u is uniform over all tokens but the end mark, and no
    training takes that share away, a floor under what it can learn.

    The leading end mark is read in state 0 and does not move it.

    >>> table, moves = torch.tensor([[0.0, 9.0, 0.0], [0.0, 0.0, 9.0]]), torch.tensor([[0, 1, 0], [1, 1, 0]])
    >>> FiniteStateModel(table, moves)(torch.tensor([[0, 1, 2]])).argmax(-1).tolist()
    [[1, 2, 1]]
    """

    def __init__(
        self, table: Float[Tensor, "_ _"], moves: Int[Tensor, "_ _"], context: int = 64, slip: float = 0.0
    ) -> None:
        """`table` holds the logits of each state; `moves` the state that each token leads to.

        Raises:
            ValueError: the shapes differ, a move leads out of the table, the slip is no probability below 1, or the
                context is below 1.
        """
        super().__init__()
        if table.shape != moves.shape:
            raise ValueError(
                f"the table has shape {tuple(table.shape)} and the moves {tuple(moves.shape)}; expected [S, V] of "
                "both: one row a state, one column a token"
            )
        if moves.min() < 0 or moves.max() >= len(table):
            raise ValueError(
                f"moves lead to states {int(moves.min())} … {int(moves.max())}; expected 0 … {len(table) - 1}, the "
                "rows of the table"
            )
        if not 0 <= slip < 1:
            raise ValueError(f"slip is {slip}; expected the share of random tokens, from 0 up to below 1")
        if context < 1:
            raise ValueError(f"context is {context}; expected at least 1 token to read")
        self.table = nn.Parameter(table.detach().clone())
        self.register_buffer("moves", moves.clone())
        self.context, self.slip = context, slip

    @property
    def vocab_size(self) -> int:
        return self.table.shape[1]

    def logp(self) -> Float[Tensor, "S V"]:
        """log q(· | state), in nats, of every state."""
        logp = self.table.log_softmax(-1)
        if not self.slip:
            return logp
        anywhere = torch.full_like(logp, self.slip / (self.vocab_size - 1))
        anywhere[:, END] = 0
        return ((1 - self.slip) * logp.exp() + anywhere).log()

    def states(self, tokens: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
        """The state in which each position is read: 0 at the leading end mark, then where the moves lead."""
        return self._walk(tokens, StateCache())

    def new_cache(self, batch_size: int, length: int) -> StateCache:
        """An empty cache; `batch_size` and `length` are the interface's and cost nothing here."""
        return StateCache()

    def forward(self, tokens: Int[Tensor, "B T"], cache: StateCache | None = None) -> Float[Tensor, "B T V"]:
        """Log-probabilities, which are logits too, of the token after each position.

        Raises:
            ValueError: more tokens than the context has room for.
        """
        cache = cache or StateCache()
        if cache.length + tokens.shape[1] > self.context:
            raise ValueError(
                f"{tokens.shape[1]} tokens came after {cache.length}; expected at most {self.context} in all: cut the "
                "text, or build the model with a longer context"
            )
        if cache.logp is None:
            cache.logp = self.logp()
        return cache.logp[self._walk(tokens, cache)]

    def _walk(self, tokens: Int[Tensor, "B T"], cache: StateCache) -> Int[Tensor, "B T"]:
        visited = []
        for column in tokens.unbind(1):
            cache.state = torch.zeros_like(column) if cache.state is None else self.moves[cache.state, column]
            visited.append(cache.state)
        cache.length += tokens.shape[1]
        return torch.stack(visited, 1)
