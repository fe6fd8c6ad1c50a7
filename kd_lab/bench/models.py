"""The GPT's speed in training and writing, beside a model of nanoGPT's shape and its uncached loop, in one process.

    python -m kd_lab.bench.models

Both sides do equal work in turns, so that whatever else the machine does falls on both; ratios are medians of the
rounds. The baseline here is written for this comparison in the way that GPT-2 code usually is: a module for each step,
and a loop that reads the whole text again for each new token.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.measure.clock import seconds_in_turns
from kd_lab.models import GPT, GPTConfig, generate

# The shape that nanoGPT's README gives for training on a CPU: 65 characters, 4 layers, 4 heads, width 128.
SHAPE = GPTConfig(vocab_size=65, context=64, layers=4, heads=4, width=128)
NEW_TOKENS = 64


class BaselineAttention(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.joint = nn.Linear(config.width, 3 * config.width, bias=False)
        self.out = nn.Linear(config.width, config.width, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        self.heads = config.heads

    def forward(self, x: Float[Tensor, "B T W"]) -> Float[Tensor, "B T W"]:
        batch, time_steps, width = x.shape
        q, k, v = self.joint(x).split(width, dim=2)
        q, k, v = (y.view(batch, time_steps, self.heads, width // self.heads).transpose(1, 2) for y in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=True)
        y = y.transpose(1, 2).contiguous().view(batch, time_steps, width)
        return self.dropout(self.out(y))


class BaselineBlock(nn.Module):
    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.norm_1 = nn.LayerNorm(config.width, bias=False)
        self.attention = BaselineAttention(config)
        self.norm_2 = nn.LayerNorm(config.width, bias=False)
        self.perceptron = nn.Sequential(
            nn.Linear(config.width, 4 * config.width, bias=False),
            nn.GELU(),
            nn.Linear(4 * config.width, config.width, bias=False),
            nn.Dropout(config.dropout),
        )

    def forward(self, x: Float[Tensor, "B T W"]) -> Float[Tensor, "B T W"]:
        x = x + self.attention(self.norm_1(x))
        return x + self.perceptron(self.norm_2(x))


class Baseline(nn.Module):
    """The usual GPT-2 module of the same shape: learned positions, pre-norm, GELU, tied head, SDPA, no biases."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.context = config.context
        self.tokens = nn.Embedding(config.vocab_size, config.width)
        self.positions = nn.Embedding(config.context, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(BaselineBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, bias=False)
        self.head = nn.Linear(config.width, config.vocab_size, bias=False)
        self.tokens.weight = self.head.weight

    def forward(self, tokens: Int[Tensor, "B T"], last_only: bool = False) -> Float[Tensor, "B U V"]:
        x = self.dropout(self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1], device=tokens.device)))
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return self.head(x[:, [-1], :] if last_only else x)


@torch.no_grad()
def uncached_loop(
    model: Baseline, tokens: Int[Tensor, "B P"], new_tokens: int, generator: torch.Generator
) -> Int[Tensor, "B L"]:
    """Read everything again for each token; the head runs on the last position only, as in nanoGPT."""
    for _ in range(new_tokens):
        logits = model(tokens[:, -model.context :], last_only=True)[:, -1]
        new = torch.multinomial(logits.softmax(-1), 1, generator=generator)
        tokens = torch.cat([tokens, new], dim=1)
    return tokens


