"""The same target in larger bodies, and what speculative decoding gains with each, by the clock."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from kd_lab.measure.acceptance import speedup
from kd_lab.measure.clock import seconds_in_turns
from kd_lab.models import GPT, generate, speculate
from kd_lab.models.speculative import Speculation

Clock = Callable[..., Mapping[str, np.ndarray]]


def with_idle_blocks(model: GPT, blocks: int) -> GPT:
    """The model with further blocks that add nothing to its stream: it says the same and takes longer.

    What an idle block would write is multiplied by weights of 0. It is computed all the same, at the full price.
    """
    deep = GPT(replace(model.config, layers=model.config.layers + blocks))
    deep.load_state_dict(model.state_dict(), strict=False)
    with torch.no_grad():
        for block in deep.blocks[model.config.layers :]:
            block.attention.project.weight.zero_()
            block.contract.weight.zero_()
    return deep.eval()


@dataclass(frozen=True)
class Timing:
    """One target by the clock."""

    cost: float  # c, a token of the draft alone ÷ a token of the target alone
    verification: float  # v, reading γ + 1 tokens ÷ reading one
    calls: int  # of the target, over the names that were written
    tokens: int  # of those names
    guessed: int
    guesses: int  # γ
    measured: float  # plain seconds per token ÷ speculative seconds per token

    @property
    def tokens_per_call(self) -> float:
        return self.tokens / self.calls

    def promised(self, acceptance: float) -> float:
        """By the formula, from α and c alone."""
        return speedup(acceptance, self.guesses, self.cost)

    @property
    def counted(self) -> float:
        """By the formula's idea, from what was counted: tokens and guesses of a call, and v beside c."""
        return self.tokens_per_call / (self.verification + self.guessed / self.calls * self.cost)


def time_target(
    target: GPT,
    draft: GPT,
    guesses: int,
    seed: int,
    *,
    names: int = 5,
    rounds: int = 5,
    clock: Clock = seconds_in_turns,
) -> Timing:
    """Plain and speculative decoding at batch size 1, and the calls that they are made of, in turns.

    Args:
        target, draft: the two models.
        guesses: γ.
        seed: of the names that are written.
        names: to write in each turn.
        rounds: turns; the median counts.
        clock: runs every path in turns and returns its seconds.
    """
    start, room = torch.zeros(1, dtype=torch.long), target.context
    cache, prefix = target.new_cache(1, room), torch.zeros(1, 6, dtype=torch.long)
    with torch.no_grad():
        target(prefix, cache=cache)

    def write(model: GPT) -> int:
        texts = [generate(model, start[None], room, generator=chance(seed + n)) for n in range(names)]
        return sum(length_of(text[0], model.end) for text in texts)

    def speculative() -> list[Speculation]:
        chances = [chance(seed + n) for n in range(names)]
        return [speculate(target, draft, start, room, guesses=guesses, generator=one) for one in chances]

    @torch.no_grad()
    def read(tokens: int) -> None:
        for _ in range(names):
            cache.length = prefix.shape[1]
            target(torch.zeros(1, tokens, dtype=torch.long), cache=cache)

    seconds = clock(
        {
            "target": lambda: write(target),
            "draft": lambda: write(draft),
            "speculative": speculative,
            "one": lambda: read(1),
            "many": lambda: read(guesses + 1),
        },
        rounds=rounds,
    )
    median = {name: float(np.median(values)) for name, values in seconds.items()}
    plain, own, texts = median["target"] / write(target), median["draft"] / write(draft), speculative()
    tokens = sum(len(text.tokens) - 1 for text in texts)
    return Timing(
        cost=own / plain,
        verification=median["many"] / median["one"],
        calls=sum(text.calls for text in texts),
        tokens=tokens,
        guessed=sum(text.guessed for text in texts),
        guesses=guesses,
        measured=plain / (median["speculative"] / tokens),
    )


def chance(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def length_of(text: torch.Tensor, end: int) -> int:
    """New tokens of a text that begins with one mark: up to its end, and including it."""
    ended = (text[1:] == end).nonzero()
    return int(ended[0]) + 1 if len(ended) else len(text) - 1
