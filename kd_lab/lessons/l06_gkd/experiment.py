"""Every divergence with every share of the student's own texts, on a real and on an exact world: the grid of lesson 06.

    python -m kd_lab.lessons.l06_gkd.experiment

trains 6 divergences × 5 shares λ × 8 seeds × 2 worlds, about half an hour on one core, and writes results.json beside
this file. Every finished run is kept at once, so that an interrupted command goes on where it stopped. `results.py`
reads the result.

In both worlds the student begins as GKD's authors have it begin, able to write: it has learned from the labels for a
while. All cells of one seed begin with the same student.
"""

import argparse
import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from math import log
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.classroom.long_runs import complete, head
from kd_lab.how import forward_kl, reverse_kl
from kd_lab.lessons.l06_gkd.results import GRID
from kd_lab.measure import conditionals, joint, reach, sequence_kl
from kd_lab.methods import Recipe, distill, gkd, labels_only
from kd_lab.models import GPT, GPTConfig, TabularModel, load_teacher, next_token_logp
from kd_lab.where import rollout
from kd_lab.worlds import Batch, World, language, surnames

BETAS = {
    "forward_kl": 0.5,
    "skew_kl": 0.1,
    "jsd": 0.5,
    "skew_reverse_kl": 0.9,
    "reverse_kl": 0.5,
    "total_variation": 0.5,
}
"""The divergences of the grid, each with the β that it is read with; only the skew KLs and JSD have one."""

FRACTIONS = (0.0, 0.25, 0.5, 0.75, 1.0)
SEEDS = tuple(range(8))
MEASURES = ("forward_kl", "reverse_kl", "judgement")
"""KL(P‖Q) and KL(Q‖P) in nats per text; and the teacher's bits per character on what the student writes."""

POINTS = 5  # of a learning curve after its start
SAMPLES = 6  # texts that are kept of a cell

Measure = Callable[[nn.Module], tuple[float, float, float]]


