"""The exact law of one round of speculative decoding, by listing every outcome on a language of few tokens."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.models.speculative import residual_logp

Replacement = Callable[[Float[Tensor, "N V"], Float[Tensor, "N V"]], Float[Tensor, "N V"]]
"""log of the distribution from which a rejected guess is replaced, from log q and log p."""


def residual(draft_logp: Float[Tensor, "N V"], target_logp: Float[Tensor, "N V"]) -> Float[Tensor, "N V"]:
    """The right replacement: what the target has and the draft lacks."""
    return residual_logp(draft_logp, target_logp)


def again(draft_logp: Float[Tensor, "N V"], target_logp: Float[Tensor, "N V"]) -> Float[Tensor, "N V"]:
    """The tempting replacement: the target's own distribution."""
    return target_logp


def law_of_round(
    drawn: Sequence[Float[Tensor, "..."]],
    target: Sequence[Float[Tensor, "..."]],
    guesses: int,
    *,
    tested: Sequence[Float[Tensor, "..."]] | None = None,
    replace: Replacement = residual,
) -> tuple[Float[Tensor, " N"], float]:
    """The probability of every text of γ + 1 tokens after one round, and the tokens of the round on average.

    Where a round stops early the target goes on alone. An end mark counts as a token like any other here.

    Args:
        drawn: log q that guesses are drawn from, one table [V^t, V] for each depth.
        target: log p, likewise.
        guesses: γ, below the number of tables.
        tested: log q that stands in the test p/q; None: the one that guesses are drawn from.
        replace: where a rejected guess is replaced from.

    Returns:
        (the probabilities [V^(γ+1)], the expected number of tokens of a round).
    """
    tested = drawn if tested is None else tested
    standing = torch.ones(1, dtype=torch.float64)  # probability that these guesses were made and all stand
    stopped = torch.zeros(1, dtype=torch.float64)  # that the round stopped before, and the target wrote the rest
    tokens = 1.0
    for depth in range(guesses + 1):
        q, tried, p = (tables[depth].double() for tables in (drawn, tested, target))
        alone = stopped[:, None] * p.exp()
        if depth == guesses:
            return (alone + standing[:, None] * p.exp()).flatten(), tokens
        kept = q.exp() * (p - tried).exp().clamp(max=1).where(q > -torch.inf, 0.0)
        fallen = (q.exp() - kept).sum(-1)
        stopped = (alone + (standing * fallen)[:, None] * replace(tried, p).exp()).flatten()
        standing = (standing[:, None] * kept).flatten()
        tokens += standing.sum().item()
    raise AssertionError


def distance(law: Float[Tensor, " N"], exact: Float[Tensor, " N"]) -> float:
    """The total variation between two laws."""
    return (law - exact).abs().sum().item() / 2


def target_law(target: Sequence[Float[Tensor, "..."]], length: int) -> Float[Tensor, " N"]:
    """The probability of every text of that many tokens, by the target alone."""
    law = torch.ones(1, dtype=torch.float64)
    for depth in range(length):
        law = (law[:, None] * target[depth].double().exp()).flatten()
    return law


def random_tables(like: Sequence[Float[Tensor, "..."]], seed: int) -> list[Float[Tensor, "..."]]:
    """A draft that has learned nothing: log-probabilities of random logits, one table for each of `like`."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(table.shape, generator=generator, dtype=torch.float64).log_softmax(-1) for table in like]
