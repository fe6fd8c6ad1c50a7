"""A teacher with five wrong facts, what its students know, and what a verifier can and cannot put right."""

import copy
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import nn

from kd_lab.lessons.l09_reasoning_traces.arms import GROUP_SIZE, GROUPS, TEXTS, cooled, new_student, world_of, written
from kd_lab.methods import distill, grpo, labels_only
from kd_lab.worlds import World, verify
from kd_lab.worlds.moves import EQUALS, FACTS, SYMBOLS, answered, rewards, solve

WRONG = (3, 4, 6, 8, 9)
"""The digits that the teacher multiplies wrongly by 7: its product is two too high."""

FLAWED = {**FACTS, **{(digit, "s"): (FACTS[digit, "s"] + 2) % 10 for digit in WRONG}}

LESSONS = ("copied", "filtered", "one in ten")
"""The teacher's traces: all of them; those alone whose answer the verifier accepts; all, but every tenth problem is
solved by somebody who knows the facts."""

SFT_STEPS, RL_STEPS, RL_RATE = 500, 120, 1e-3
READ_ON = 500  # held-out problems that the students are judged on


@cache
def flawed_world(lesson: str) -> World:
    """The problems of the lesson's world with traces of one of LESSONS."""
    world = world_of()
    problems = [text.split(EQUALS)[0] for text in SYMBOLS.decode(world.train.tokens)]
    traces = [
        solve_quickly(problem, lesson == "one in ten" and number % 10 == 0) for number, problem in enumerate(problems)
    ]
    if lesson == "filtered":
        kept = [verify(f"{problem}={trace}") for problem, trace in zip(problems, traces, strict=True)]
        problems, traces = ([one for one, keep in zip(many, kept, strict=True) if keep] for many in (problems, traces))
    return replace(world, name=f"moves, {lesson}", train=answered(problems, traces, world.context + 1))


def solve_quickly(problem: str, right: bool) -> str:
    """The trace by the teacher's facts, or by the right ones."""
    facts, digit, trace = FACTS if right else FLAWED, int(problem[0]), ""
    for move in problem[1:]:
        digit = facts[digit, move]
        trace += str(digit)
    return trace


@dataclass(frozen=True)
class Report:
    """Shares of the held-out problems, by greedy answers."""

    right: float
    agrees: float  # says what the teacher says
    affected: float  # right, of those problems that the teacher gets wrong
    errors: float  # of the student's wrong answers, those that are the teacher's; NaN where there are none

    def row(self) -> list[float]:
        return [round(value, 4) for value in (self.right, self.agrees, self.affected, self.errors)]


@cache
def teachers_texts() -> tuple[str, ...]:
    """The teacher's texts on the problems that the students are judged on."""
    problems = [text.split(EQUALS)[0] for text in SYMBOLS.decode(world_of().held_out.tokens)[:READ_ON]]
    return tuple(f"{problem}={solve(problem, FLAWED)}" for problem in problems)


def report(student: nn.Module) -> Report:
    """The shares of a student's answers that are right, and that are its teacher's."""
    texts, judged = written(student, READ_ON, greedy=True), teachers_texts()
    right, teacher_right = rewards(texts).bool(), rewards(judged).bool()
    same = torch.tensor([own[-1] == theirs[-1] for own, theirs in zip(texts, judged, strict=True)])
    wrong = ~right
    return Report(
        right.float().mean().item(),
        same.float().mean().item(),
        right[~teacher_right].float().mean().item(),
        same[wrong].float().mean().item() if wrong.any() else float("nan"),
    )


def train_ceiling(lesson: str, seed: int) -> dict[str, Any]:
    """A student of one of LESSONS, and the same student after GRPO with the true verifier."""
    student, world = new_student(seed), flawed_world(lesson)
    distill(
        student, None, world, labels_only(), steps=SFT_STEPS, seed=seed, batch_size=TEXTS, learning_rate=3e-3,
        schedule=cooled, progress=False,
    )  # fmt: skip
    before, reinforced = report(student), copy.deepcopy(student)
    history = grpo(
        reinforced, world_of(), rewards, steps=RL_STEPS, seed=seed, problems=GROUPS, group_size=GROUP_SIZE,
        learning_rate=RL_RATE, schedule=cooled, progress=False,
    )  # fmt: skip
    return {
        "kind": "ceiling", "lesson": lesson, "seed": seed, "sft": before.row(), "rl": report(reinforced).row(),
        "mixed": round(float(history["mixed"][:20].mean()), 4),
    }  # fmt: skip