@dataclass(frozen=True, eq=False)
class Arena:
    """A world, its teacher, and the budget that every cell of the grid gets there."""

    name: str
    world: World
    teacher: nn.Module
    shape: GPTConfig  # of the student
    label_steps: int  # before the grid begins
    steps: int  # of each cell
    measure: Measure  # one number a MEASURE
    batch_size: int = 32
    learning_rate: float = 3e-3

    @property
    def points(self) -> list[int]:
        """The steps after which a run is measured, the start among them."""
        return [self.steps * i // POINTS for i in range(POINTS + 1)]

    def budget(self) -> dict[str, Any]:
        """The settings that decide a run's numbers, for the head of the file."""
        return {
            "texts": len(self.world.train),
            "student": [self.shape.layers, self.shape.heads, self.shape.width],
            "label_steps": self.label_steps,
            "steps": self.steps,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
        }


@cache
def arena(name: str) -> Arena:
    """ "surnames": a student of 28,000 weights and 100 names. "echo": one of 3,300 weights and 300 texts of a language
    whose every text can be listed.

    Raises:
        ValueError: there is no such arena.
    """
    if name == "surnames":
        world, teacher = surnames().subset(100, seed=0), load_teacher("surnames")
        shape = GPTConfig(vocab_size=teacher.vocab_size, context=world.context, layers=2, heads=2, width=32)
        return Arena(name, world, teacher, shape, label_steps=60, steps=120, measure=_sampled(world, teacher))
    if name == "echo":
        spoken = language("echo")
        shape = GPTConfig(vocab_size=len(spoken.vocabulary), context=spoken.length, layers=1, heads=1, width=16)
        world, teacher = spoken.world(rows=300, seed=0), TabularModel(spoken.logp)
        return Arena(name, world, teacher, shape, label_steps=60, steps=150, measure=_listed(spoken.logp))
    raise ValueError(f"no arena is called {name!r}; expected one of {', '.join(map(repr, ARENAS))}")


ARENAS = ("surnames", "echo")


@cache
def beginner(name: str, seed: int) -> GPT:
    """The student that every cell of this seed begins with. Copy it before training."""
    place = arena(name)
    student = GPT(place.shape, seed=seed)
    distill(
        student, None, place.world, labels_only(), steps=place.label_steps, seed=seed,
        batch_size=place.batch_size, progress=False,
    )  # fmt: skip
    return student


def recipe(divergence: str, fraction: float) -> Recipe:
    """The cell of the grid as a recipe."""
    return gkd(divergence=divergence, beta=BETAS[divergence], on_policy_fraction=fraction)


def train_cell(name: str, divergence: str, fraction: float, seed: int, points: int = POINTS) -> dict[str, Any]:
    """Train one student of the grid.

    Args:
        name: of the arena.
        divergence: of BETAS.
        fraction: λ.
        seed: of the beginner and of everything drawn.
        points: of the learning curve after its start; 0 measures the end alone.

    Returns:
        A run as it stands in the file: where it belongs, `curve` [points + 1, 3] and the texts of the trained student.

    Raises:
        KeyboardInterrupt: training was stopped; a run that is not finished is worth nothing here.
    """
    place = arena(name)
    student = copy.deepcopy(beginner(name, seed))
    curve = [place.measure(student)] if points else []

    def note(model: nn.Module) -> float:
        curve.append(place.measure(model))
        return curve[-1][0]

    result = distill(
        student, place.teacher, place.world, recipe(divergence, fraction), steps=place.steps, seed=seed,
        batch_size=place.batch_size, learning_rate=place.learning_rate, progress=False,
        evaluate=note, evaluate_every=place.steps // max(points, 1),
    )  # fmt: skip
    if result.interrupted:
        raise KeyboardInterrupt
    generator = torch.Generator().manual_seed(seed)
    written = rollout(student, place.world, place.world.prompts(SAMPLES, generator), generator)
    return {
        "world": name,
        "divergence": divergence,
        "on_policy_fraction": fraction,
        "seed": seed,
        "curve": [[round(value, 4) for value in point] for point in curve],
        "samples": place.world.vocabulary.decode(written.tokens),
    }


# ---- the measures ----------------------------------------------------------------------------------------------------


def _listed(teacher: tuple[Float[Tensor, "..."], ...]) -> Measure:
    """All three by adding up over every text of a language."""
    tables, teacher_joint = list(teacher), joint(list(teacher))

    def measure(student: nn.Module) -> tuple[float, float, float]:
        own = conditionals(student, len(tables))
        probability = joint(own).exp()
        surprise = -(probability * teacher_joint.where(probability > 0, 0.0)).sum()
        length = sum(weight.sum() for weight in reach(own))
        return (
            sequence_kl(own, tables).item(),
            sequence_kl(tables, own).item(),
            (surprise / length / log(2)).item(),
        )

    return measure


TEXTS = 512  # that a sampled measure averages over


def _sampled(world: World, teacher: nn.Module) -> Measure:
    """All three from texts: the teacher's, which are the same for all students, and the student's own.

    At each prefix of a drawn text the gap is summed over the whole vocabulary and not sampled, which keeps the noise
    small. The average over prefixes is the sequence's KL by the chain rule.
    """

    def texts_of(model: nn.Module, seed: int) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        return rollout(model, world, world.prompts(TEXTS, generator), generator)

    @torch.no_grad()
    def logp(model: nn.Module, batch: Batch) -> Float[Tensor, "B T V"]:
        return next_token_logp(model, batch.inputs)

    reference = texts_of(teacher, seed=1)
    reference_logp = logp(teacher, reference)

    def a_text(values: Float[Tensor, "B T"], batch: Batch) -> float:
        return values.where(batch.mask, 0.0).sum().item() / len(batch)

    def measure(student: nn.Module) -> tuple[float, float, float]:
        own = texts_of(student, seed=2)
        student_logp, teacher_logp = logp(student, own), logp(teacher, own)
        surprise = -teacher_logp.gather(-1, own.targets[..., None])[..., 0]
        return (
            a_text(forward_kl(logp(student, reference), reference_logp), reference),
            a_text(reverse_kl(student_logp, teacher_logp), own),
            a_text(surprise, own) * len(own) / int(own.mask.sum()) / log(2),
        )

    return measure


# ---- the command -----------------------------------------------------------------------------------------------------


def about() -> dict[str, Any]:
    """The head of the file: what made it."""
    return head(
        "python -m kd_lab.lessons.l06_gkd.experiment",
        seeds=SEEDS,
        measures=MEASURES,
        betas=BETAS,
        worlds={name: arena(name).budget() | {"points": arena(name).points} for name in ARENAS},
    )


def missing(finished: list[dict[str, Any]]) -> Iterator[tuple[str, str, float, int]]:
    """The cells that are not in a list of runs yet, in the order in which they are trained."""
    done = {(run["world"], run["divergence"], run["on_policy_fraction"], run["seed"]) for run in finished}
    yield from (cell for cell in product(ARENAS, BETAS, FRACTIONS, SEEDS) if cell not in done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=GRID)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # students this small gain nothing from a second thread, and sums keep their order
    complete(
        arguments.output, about(), missing, lambda cell: train_cell(*cell),
        name=lambda cell: "{}, {}, λ = {:g}, seed {}".format(*cell),
    )  # fmt: skip


if __name__ == "__main__":
    main()
