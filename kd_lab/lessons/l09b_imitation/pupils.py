"""Students of few and of many examples: the one training that all experiments of the lesson share."""

from collections.abc import Sequence

import torch
from torch import nn

from kd_lab.methods import distill, labels_only
from kd_lab.models import GPT, GPTConfig
from kd_lab.where import rollout
from kd_lab.worlds import World
from kd_lab.worlds.moves import EQUALS, SYMBOLS, answered

STEPS, RECIPE_STEPS, TEXTS, RATE = 400, 600, 64, 3e-3
WIDTH = 16  # columns of a row: up to five moves, their digits, and a closing line
COOLING = 0.3  # the share of the steps over which the learning rate falls


def cooled(step: int, steps: int) -> float:
    """The factor on the learning rate: 20 steps of warm-up, then constant, and at the end down to almost nothing."""
    return min(1.0, step / 20) * min(1.0, (1 - step / steps) / COOLING + 0.02)


def train(problems: Sequence[str], answers: Sequence[str], seed: int, steps: int = STEPS) -> nn.Module:
    """A student of 54,000 weights after `steps` steps on examples, drawn with replacement.

    Args:
        problems, answers: the examples, such as "47t9" and "132".
        seed: of the student's beginning and of everything drawn.
        steps: the same for few and for many examples, so that only the data differ.
    """
    batch = answered(problems, answers, WIDTH)
    world = World("examples", SYMBOLS, batch, batch)
    student = GPT(GPTConfig(len(SYMBOLS), WIDTH - 1, layers=1, heads=4, width=64), seed=seed)
    distill(
        student, None, world, labels_only(), steps=steps, seed=seed, batch_size=TEXTS, learning_rate=RATE,
        schedule=cooled, progress=False,
    )  # fmt: skip
    return student


def write(student: nn.Module, problems: Sequence[str], greedy: bool = True, seed: int = 1) -> list[str]:
    """A student's answers to problems, as whole texts."""
    asked = answered(problems, ["0"] * len(problems), WIDTH)
    prompts, lengths = asked.prompts(SYMBOLS.pad)
    world = World("questions", SYMBOLS, asked, asked)
    generator = torch.Generator().manual_seed(seed)
    return SYMBOLS.decode(rollout(student, world, prompts, generator, lengths=lengths, greedy=greedy).tokens)


def split(text: str) -> tuple[str, str]:
    """The problem and what was written behind its "=".

    >>> split("47t9=132=2")
    ('47t9', '132=2')
    """
    problem, _, answer = text.partition(EQUALS)
    return problem, answer
