"""Generations of models that are trained on the text of the generations before them: exactly, and on surnames."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from kd_lab.contracts import stream
from kd_lab.measure import bits_per_character, distinct
from kd_lab.methods import distill, labels_only
from kd_lab.models import GPT, GPTConfig, generate
from kd_lab.worlds import Batch, World, surnames

# ---- the exact law ---------------------------------------------------------------------------------------------------

RUNS = 400  # of chance, of which `mean_diversity` is the mean


def expected_diversity(samples: int, generations: int, accumulate: bool) -> Float[np.ndarray, " G"]:
    """E[1 − Σ p̂²] ÷ (1 − Σ p²) after 0 … `generations` re-estimations of a categorical distribution.

    Generation k is the table of frequencies of `samples` draws from generation k − 1, or of all draws so far.

    >>> expected_diversity(2, 3, accumulate=False).tolist()
    [1.0, 0.5, 0.25, 0.125]
    """
    divisor = np.arange(1, generations + 1) ** 2 if accumulate else np.ones(generations)
    return np.concatenate([[1.0], np.cumprod(1 - 1 / (samples * divisor))])


def limit_of_accumulation(samples: int) -> float:
    """∏ over k ≥ 1 of (1 − 1/(N k²)) = sin(π/√N) ÷ (π/√N), Euler's product.

    >>> round(limit_of_accumulation(100), 4), round(1 - math.pi**2 / 600, 4)
    (0.9836, 0.9836)
    """
    return float(np.sinc(1 / math.sqrt(samples)))


def drift(
    p: Float[np.ndarray, "*B V"], samples: int, generations: int, accumulate: bool, generator: np.random.Generator
) -> Float[np.ndarray, "G *B V"]:
    """The distributions of generations 0 … `generations` in one run of chance; generation 0 is `p` itself.

    With leading axes each row of `p` is a run of its own.
    """
    history, counts = [np.asarray(p, dtype=float)], np.zeros(np.shape(p))
    for _ in range(generations):
        drawn = generator.multinomial(samples, history[-1])
        counts = counts + drawn if accumulate else drawn
        history.append(counts / counts.sum(-1, keepdims=True))
    return np.array(history)


def diversity(p: Float[np.ndarray, "*B V"]) -> Float[np.ndarray, "*B"]:
    """1 − Σ p²: the probability that two draws differ."""
    return np.asarray(1 - (np.asarray(p) ** 2).sum(-1))


def mean_diversity(
    p: Float[np.ndarray, " V"], samples: int, generations: int, accumulate: bool, seed: int = 0
) -> Float[np.ndarray, " G"]:
    """The mean share of the diversity that RUNS runs of chance keep: `expected_diversity`, simulated."""
    generator = np.random.default_rng([seed, samples, accumulate])
    history = drift(np.tile(p, (RUNS, 1)), samples, generations, accumulate, generator)
    return diversity(history).mean(-1) / diversity(p)


# ---- surnames --------------------------------------------------------------------------------------------------------

NAMES = 1000  # per generation
GENERATIONS = 6  # after the first, which reads real names
STEPS, BATCH_SIZE = 180, 64
RARE_MASS = 0.01  # of the pairs of letters in real names: the rarest that make up this share
SHOWN = 7


@dataclass(frozen=True)
class Policy:
    """The texts that the next generation reads."""

    keeps: str  # "newest", "tenth", "all" or "written"
    top_p: float = 1.0  # at which a generation writes for the next


CUT = 0.9
POLICIES = {
    "replaced, τ = 1": Policy("newest"),
    "replaced": Policy("newest", CUT),
    "a tenth real": Policy("tenth", CUT),
    "accumulated": Policy("all", CUT),
    "accumulated, none real": Policy("written", CUT),
}
"""The policies, from the disease over two cures to what isolates the cause of the cure. All but the first cut at top-p.

