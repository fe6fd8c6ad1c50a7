"""The own share λ against the number of fixed texts, on surnames: the stored table of lesson 05, section 7.

    python -m kd_lab.lessons.l05_where.few_texts

trains 3 numbers of names × 3 shares × 4 seeds, about four minutes on one core, and writes few_texts.json beside this
file. Student, budget and measure are those of lesson 06, whose grid has 100 names: a beginner learns from the labels
of these names and goes on for 120 steps of forward KL. All shares of one seed and one number of names begin alike.
"""

import argparse
import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kd_lab.classroom.long_runs import head, write
from kd_lab.measure import sampled_gap_by_position
from kd_lab.methods import distill, gkd, labels_only
from kd_lab.models import GPT, GPTConfig, load_teacher
from kd_lab.where import rollout
from kd_lab.worlds import surnames

FILE = Path(__file__).with_name("few_texts.json")
SIZES = (100, 1000, 18_012)
SHARES = (0.0, 0.5, 1.0)
SEEDS = (0, 1, 2, 3)


def train_row(size: int, seed: int) -> list[float]:
    """KL(P‖Q) in nats per name after training on `size` names, one number for each share λ."""
    world, teacher = surnames().subset(size, seed=0), load_teacher("surnames")
    generator = torch.Generator().manual_seed(1)
    read = rollout(teacher, world, world.prompts(512, generator), generator)
    beginner = GPT(GPTConfig(teacher.vocab_size, world.context, layers=2, heads=2, width=32), seed=seed)
    budget = {"batch_size": 32, "learning_rate": 3e-3, "seed": seed, "progress": False}
    distill(beginner, None, world, labels_only(), steps=60, **{k: v for k, v in budget.items() if k != "learning_rate"})
    row = []
    for share in SHARES:
        student = copy.deepcopy(beginner)
        recipe = gkd(divergence="forward_kl", on_policy_fraction=share)
        distill(student, teacher, world, recipe, steps=120, **budget)
        row.append(round(sampled_gap_by_position(student, teacher, read).sum().item(), 4))
    return row


def stored() -> dict[int, np.ndarray]:
    """KL(P‖Q) in nats per name: for each number of names, one row per seed and one column per share of SHARES."""
    runs = json.loads(FILE.read_text(encoding="utf-8"))["runs"]
    return {size: np.array([run["nats"] for run in runs if run["names"] == size]) for size in SIZES}


def about() -> dict[str, Any]:
    """The command, the day and the versions of the stored runs, and their settings."""
    return head("python -m kd_lab.lessons.l05_where.few_texts", seeds=SEEDS, names=SIZES, shares=SHARES)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    runs: list[dict[str, Any]] = []
    for size in SIZES:
        for seed in SEEDS:
            runs.append({"names": size, "seed": seed, "nats": train_row(size, seed)})
            print(runs[-1], flush=True)
    write(FILE, about(), runs)


if __name__ == "__main__":
    main()
