"""Models that are tables: one row of logits for every prefix, or for every state that a text can lead to.

What they say of a text can be summed instead of sampled. Exact as a teacher, without bias as a student.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.arguments import checked


@dataclass
class StateCache:
    """The state in which each token was read: the whole memory of a model that is a table of states."""

    states: Int[Tensor, "B L"]  # room for L tokens, of which the first `length` were read
    length: int = 0  # tokens read; setting it lower forgets the last ones

    @classmethod
    def empty(cls, batch_size: int, length: int, device: torch.device) -> "StateCache":
        """Room for `length` tokens in each of `batch_size` rows."""
        return cls(torch.zeros(batch_size, length, dtype=torch.long, device=device))

    def select(self, rows: Int[Tensor, " N"]) -> "StateCache":
        """A new cache whose row i continues row `rows[i]` of this one."""
        return StateCache(self.states[rows], self.length)

    def add(self, states: Int[Tensor, "B T"]) -> None:
        """Note the states of further tokens."""
        self.states[:, self.length : self.length + states.shape[1]] = states
        self.length += states.shape[1]


def past_and_room(cache: StateCache | None, context: int, new: int) -> int:
    """The number of tokens read before `new` further ones, for which there must be room.

    Raises:
        ValueError: they do not fit the context or the cache.
    """
    past = cache.length if cache else 0
    room = min(context, cache.states.shape[1]) if cache else context
    if past + new > room:
        raise ValueError(
            f"{new} tokens came after {past}; expected at most {room} in all, the context of the model or the length "
            "of its cache: cut the text, or build the model with a longer context"
        )
    return past


@checked
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
        if not past and (others := tokens[tokens[:, 0] != self.end, 0]).numel():
            raise ValueError(
                f"a row begins with token {int(others[0])}; expected the end mark {self.end}, which begins "
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


def window_moves(vocab_size: int, length: int) -> Int[Tensor, "S V"]:
    """The moves of a memory that holds the last `length` tokens, S = V^length; state 0 is a window full of id 0.

    >>> window_moves(2, 2).tolist()  # states 00, 01, 10, 11: each forgets its first digit and takes the new one
    [[0, 1], [2, 3], [0, 1], [2, 3]]
    """
    if length < 1:
        raise ValueError(f"length is {length}; expected a window of at least 1 token")
    states = torch.arange(vocab_size**length)
    return (states[:, None] * vocab_size + torch.arange(vocab_size)) % len(states)


@checked
class FiniteStateModel(nn.Module):
    """q(y_t | y_<t) = (1 − slip)·softmax(table[s_t]) + slip·u, and on to the state s_(t+1) = moves[s_t, y_t].

    Two such models make every expectation over prefixes a sum over pairs of states, at any length: see
    `kd_lab.measure.pair_reach`. With `window_moves` it is a student of short memory, with a window of one token a
    bigram: V² parameters beside the V + V² + … + V^L of a `TabularModel`, so few that it cannot be its teacher and
    that the gradient of every single text can be listed. With a slip above 0 its hand is unsteady: u is uniform over
    all tokens but the end, and no training takes that share away, a floor under what it can learn.

    The first token of an input is the mark that begins a text; it is read in state 0 and does not move it.

    >>> table, moves = torch.tensor([[0.0, 9.0, 0.0], [0.0, 0.0, 9.0]]), torch.tensor([[0, 1, 0], [1, 1, 0]])
    >>> FiniteStateModel(table, moves)(torch.tensor([[0, 1, 2]])).argmax(-1).tolist()
    [[1, 2, 1]]
    """

    def __init__(
        self,
        table: Float[Tensor, "_ _"],
        moves: Int[Tensor, "_ _"],
        context: int = 64,
        slip: float = 0.0,
        end: int = 0,
    ) -> None:
        """`table` holds the logits of each state; `moves` the state that each token leads to.

        Raises:
            ValueError: the shapes differ, a move leads out of the table, the slip is no probability below 1, the
                context is below 1, or the end is no token.
        """
        super().__init__()
        if table.shape != moves.shape:
            raise ValueError(
                f"the table has shape {tuple(table.shape)} and the moves {tuple(moves.shape)}; expected [S, V] of "
                "both: one row per state, one column per token"
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
        if not 0 <= end < table.shape[1]:
            raise ValueError(f"end is {end}; expected an id of the vocabulary, 0 … {table.shape[1] - 1}")
        self.table = nn.Parameter(table.detach().clone())
        self.register_buffer("moves", moves.clone())
        self.context, self.slip, self.end = context, slip, end
        self.last_token_decides = bool((moves == moves[0]).all())  # then all positions can be read at once

    @property
    def vocab_size(self) -> int:
        return self.table.shape[1]

    def logp(self) -> Float[Tensor, "S V"]:
        """log q(· | state), in nats, of every state."""
        return self.logits().log_softmax(-1)

    def logits(self) -> Float[Tensor, "S V"]:
        """The logits of every state, slips included: without them the table itself."""
        if not self.slip:
            return self.table
        anywhere = torch.full_like(self.table, self.slip / (self.vocab_size - 1))
        anywhere[:, self.end] = 0
        return ((1 - self.slip) * self.table.softmax(-1) + anywhere).log()

    def states(self, tokens: Int[Tensor, "B T"]) -> Int[Tensor, "B T"]:
        """The state in which each position is read: 0 at the mark that begins a text, then where the moves lead."""
        return self._walk(tokens, None)

    def new_cache(self, batch_size: int, length: int) -> StateCache:
        """An empty cache with room for `length` tokens in each of `batch_size` rows."""
        return StateCache.empty(batch_size, length, self.moves.device)

    def forward(self, tokens: Int[Tensor, "B T"], cache: StateCache | None = None) -> Float[Tensor, "B T V"]:
        """Logits of the token after each position.

        Raises:
            ValueError: more tokens than the context or the cache has room for.
        """
        past = past_and_room(cache, self.context, tokens.shape[1])
        states = self._walk(tokens, cache.states[:, past - 1] if cache and past else None)
        if cache:
            cache.add(states)
        return self.logits()[states]

    def _walk(self, tokens: Int[Tensor, "B T"], state: Int[Tensor, " B"] | None) -> Int[Tensor, "B T"]:
        """The states of `tokens` after `state`; None: at the beginning of a text."""
        if self.last_token_decides:
            states = self.moves[0, tokens]
            if state is None:
                states[:, 0] = 0
            return states
        visited = []
        for column in tokens.unbind(1):
            state = torch.zeros_like(column) if state is None else self.moves[state, column]
            visited.append(state)
        return torch.stack(visited, 1)
