"""A language small enough to be enumerated: every prefix, every sequence, and the sequence-level KL as a number.

With V symbols and at most L of them there are V^t prefixes of length t. Prefix number i of length t has the digits of
i in base V, most significant first, as its ids; the mark that begins a text stands before them.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kd_lab.how import forward_kl
from kd_lab.models import evaluating
from kd_lab.worlds import END, Batch

MOST_SEQUENCES = 5_000_000
ROWS_A_PASS = 16_384

Divergence = Callable[[Tensor, Tensor], Tensor]


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


def alive(vocab_size: int, length: int) -> Bool[Tensor, " N"]:
    """Which of the V^length prefixes hold no end mark yet, so that a next token is still drawn after them."""
    return (prefixes(vocab_size, length) != END).all(1)


def every_text(vocab_size: int, length: int) -> Batch:
    """All texts of at most `length` tokens over V symbols, each once, as one batch: what an expectation runs over.

    A text ends with its first end mark or with its last token; the mask counts up to there.

    >>> batch = every_text(2, 2)  # over the end mark and one letter: the empty text, the letter, the letter twice
    >>> batch.targets.tolist(), batch.mask.sum(1).tolist()
    ([[0, 0], [1, 0], [1, 1]], [1, 2, 2])
    """
    rows = prefixes(vocab_size, length)
    ended = rows == END
    goes_on = (rows != END) & (ended.cumsum(1) > 0)  # a token behind the end mark: the same text is listed without it
    rows = rows[~goes_on.any(1)]
    return Batch.from_tokens(torch.cat([torch.full((len(rows), 1), END), rows], 1))


def conditionals(model: nn.Module, length: int, differentiable: bool = False) -> list[Float[Tensor, "_ V"]]:
    """log q(·|prefix) at every prefix of 0 … length − 1 tokens, in fp64. After an end mark only end marks follow.

    Args:
        model: any model with `vocab_size`; read in eval mode and put back.
        length: L, the most tokens of a sequence, the end mark included.
        differentiable: keep the graph to the model's parameters, so that an exact gradient can be taken.

    Returns:
        L tables; table t is `[V**t, V]`.
    """
    V = model.vocab_size
    longest = prefixes(V, length - 1)
    inputs = torch.cat([torch.full((len(longest), 1), END), longest], 1)
    # a model is causal: the prefix of t tokens is read off the first row that begins with it
    with evaluating(model), torch.set_grad_enabled(differentiable):
        logp = torch.cat([model(chunk).double().log_softmax(-1) for chunk in inputs.split(ROWS_A_PASS)])
    tables = []
    for t in range(length):
        over = torch.full((V,), -torch.inf, dtype=torch.float64).index_fill(0, torch.tensor(END), 0.0)
        tables.append(torch.where(alive(V, t)[:, None], logp[:: V ** (length - 1 - t), t], over))
    return tables


def joint(tables: list[Float[Tensor, "_ V"]]) -> Float[Tensor, " S"]:
    """log q(y) of every sequence of L tokens, `[V**L]`: the sum of its conditionals along the path.

    A text that ends early appears once, padded with end marks; other paddings have log-probability −∞.
    """
    logp = torch.zeros(1, dtype=torch.float64)
    for table in tables:
        logp = (logp[:, None] + table).flatten()
    return logp


def reach(tables: list[Float[Tensor, "_ V"]]) -> list[Float[Tensor, " _"]]:
    """The probability of coming through each prefix that still goes on, one vector `[V**t]` a depth t."""
    probabilities, logp = [], torch.zeros(1, dtype=torch.float64)
    for t, table in enumerate(tables):
        probabilities.append(logp.exp() * alive(table.shape[1], t))
        logp = (logp[:, None] + table).flatten()
    return probabilities


def gap_by_position(
    student: list[Float[Tensor, "_ V"]],
    teacher: list[Float[Tensor, "_ V"]],
    visited: list[Float[Tensor, "_ V"]],
    divergence: Divergence = forward_kl,
) -> Float[Tensor, " L"]:
    """Σ over prefixes of P_visited(prefix)·D(p(·|prefix), q(·|prefix)), for each position, in nats a sequence.

    Args:
        student, teacher: tables of `conditionals`.
        visited: the tables of whoever wrote the prefixes: the teacher's for off-policy, the student's for on-policy.
        divergence: of log-probabilities `[..., V]`, student first.
    """
    return torch.stack(
        [
            (weight * divergence(q, p).where(weight > 0, 0.0)).sum()
            for q, p, weight in zip(student, teacher, reach(visited), strict=True)
        ]
    )


def sequence_kl(student: list[Float[Tensor, "_ V"]], teacher: list[Float[Tensor, "_ V"]]) -> Float[Tensor, ""]:
    """KL(P‖Q) = Σ_y P(y)·(log P(y) − log Q(y)) over all V^L sequences, in nats a sequence. KL(Q‖P): swap the arguments.

    Equal, by the chain rule, to `gap_by_position(student, teacher, visited=teacher).sum()`.
    """
    return forward_kl(joint(student), joint(teacher))
