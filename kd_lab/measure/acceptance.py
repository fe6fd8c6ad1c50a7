"""The worth of a draft in speculative decoding: the share of its guesses that stand, and the speed that follows."""

from typing import Annotated

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.arguments import Count, Model, That, checked
from kd_lab.how import total_variation
from kd_lab.models import device_of, sampling_logp
from kd_lab.models.reading import evaluating
from kd_lab.worlds import Batch

Share = Annotated[float, That("a share from 0 to 1", lambda x: 0 <= x <= 1)]
Cost = Annotated[float, That("a ratio of at least 0", lambda x: 0 <= x < float("inf"))]


@checked
@torch.no_grad()
def acceptance(
    draft: Model, target: Model, batch: Batch, *, temperature: float = 1.0, top_p: float = 1.0
) -> Float[Tensor, "B T"]:
    """The probability that a guess stands, at each position: β = Σ min(p, q) = 1 − TV(p, q).

    p and q are the distributions that both models are sampled from at this temperature and top-p. The α of a draft is
    the mean over texts that the target writes with the same settings: `acceptance(…)[batch.mask].mean()`.

    Args:
        draft, target: models with one vocabulary, on one device.
        batch: the texts; their prefixes are read.
        temperature, top_p: of both, see `sampling_logp`.

    Returns:
        A probability at each position on the device of the models; 0 where the mask is False.

    Raises:
        ValueError: the vocabularies differ, or a setting is out of range.

    >>> from kd_lab.models import TabularModel
    >>> from kd_lab.worlds import Batch
    >>> target = TabularModel([torch.tensor([[0.5, 0.3, 0.2]]).log()])
    >>> draft = TabularModel([torch.tensor([[0.2, 0.7, 0.1]]).log()])
    >>> acceptance(draft, target, Batch.from_tokens(torch.tensor([[0, 1]]), end=0))  # 0.2 + 0.3 + 0.1
    tensor([[0.6000]])

    Source: Leviathan, Kalman & Matias (2023), arXiv:2211.17192, theorem 3.5 and corollary 3.6.
    """
    if draft.vocab_size != target.vocab_size:
        raise ValueError(
            f"the draft has {draft.vocab_size} ids and the target {target.vocab_size}; expected one vocabulary"
        )
    tokens = batch.inputs.to(device_of(target))
    with evaluating(draft), evaluating(target):
        draft_logp, target_logp = (sampling_logp(model(tokens), temperature, top_p) for model in (draft, target))
    dtype = torch.promote_types(draft_logp.dtype, target_logp.dtype)
    share = 1 - total_variation(draft_logp.to(dtype), target_logp.to(dtype))
    return share.where(batch.mask.to(share.device), 0.0)


@checked
def tokens_per_call(acceptance: Share, guesses: Count) -> float:
    """The expected number of tokens for each call of the target: 1 + α + … + α^γ = (1 − α^(γ+1)) / (1 − α).

    It takes α to be the same at every guess, independent of the guesses before, and the text to be long.

    Args:
        acceptance: α.
        guesses: γ, the tokens that the draft writes ahead.

    >>> round(tokens_per_call(0.8, 2), 2)  # 1 + 0.8 + 0.64
    2.44

    Source: Leviathan, Kalman & Matias (2023), arXiv:2211.17192, equation 1 and, for the number, table 1.
    """
    return sum(acceptance**i for i in range(guesses + 1))


@checked
def speedup(acceptance: Share, guesses: Count, cost: Cost, verification: Cost = 1.0) -> float:
    """Plain decoding's time per token over that of speculative decoding: tokens_per_call / (v + γ·c).

    Args:
        acceptance: α.
        guesses: γ.
        cost: c, the time of a call of the draft over that of a call of the target for one token.
        verification: v, the time of a call of the target for γ + 1 tokens over that for one. The source takes it to be
            1, as it is where reading the weights takes all of the time.

    >>> round(speedup(0.75, 7, 0.02), 1)
    3.2

    Source: Leviathan, Kalman & Matias (2023), arXiv:2211.17192, theorem 3.8 and, for the number, table 4.
    """
    return tokens_per_call(acceptance, guesses) / (verification + guesses * cost)


@checked
def best_guesses(acceptance: Share, cost: Cost, most: Count = 32) -> int:
    """The number of guesses, from 0 to `most`, with the largest `speedup`; 0 where plain decoding is the fastest.

    >>> best_guesses(0.75, 0.02), best_guesses(0.2, 0.3)
    (9, 0)

    Source: Leviathan, Kalman & Matias (2023), arXiv:2211.17192, section 3.5.
    """
    speeds = [1.0, *(speedup(acceptance, guesses, cost) for guesses in range(1, most + 1))]
    return speeds.index(max(speeds))
