"""Four ways to teach moves from the same base, at equal compute; and the reading of what a student writes.

Compute is counted in token passes, so that it means the same on every machine: a token read forward is one, and its way
back two more. A matrix of weights costs about two operations per token and weight in either count.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from kd_lab.methods import distill, grpo, labels_only, on_policy
from kd_lab.models import GPT, GPTConfig
from kd_lab.where import rollout
from kd_lab.worlds import World, moves
from kd_lab.worlds.moves import SYMBOLS, rewards

TEXTS = 64  # of a step of distillation
GROUPS, GROUP_SIZE = 16, 8  # of a step of GRPO
TRAIN = 3  # token passes: forward one, backward two
COOLING = 0.3  # the share of the steps over which the learning rate falls
TRACE_STEPS = 360  # steps on traces that the budget pays for

BASES = {"weak": 0.15, "warm": 0.45}
"""A base is the student as it first writes this share of right answers, drawn at temperature 1."""


@cache
def world_of(form: str = "trace") -> World:
    """20,000 problems with the teacher's traces, or with its answers alone."""
    return moves(form=form)


def new_student(seed: int) -> GPT:
    """One layer of width 64: 54,000 weights."""
    return GPT(GPTConfig(len(SYMBOLS), world_of().context, layers=1, heads=4, width=64), seed=seed)


def flat(step: int, steps: int) -> float:
    """The factor on the learning rate: 20 steps of warm-up, then constant."""
    return min(1.0, step / 20)


def cooled(step: int, steps: int) -> float:
    """As `flat`, and over the last part of the steps down to almost nothing."""
    return flat(step, steps) * min(1.0, (1 - step / steps) / COOLING + 0.02)


@dataclass(frozen=True)
class Arm:
    """A way to teach: token passes per text, texts per step."""

    label: str
    passes: int
    texts: int
    learning_rate: float

    @property
    def step(self) -> int:
        """Token passes of one step."""
        return self.passes * self.texts

    def steps(self, budget: int) -> int:
        """Whole steps that a budget of token passes pays for."""
        return budget // self.step


READ, ANSWER_READ = 13, 9  # tokens of a problem with its trace, and with its answer alone
ARMS = {
    "traces": Arm("SFT on traces", TRAIN * READ, TEXTS, 3e-3),
    "answers": Arm("SFT on answers alone", TRAIN * ANSWER_READ, TEXTS, 3e-3),
    "rl": Arm("GRPO with a verifier", READ + TRAIN * READ, GROUPS * GROUP_SIZE, 1e-3),  # writes, then learns
    "opd": Arm("on-policy distillation", 2 * READ + TRAIN * READ, TEXTS, 3e-3),  # the teacher reads along
}
BUDGET = TRACE_STEPS * ARMS["traces"].step


def teach(
    name: str,
    base: nn.Module,
    teacher: nn.Module,
    seed: int,
    evaluate: Callable[[nn.Module], float] | None = None,
    points: int = 8,
    budget: int = BUDGET,
) -> nn.Module:
    """A copy of `base` after the budget has been spent in one way.

    Args:
        name: of ARMS.
        base: the beginning; it stays as it is.
        teacher: judges the student's own traces; read by "opd" alone.
        seed: of everything drawn.
        evaluate: called after so many `points` along the way.
    """
    arm, student = ARMS[name], copy.deepcopy(base)
    steps = arm.steps(budget)
    common = {
        "steps": steps, "seed": seed, "learning_rate": arm.learning_rate, "schedule": cooled, "progress": False,
        "evaluate": evaluate, "evaluate_every": max(steps // points, 1),
    }  # fmt: skip
    if name == "rl":
        grpo(student, world_of(), rewards, problems=GROUPS, group_size=GROUP_SIZE, **common)
    elif name == "opd":
        distill(student, teacher, world_of(), on_policy(), batch_size=TEXTS, **common)
    else:
        world = world_of("answer" if name == "answers" else "trace")
        distill(student, None, world, labels_only(), batch_size=TEXTS, **common)
    return student


def written(student: nn.Module, count: int, seed: int = 1, greedy: bool = False, draws: int = 1) -> list[str]:
    """The texts of a student on the first `count` held-out problems, `draws` texts for each, problem by problem."""
    prompts = world_of().held_out[slice(0, count)].prompts(SYMBOLS.pad)[0].repeat_interleave(draws, 0)
    batch = rollout(student, world_of(), prompts, torch.Generator().manual_seed(seed), greedy=greedy)
    return SYMBOLS.decode(batch.tokens)


def accuracy(student: nn.Module, count: int = 250, greedy: bool = False) -> float:
    """The share of held-out problems with a right answer, drawn at temperature 1 or greedily."""
    return rewards(written(student, count, greedy=greedy)).mean().item()


def bases(seed: int, steps: int = 600, every: int = 5) -> tuple[dict[str, nn.Module], nn.Module]:
    """The bases of one seed, on the way to the teacher: a model that learns from traces, stopped early, and its end.

    Where it never reaches the accuracy of a base, its end stands for that base.
    """
    student, found = new_student(seed), {}

    def look(model: nn.Module) -> float:
        if len(found) == len(BASES):
            return float("nan")
        reached = accuracy(model)
        for name, threshold in BASES.items():
            if name not in found and reached >= threshold:
                found[name] = copy.deepcopy(model)
        return reached

    distill(
        student, None, world_of(), labels_only(), steps=steps, seed=seed, batch_size=TEXTS, learning_rate=3e-3,
        schedule=cooled, progress=False, evaluate=look, evaluate_every=every,
    )  # fmt: skip
    return {name: found[name] if name in found else copy.deepcopy(student) for name in BASES}, student


def shares_right(texts: Sequence[str], draws: int, right: Callable[[str], bool]) -> torch.Tensor:
    """Of `draws` texts on each problem, how many are right: [problems]."""
    return torch.tensor([right(text) for text in texts]).view(-1, draws).sum(1)