No policy reads the real names again and again: each generation is a fresh model, so that would be generation 0 anew."""


def joined(parts: Sequence[Batch]) -> Batch:
    """Several batches of one width as one."""
    return Batch(torch.cat([part.tokens for part in parts]), torch.cat([part.mask for part in parts]))


def next_texts(policy: Policy, real: Batch, written: Sequence[Batch], seed: int) -> Batch:
    """The training set of the generation that follows the authors of `written`.

    Args:
        policy: what is kept.
        real: the names that the first generation read.
        written: as many names from each generation so far.
        seed: of the choice of a tenth.

    Raises:
        ValueError: the policy keeps something that is not known here.
    """
    if policy.keeps == "tenth":
        chosen = torch.randperm(len(real), generator=stream(seed, f"tenth {len(written)}"))[: len(real) // 10]
        return joined([real[chosen], written[-1][slice(len(real) - len(chosen))]])
    kept = {"newest": [written[-1]], "all": [real, *written], "written": [*written]}
    if policy.keeps not in kept:
        raise ValueError(f"the policy keeps {policy.keeps!r}; expected one of {[*kept, 'tenth']}")
    return joined(kept[policy.keeps])


def fit(world: World, texts: Batch, seed: int) -> nn.Module:
    """A fresh student of 30,000 weights, trained with labels only, for the same steps however many texts there are."""
    student = GPT(GPTConfig(len(world.vocabulary), world.context, layers=1, heads=4, width=48), seed=seed)
    own = replace(world, name="generation", train=texts, weights=None)
    distill(
        student, None, own, labels_only(), steps=STEPS, batch_size=BATCH_SIZE, learning_rate=4e-3, seed=seed,
        progress=False,
    )  # fmt: skip
    return student.eval()


def write(model: nn.Module, world: World, count: int, seed: int, top_p: float = 1.0) -> Batch:
    """Names that a model writes from the bare end mark."""
    generator = stream(seed, "names")
    start = torch.full((count, 1), world.vocabulary.end)
    tokens = generate(model, start, world.context, generator=generator, top_p=top_p)
    return Batch.from_tokens(tokens, end=world.vocabulary.end)


def pair_counts(batch: Batch, size: int) -> Float[np.ndarray, "V V"]:
    """The number of times that each token follows each other one, the end mark included."""
    pairs = (batch.inputs * size + batch.targets)[batch.mask]
    return torch.bincount(pairs, minlength=size * size).view(size, size).double().numpy()


def rare_pairs(batch: Batch, size: int) -> np.ndarray:
    """The pairs of letters that are the rarest in a text and together make up RARE_MASS of it; those it lacks too."""
    counts = pair_counts(batch, size).ravel()
    order = counts.argsort(kind="stable")
    rare = np.zeros(len(counts), dtype=bool)
    rare[order[counts[order].cumsum() <= RARE_MASS * counts.sum()]] = True
    return rare.reshape(size, size)


def look_at(model: nn.Module, world: World, rare: np.ndarray, probe: Batch) -> dict:
    """The stored file's entry about one generation and the names that it wrote.

    `bits` are held-out bits per character. The rest is read off the names: `distinct` names ÷ names, different pairs of
    letters ÷ pairs, the `rare` pairs' share in percent, how often each letter comes `first`, and samples.
    """
    names = world.vocabulary.decode(probe.tokens)
    counts = pair_counts(probe, len(world.vocabulary))
    return {
        "bits": round(bits_per_character(model, world.held_out), 4),
        "distinct": round(len(set(names)) / len(names), 4),
        "pairs": round(distinct(names, n=2), 5),
        "rare": round(100 * counts[rare].sum() / counts.sum(), 3),
        "first": torch.bincount(probe.targets[:, 0], minlength=len(world.vocabulary))[1:].tolist(),
        "samples": names[:SHOWN],
    }


@cache
def first_model(seed: int) -> nn.Module:
    """Generation 0, which reads real names and is the same under every policy."""
    world = surnames().subset(NAMES, seed=seed)
    return fit(world, world.train, 100 * seed)


def chain(label: str, seed: int) -> dict:
    """One run of all generations under a policy: a list of what `look_at` saw."""
    policy, whole = POLICIES[label], surnames()
    world = whole.subset(NAMES, seed=seed)
    rare = rare_pairs(whole.train, len(world.vocabulary))
    written, seen = [], []
    for generation in range(GENERATIONS + 1):
        if generation:
            texts = next_texts(policy, world.train, written, seed)
        model = fit(world, texts, 100 * seed + generation) if generation else first_model(seed)
        probe = write(model, world, NAMES, 1000 * seed + generation, policy.top_p)
        seen.append(look_at(model, world, rare, probe))
        written.append(probe)
    return {"policy": label, "seed": seed, "generations": seen}
