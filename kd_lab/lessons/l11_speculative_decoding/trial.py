"""Names written by speculative decoding, compared with the target's own distribution."""

from dataclasses import dataclass

import torch

from kd_lab.lessons.l11_speculative_decoding.rounds import checked
from kd_lab.measure.acceptance import acceptance
from kd_lab.models import GPT, generate, next_token_logp, sampling_logp, speculate
from kd_lab.worlds import Batch


@dataclass(frozen=True)
class Trial:
    """Counts on one set of names."""

    score: float  # of `score`: mean 0 and standard deviation 1 where the names are the target's
    counted: float  # share of checked guesses that stand
    expected: float  # mean of Σ min(p, q) over the places of those guesses
    acceptance: float  # mean of Σ min(p, q) over all places of the same names


def speculated(target: GPT, draft: GPT, names: int, seed: int, guesses: int = 4, **settings: float) -> Trial:
    """Names that both write together at these settings, one after the other."""
    generator, start = torch.Generator().manual_seed(seed), torch.zeros(1, dtype=torch.long)
    texts = [
        speculate(target, draft, start, target.context, guesses=guesses, generator=generator, **settings)
        for _ in range(names)
    ]
    tokens = torch.full((names, target.context + 1), target.end)
    looked_at = torch.zeros(names, target.context, dtype=torch.bool)
    for row, text in enumerate(texts):
        tokens[row, : len(text.tokens)] = text.tokens
        place = 0
        for one in text.rounds:
            looked_at[row, place : place + checked(one)] = True
            place += len(one.new)
    batch = Batch.from_tokens(tokens, end=target.end)
    share = acceptance(draft, target, batch, **settings)
    stood = sum(text.accepted for text in texts) / int(looked_at.sum())
    lean = score(target, draft, batch, **settings)
    return Trial(lean, stood, share[looked_at].mean().item(), share[batch.mask].mean().item())


def alone(target: GPT, draft: GPT, names: int, seed: int, **settings: float) -> float:
    """The score of names that the draft writes alone."""
    start, chance = torch.zeros(names, 1, dtype=torch.long), torch.Generator().manual_seed(seed)
    tokens = generate(draft, start, draft.context, generator=chance, **settings)
    return score(target, draft, Batch.from_tokens(tokens, end=target.end), **settings)


@torch.no_grad()
def score(target: GPT, draft: GPT, batch: Batch, **settings: float) -> float:
    """The lean of the written letters towards the draft (below 0) or away from it, in standard errors.

    Each letter counts f = (p − q)/(p + q). Where it is drawn from p, the mean and the variance of f are known at every
    prefix, whatever the prefix. The sum of f less its means, divided by the root of the summed variances, then has
    mean 0 and standard deviation 1. Letters that are drawn from q have a sum below.
    """
    p, q = (
        sampling_logp(next_token_logp(model, batch.inputs)[batch.mask], **settings).exp().double()
        for model in (target, draft)
    )
    lean = (p - q) / (p + q).where(p + q > 0, 1.0)
    mean = (p * lean).sum(-1)
    variance = (p * lean**2).sum(-1) - mean**2
    written = lean.gather(-1, batch.targets[batch.mask][:, None])[:, 0]
    return ((written - mean).sum() / variance.sum().sqrt()).item()
