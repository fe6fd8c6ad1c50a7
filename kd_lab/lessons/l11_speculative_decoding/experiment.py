"""Drafts of one target, distilled by six losses, cold and after a warm start: the stored results of lesson 11.

    python -m kd_lab.lessons.l11_speculative_decoding.experiment

trains 12 drafts with each of eight seeds, about four minutes on one core, and writes results.json and the two drafts
that the lesson speaks with, beside this file. Every finished seed is kept at once, so that an
interrupted command goes on where it stopped.

All drafts of one seed begin with the same weights and read the same texts of the target in the same order, so that they
are compared in pairs.
"""

import argparse
import copy
from itertools import chain
from pathlib import Path
from typing import Any

import torch

from kd_lab.classroom.long_runs import complete, head
from kd_lab.contracts import How, stream
from kd_lab.how import Divergence, NegativeLogLikelihood
from kd_lab.lessons.l11_speculative_decoding.losses import Hybrid, NegativeLogAcceptance
from kd_lab.lessons.l11_speculative_decoding.results import DRAFTS, RESULTS
from kd_lab.measure.acceptance import acceptance
from kd_lab.methods import Recipe, distill
from kd_lab.models import GPT, CachedTeacher, GPTConfig, generate, load_teacher, save_model
from kd_lab.what import Logits, Sequences
from kd_lab.where import Corpus, StudentRollouts
from kd_lab.worlds import Batch, World, surnames

LAYERS, HEADS, WIDTH = 1, 4, 48  # of a draft, 30,000 weights; the target has 4 layers, width 128 and 793,000 weights

LOSSES: dict[str, How] = {
    "forward KL": Divergence("forward_kl"),
    "hybrid": Hybrid(),
    "total variation": Divergence("total_variation"),
    "−log acceptance": NegativeLogAcceptance(),
    "reverse KL": Divergence("reverse_kl"),
}
TEXT_ONLY = "text only"
SETTINGS = {
    "τ = 1": {},
    "τ = ½": {"temperature": 0.5},
    "top-p 0.9": {"top_p": 0.9},
    "top-p 0.6": {"top_p": 0.6},
}
"""The ways in which the target is deployed, at which acceptance is measured on texts that it writes so."""

SEEDS = tuple(range(8))
TEXTS, JUDGED = 3000, 300  # texts of the target to train on, and others to measure acceptance on
STEPS, MORE, RATE, SLOWER = 300, 150, 3e-3, 1e-3  # cold; after the warm start; the peak learning rate of either
BATCH = 32


def written(target: GPT, rows: int, seed: int, name: str, **settings: float) -> Batch:
    """Texts of the target, as it is deployed."""
    start = torch.zeros(rows, 1, dtype=torch.long)
    return Batch.from_tokens(
        generate(target, start, target.context, generator=stream(seed, name), **settings), end=target.end
    )


def recipe(loss: str) -> Recipe:
    """The recipe of a loss on the texts of a world; `TEXT_ONLY` reads no logits of the target."""
    if loss == TEXT_ONLY:
        return Recipe(loss, Sequences(), NegativeLogLikelihood(), Corpus())
    return Recipe(loss, Logits(), LOSSES[loss], Corpus())


def measured(draft: GPT, target: CachedTeacher, judged: dict[str, Batch]) -> dict[str, float]:
    """Acceptance at each setting."""
    return {
        name: round(acceptance(draft, target, batch, **SETTINGS[name])[batch.mask].mean().item(), 5)
        for name, batch in judged.items()
    }


def train_seed(seed: int, keep: Path | None = None) -> list[dict[str, Any]]:
    """All drafts of one seed.

    Args:
        seed: of the first weights and of everything drawn.
        keep: the folder for the two drafts that the lesson speaks with; None: they are not kept.

    Returns:
        A run for each draft: where it belongs, and what was measured.

    Raises:
        KeyboardInterrupt: training was stopped; a seed that is not finished is worth nothing here.
    """
    target, names = load_teacher("surnames"), surnames()
    judged = {name: written(target, JUDGED, seed, f"judged {name}", **how) for name, how in SETTINGS.items()}
    world = World("texts of the target", names.vocabulary, written(target, TEXTS, seed, "texts"), names.held_out)
    teacher = CachedTeacher(target)
    first = GPT(GPTConfig(target.vocab_size, target.context, LAYERS, HEADS, WIDTH), seed=seed)
    runs: list[dict[str, Any]] = []

    def train(draft: GPT, how: Recipe, stage: str, steps: int, rate: float) -> GPT:
        draft = copy.deepcopy(draft)
        result = distill(
            draft, teacher, world, how, steps=steps, seed=seed, batch_size=BATCH, learning_rate=rate, progress=False
        )
        if result.interrupted:
            raise KeyboardInterrupt
        place = {"stage": stage, "loss": how.name, "seed": seed}
        runs.append(place | measured(draft, teacher, judged))
        return draft

    cold = {loss: train(first, recipe(loss), "cold", STEPS, RATE) for loss in (TEXT_ONLY, *LOSSES)}
    for loss in LOSSES:
        train(cold["forward KL"], recipe(loss), "warm", MORE, SLOWER)
    own = Recipe("own texts", Logits(), LOSSES["forward KL"], StudentRollouts())
    train(first, own, "prefixes", STEPS, RATE)
    if keep is not None:
        for loss in (TEXT_ONLY, "forward KL"):
            save_model(cold[loss], keep / DRAFTS[loss], facts={"loss": loss, "seed": seed})
    return runs


# ---- the command -----------------------------------------------------------------------------------------------------


def about() -> dict[str, Any]:
    """The head of the file: what made it."""
    return head(
        "python -m kd_lab.lessons.l11_speculative_decoding.experiment",
        seeds=SEEDS,
        draft=[LAYERS, HEADS, WIDTH],
        settings=SETTINGS,
        texts=[TEXTS, JUDGED],
        steps=[STEPS, MORE],
        learning_rates=[RATE, SLOWER],
        batch_size=BATCH,
    )


def missing(finished: list[dict[str, Any]]) -> list[int]:
    """The seeds that a list of runs lacks, in the order in which they are trained."""
    done = {run["seed"] for run in finished}
    return [seed for seed in SEEDS if seed not in done]


def joined(seeds: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The runs of all seeds."""
    return list(chain.from_iterable(seeds))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # drafts this small gain nothing from a second thread, and sums keep their order

    def run(seed: int) -> list[dict[str, Any]]:
        return train_seed(seed, arguments.output.parent if seed == SEEDS[0] else None)

    complete(arguments.output, about(), missing, run, name="seed {}".format, joined=joined)


if __name__ == "__main__":
    main()
