"""A language small enough to be enumerated: every prefix, every sequence, and the sequence-level KL as a number.

With V symbols and at most L of them there are V^t prefixes of length t. Prefix number i of length t has the digits of
i in base V, most significant first, as its ids; the mark that begins a text stands before them and is the one that
ends it, `end`, 0 unless a model says otherwise.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kd_lab.arguments import Count, Model, That, checked
from kd_lab.how import forward_kl
from kd_lab.models import next_token_logp
from kd_lab.worlds import Batch

MOST_SEQUENCES = 5_000_000
ROWS_PER_PASS = 16_384

Divergence = Callable[[Tensor, Tensor], Tensor]
Tables = Annotated[
    Sequence[Float[Tensor, "_ V"]],
    That("tables of conditionals, one for each length of a prefix", lambda t: len(t) > 0),
]


def prefixes(vocab_size: int, length: int) -> Int[Tensor, "N L"]:
    """All V^length strings of ids in counting order, `[V**length, length]`.

    >>> prefixes(2, 2)
    tensor([[0, 0],
            [0, 1],
            [1, 0],
            [1, 1]])
    """
    if vocab_size**length > MOST_SEQUENCES:
        raise ValueError(
            f"{vocab_size} symbols and length {length} make {vocab_size**length:,} strings; expected at most "
            f"{MOST_SEQUENCES:,}: take a smaller language, or estimate from samples"
        )
    if not length:
        return torch.zeros(1, 0, dtype=torch.long)
    return torch.cartesian_prod(*[torch.arange(vocab_size)] * length).reshape(-1, length)


def alive(vocab_size: int, length: int, end: int = 0) -> Bool[Tensor, " N"]:
    """True for each of the V^length prefixes that holds no end yet, so that a next token is still drawn after it."""
    return (prefixes(vocab_size, length) != end).all(1)


@checked
def every_text(vocab_size: Count, length: Count, end: int = 0) -> Batch:
    """All texts of at most `length` tokens over V symbols, each once, as one batch: the terms of an expectation.

    A text ends with its first `end` or with its last token; the mask counts up to there.

    >>> batch = every_text(2, 2)  # over the end and one letter: the empty text, the letter, the letter twice
    >>> batch.targets.tolist(), batch.mask.sum(1).tolist()
    ([[0, 0], [1, 0], [1, 1]], [1, 2, 2])
    """
    rows = prefixes(vocab_size, length)
    behind = (rows == end).cumsum(1) > 0
    goes_on = (rows != end) & behind  # the same text is listed without what stands after its end
    rows = rows[~goes_on.any(1)]
    return Batch.from_tokens(torch.cat([torch.full((len(rows), 1), end), rows], 1), end=end)


@checked
def conditionals(model: Model, length: Count, differentiable: bool = False) -> list[Float[Tensor, "_ V"]]:
    """log q(·|prefix) at every prefix of 0 … length − 1 tokens, in fp64. After an end only ends follow.

    Args:
        model: any `LanguageModel`; read in eval mode on its own device and put back.
        length: L, the most tokens of a sequence, the end included.
        differentiable: keep the graph to the model's parameters, so that an exact gradient can be taken.

    Returns:
        L tables on the device of the model; table t is `[V**t, V]`.
    """
    V, end = model.vocab_size, model.end
    longest = prefixes(V, length - 1)
    inputs = torch.cat([torch.full((len(longest), 1), end), longest], 1)
    # a model is causal: the prefix of t tokens is read off the first row that begins with it
    with torch.set_grad_enabled(differentiable):
        logp = next_token_logp(model, inputs, dtype=torch.float64, rows=ROWS_PER_PASS)
    over = torch.full((V,), -torch.inf, dtype=torch.float64).index_fill(0, torch.tensor(end), 0.0).to(logp.device)
    tables = []
    for t in range(length):
        goes_on = alive(V, t, end).to(logp.device)
        tables.append(torch.where(goes_on[:, None], logp[:: V ** (length - 1 - t), t], over))
    return tables


@checked
def joint(tables: Tables) -> Float[Tensor, " S"]:
    """log q(y) of every sequence of L tokens, `[V**L]`: the sum of its conditionals along the path.

    A text that ends early appears once, padded with ends; other paddings have log-probability −∞.
    """
    logp = tables[0].new_zeros(1, dtype=torch.float64)
    for table in tables:
        logp = (logp[:, None] + table).flatten()
    return logp


@checked
def reach(tables: Tables, end: int = 0) -> list[Float[Tensor, " _"]]:
    """The probability of passing through each prefix that still goes on, one vector `[V**t]` for each depth t."""
    probabilities, logp = [], tables[0].new_zeros(1, dtype=torch.float64)
    for t, table in enumerate(tables):
        probabilities.append(logp.exp() * alive(table.shape[1], t, end).to(table.device))
        logp = (logp[:, None] + table).flatten()
    return probabilities


@checked
def gap_by_position(
    student: Tables,
    teacher: Tables,
    visited: Tables,
    divergence: Divergence = forward_kl,
    end: int = 0,
) -> Float[Tensor, " L"]:
    """Σ over prefixes of P_visited(prefix)·D(p(·|prefix), q(·|prefix)), for each position, in nats per sequence.

    Args:
        student, teacher: tables of `conditionals`.
        visited: the tables of the writer of the prefixes: the teacher's for off-policy, the student's for on-policy.
        divergence: of log-probabilities `[..., V]`, student first.
        end: the models' end.
    """
    if not len(student) == len(teacher) == len(visited):
        raise ValueError(
            f"student, teacher and visited have {len(student)}, {len(teacher)} and {len(visited)} tables; expected one "
            "for each length of a prefix in all three: make them by conditionals with the same length"
        )
    return torch.stack(
        [
            (weight * divergence(q, p).where(weight > 0, 0.0)).sum()
            for q, p, weight in zip(student, teacher, reach(visited, end), strict=True)
        ]
    )


@checked
def sequence_kl(student: Tables, teacher: Tables) -> Float[Tensor, ""]:
    """KL(P‖Q) = Σ_y P(y)·(log P(y) − log Q(y)) over all V^L sequences, in nats per sequence.

    KL(Q‖P): swap the arguments.

    Equal, by the chain rule, to `gap_by_position(student, teacher, visited=teacher).sum()`.
    """
    return forward_kl(joint(student), joint(teacher))
