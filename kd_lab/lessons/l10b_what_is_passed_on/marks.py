"""Students of marked text: does the mark reach what they write themselves, and what does it cost?"""

import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from kd_lab.lessons.l10b_what_is_passed_on.collapse import joined, write
from kd_lab.measure import bits_per_character
from kd_lab.methods import distill, labels_only
from kd_lab.models import GPT, GPTConfig, load_teacher
from kd_lab.models.watermark import Watermarked, green_lists, watermark_z
from kd_lab.worlds import Batch, World, surnames

TEXTS = 2500  # names that a student reads
STEPS = 300
STRENGTH = 2.0
SHARES = (0.0, 0.1, 1.0)
"""The share of marked names among the texts of a student."""

LENGTHS = np.unique(np.round(np.logspace(1.5, 4, 26)).astype(int))
"""Numbers of letters, the end marks included, at which z is stored."""

WRITTEN = 2000  # names of each writer that are searched for the mark
CROWD = 200  # other keys that the text is tried with


def student_of(world: World, texts: Batch, seed: int) -> nn.Module:
    """A student of 28,000 weights that reads texts with labels only."""
    student = GPT(GPTConfig(len(world.vocabulary), world.context, layers=2, heads=2, width=32), seed=seed)
    own = replace(world, name="texts", train=texts, weights=None)
    distill(student, None, own, labels_only(), steps=STEPS, batch_size=64, seed=seed, progress=False)
    return student


def green_share(batch: Batch, green: torch.Tensor) -> float:
    """The share of green transitions."""
    return green[batch.inputs, batch.targets][batch.mask].double().mean().item()


def z_by_length(batch: Batch, green: torch.Tensor, base: float) -> list[float]:
    """z of the first n transitions of a text, for each n of LENGTHS.

    Raises:
        ValueError: the text is shorter than the longest.
    """
    hits = green[batch.inputs, batch.targets][batch.mask].double().cumsum(0).numpy()
    if len(hits) < LENGTHS[-1]:
        raise ValueError(f"the text has {len(hits)} transitions; expected at least {LENGTHS[-1]}: write more names")
    return [round((hits[n - 1] - base * n) / math.sqrt(n * base * (1 - base)), 3) for n in LENGTHS.tolist()]


def mixed(marked: Batch, plain: Batch, share: float) -> Batch:
    """As many texts as in either, the first part of them marked."""
    count = round(share * len(plain))
    return joined([marked[slice(count)], plain[slice(count, len(plain))]])


def run(seed: int) -> dict:
    """One key: the teacher's own text with and without a mark, and a student per share of marked text.

    For each writer: z against the share of green transitions in real names (`fair`) and against γ (`naive`), at each
    of LENGTHS; z with a wrong key; the z of CROWD other wrong keys over the whole text; and held-out bits.
    """
    world, teacher = surnames(), load_teacher("surnames")
    size = len(world.vocabulary)
    green, wrong = green_lists(size, key=seed), green_lists(size, key=seed + 500)
    crowd = [green_lists(size, key=10_000 + CROWD * seed + i) for i in range(CROWD)]
    writer = Watermarked(teacher, green, STRENGTH)
    marked, plain = write(writer, world, TEXTS, 2 * seed), write(teacher, world, TEXTS, 2 * seed + 1)
    writers: dict[str, nn.Module] = {"marked teacher": writer, "teacher": teacher}
    for share in SHARES:
        writers[f"student of {share:.0%}"] = student_of(world, mixed(marked, plain, share), seed)
    found = {"seed": seed, "gamma": green.double().mean().item(), "writers": {}}
    own, other = (green_share(world.train, lists) for lists in (green, wrong))
    bases = [green_share(world.train, lists) for lists in crowd]
    for label, model in writers.items():
        text = write(model, world, WRITTEN, 77 + seed)
        found["writers"][label] = {
            "fair": z_by_length(text, green, own),
            "naive": z_by_length(text, green, found["gamma"]),
            "wrong": z_by_length(text, wrong, other),
            "crowd": [round(watermark_z(text, *pair), 2) for pair in zip(crowd, bases, strict=True)],
            "bits": round(bits_per_character(model, world.held_out), 4),
        }
    return found


def cost_by_strength(seed: int, strengths: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0, 4.0)) -> dict:
    """Held-out bits per character of the marked teacher, and z of 1,000 letters of its text, per δ."""
    world, teacher = surnames(), load_teacher("surnames")
    green = green_lists(len(world.vocabulary), key=seed)
    base, rows = green_share(world.train, green), []
    for strength in strengths:
        writer = Watermarked(teacher, green, strength)
        text = write(writer, world, 300, seed)
        z = watermark_z(text, green, base) * math.sqrt(1000 / int(text.mask.sum()))
        rows.append([strength, round(bits_per_character(writer, world.held_out), 4), round(z, 3)])
    return {"seed": seed, "rows": rows}