def training_step(model: nn.Module, batch_size: int, fused: bool = True) -> Callable[[], None]:
    """A closure that does one step: forward, cross-entropy, backward, AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=fused)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(SHAPE.vocab_size, (batch_size, SHAPE.context + 1), generator=generator)

    def step() -> None:
        logits = model(tokens[:, :-1])
        F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def never_ending(model: GPT) -> GPT:
    """Rule the end out, so that every row is written to its 64th token as the baseline writes it."""
    end = torch.tensor([model.end])
    model.register_forward_hook(lambda module, arguments, logits: logits.index_fill(-1, end, -torch.inf))
    return model


def compare(
    baseline: Callable[[], object], ours: Callable[[], object], rounds: int, calls: int = 1
) -> tuple[float, float, float]:
    """Median seconds per call of the baseline and of ours, and the median of the ratios baseline ÷ ours, in turns."""

    def repeated(run: Callable[[], object]) -> Callable[[], object]:
        return lambda: [run() for _ in range(calls)]

    seconds = seconds_in_turns({"baseline": repeated(baseline), "ours": repeated(ours)}, rounds)
    slow, fast = seconds["baseline"] / calls, seconds["ours"] / calls
    return median(slow), median(fast), median(slow / fast)


def training(rounds: int, batch_size: int = 12) -> str:
    """Tokens per second in training, and the ratio of the seconds of a step: baseline ÷ ours."""
    torch.manual_seed(0)
    baseline, ours = Baseline(SHAPE), GPT(SHAPE)
    slow, fast, ratio = compare(training_step(baseline, batch_size), training_step(ours, batch_size), rounds, calls=4)
    tokens = batch_size * SHAPE.context
    return (
        f"training, batch {batch_size:2d} × {SHAPE.context} tokens: baseline {tokens / slow:9,.0f} tokens/s, "
        f"ours {tokens / fast:9,.0f} tokens/s, ratio {ratio:.2f}"
    )


def generation(rounds: int, batch_size: int, one_by_one: bool = False) -> str:
    """Tokens per second in writing and the ratio of the seconds, uncached ÷ ours.

    Both sides write the same number of texts in one batch; with `one_by_one` the baseline writes them one after the
    other, as nanoGPT's sampling script does.
    """
    torch.manual_seed(0)
    baseline, ours = Baseline(SHAPE).eval(), never_ending(GPT(SHAPE))
    start = torch.full((batch_size, 1), ours.end)
    chance = torch.Generator().manual_seed(0)
    written = generate(ours, start, NEW_TOKENS, generator=chance)
    assert (written[:, 1:] != ours.end).all(), "a row ended early, so the two sides would not do equal work"
    pieces = start.split(1 if one_by_one else batch_size)
    slow, fast, ratio = compare(
        lambda: [uncached_loop(baseline, piece, NEW_TOKENS, chance) for piece in pieces],
        lambda: generate(ours, start, NEW_TOKENS, generator=chance),
        rounds,
    )
    tokens = batch_size * NEW_TOKENS
    return (
        f"generation, batch {batch_size:2d} × {NEW_TOKENS} new tokens: uncached{', one by one' if one_by_one else ''} "
        f"{tokens / slow:9,.0f} tokens/s, "
        f"ours {tokens / fast:9,.0f} tokens/s, ratio {ratio:.2f}"
    )


def overhead(rounds: int, batch_size: int = 1) -> str:
    """The share of a cached step that is no arithmetic, and the ratio that no cache can pass because of it.

    A model of the same depth and width 8 calls as many operations, and has next to nothing to multiply. Its seconds are
    those of Python and of starting operations: less than the wide model spends on them, whose operations touch more
    memory as well.
    """
    torch.manual_seed(0)
    baseline, ours = Baseline(SHAPE).eval(), never_ending(GPT(SHAPE))
    empty = never_ending(GPT(replace(SHAPE, width=8)))
    start, chance = torch.full((batch_size, 1), ours.end), torch.Generator().manual_seed(0)
    paths = {
        "uncached": lambda: uncached_loop(baseline, start, NEW_TOKENS, chance),
        "cached": lambda: generate(ours, start, NEW_TOKENS, generator=chance),
        "empty": lambda: generate(empty, start, NEW_TOKENS, generator=chance),
    }
    seconds = seconds_in_turns(paths, rounds)
    share, limit = (median(seconds[a] / seconds[b]) for a, b in (("empty", "cached"), ("uncached", "empty")))
    return (
        f"generation, batch {batch_size:2d}: {1e3 * median(seconds['cached']) / NEW_TOKENS:.2f} ms per token, of which "
        f"at least {share:.0%} starts operations (width 8 instead of {SHAPE.width}); with those alone the ratio would "
        f"be {limit:.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="turns of both sides; the ratio is the median of them")
    parser.add_argument("--threads", type=int, help="CPU threads; torch's own choice if left out")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    print("baseline: GELU, no cache; ours: ReLU, cache; equal shapes, equal numbers of parameters, AdamW(fused=True)")
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {SHAPE}")
    for batch_size in (12, 64):
        print(training(arguments.rounds, batch_size))
    for batch_size in (1, 16, 64):
        print(generation(arguments.rounds, batch_size))
    print(generation(arguments.rounds, 10, one_by_one=True))
    print(overhead(arguments.rounds))


if __name__ == "__main__":
    main()
