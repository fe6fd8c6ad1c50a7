"""Names written by speculative decoding, held against the target's own distribution letter by letter."""

from dataclasses import dataclass

import torch

from kd_lab.lessons.l11_speculative_decoding.rounds import checked
from kd_lab.measure.acceptance import acceptance
from kd_lab.models import GPT, generate, next_token_logp, sampling_logp, speculate
from kd_lab.worlds import Batch


@dataclass(frozen=True)
class Trial:
    """What was counted on one set of names."""

    mean_square: float  # of the letters' deviations in standard errors: 1 where the names are the target's
    counted: float  # share of checked guesses that stand
    expected: float  # mean of Σ min(p, q) over the positions of the same names


def speculated(target: GPT, draft: GPT, names: int, seed: int, guesses: int = 4, **settings: float) -> Trial:
    """Names that both write together at these settings, one after the other."""
    generator, start = torch.Generator().manual_seed(seed), torch.zeros(1, dtype=torch.long)
    texts = [
        speculate(target, draft, start, target.context, guesses=guesses, generator=generator, **settings)
        for _ in range(names)
    ]
    tokens = torch.full((names, target.context + 1), target.end)
    for row, text in enumerate(texts):
        tokens[row, : len(text.tokens)] = text.tokens
    batch = Batch.from_tokens(tokens, end=target.end)
    share = acceptance(draft, target, batch, **settings)[batch.mask].mean().item()
    stood = sum(text.accepted for text in texts) / sum(map(checked, texts))
    return Trial(mean_square(target, batch, **settings), stood, share)


def alone(target: GPT, writer: GPT, names: int, seed: int, **settings: float) -> float:
    """The mean square of names that one model writes alone."""
    start = torch.zeros(names, 1, dtype=torch.long)
    chance = torch.Generator().manual_seed(seed)
    tokens = generate(writer, start, writer.context, generator=chance, **settings)
    return mean_square(target, Batch.from_tokens(tokens, end=target.end), **settings)


@torch.no_grad()
def mean_square(target: GPT, batch: Batch, **settings: float) -> float:
    """How far each letter's count is from what the target expects on these prefixes, in standard errors, squared.

    A letter v is expected Σ_t p(v | prefix_t) times, with variance Σ_t p(1 − p). Where each next letter is drawn from
    p, the square of (count − expected) / standard error is 1 on average, whatever the prefixes. Letters that are
    expected less than once are left out.
    """
    p = sampling_logp(next_token_logp(target, batch.inputs)[batch.mask], **settings).exp().double()
    counts = torch.bincount(batch.targets[batch.mask], minlength=target.vocab_size)
    expected, variance = p.sum(0), (p * (1 - p)).sum(0)
    known = expected >= 1
    return ((counts - expected) ** 2 / variance)[known].mean().item()
