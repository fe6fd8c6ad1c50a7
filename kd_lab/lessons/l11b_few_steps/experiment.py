"""Three ways to one step, and distribution matching by networks: the stored runs of lesson 11b.

    python -m kd_lab.lessons.l11b_few_steps.experiment

trains 5 seeds of every student, about a quarter of an hour on one core, and writes results.json beside this file. Every
finished run is kept at once, so that an interrupted command goes on where it stopped.

All students of one seed begin as the same denoiser, take the same number of steps of Adam, and are measured on the same
noise; so are the runs of distribution matching among themselves.
"""

import argparse
import copy
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from kd_lab.classroom.long_runs import complete, head
from kd_lab.lessons.l11b_few_steps import students
from kd_lab.lessons.l11b_few_steps.energy import energy_distance, modes_kept, shares_of, stray_share
from kd_lab.lessons.l11b_few_steps.generator import CRITIC_STEPS, generate, match
from kd_lab.lessons.l11b_few_steps.matching import (
    FULL,
    GRADIENTS,
    HIGH,
    STARTS,
    TEACHERS,
    modes_with_particles,
    start_of,
    train_particles,
)
from kd_lab.lessons.l11b_few_steps.results import FILE
from kd_lab.worlds.densities import Mixture2D
from kd_lab.worlds.diffusion import NoisyMixture, sample_path

SEEDS = (0, 1, 2, 3, 4)
POINTS = 4_000  # samples behind each number
STEPS = (1, 2, 4, 8, 16, 32)
PATHS, CLOUD = 40, 240  # trajectories and end points that are kept of seed 0, to be drawn

MATCHED = ("one heavy",)  # teachers of distribution matching by networks
ARMS: dict[str, dict[str, Any]] = {
    "all noise levels": {"times": FULL},
    "with regression": {"times": FULL, "regression": 1.0},
}


def measured(x: Float[Tensor, "N 2"], density: Mixture2D) -> dict[str, float]:
    """Energy distance in units of length, and the share of samples that lie far from every mode."""
    return {"energy": round(energy_distance(x, density), 6), "stray": round(stray_share(x, density), 5)}


def noise_of(seed: int) -> Float[Tensor, "N 2"]:
    """The noise on which every student of a seed is measured."""
    return torch.randn(POINTS, 2, generator=torch.Generator().manual_seed(50_000 + seed))


def rounded(points: Float[Tensor, "N 2"]) -> list[list[float]]:
    return [[round(value, 2) for value in point] for point in points.tolist()]


# ---- samplers --------------------------------------------------------------------------------------------------------


def train_samplers(seed: int) -> dict[str, Any]:
    """Every sampler of a seed: sampler → number of steps → what was measured, and for seed 0 what is drawn."""
    density = TEACHERS["eight equal"][0]
    teacher, noise = NoisyMixture(density), noise_of(seed)
    generator = torch.Generator().manual_seed(60_000 + seed)
    exact = [teacher.sample(POINTS, generator) for _ in range(2)]
    beginner = students.denoiser(teacher, seed)
    halved = students.progressive(teacher, beginner, seed=2_000 + 100 * seed)
    consistent = students.consistency(teacher, beginner, seed=3_000 + seed)
    straight = students.endpoint_regression(*students.endpoint_pairs(teacher, seed=80_000 + seed))
    direct = students.fit(copy.deepcopy(beginner), straight, students.BUDGET, seed=4_000 + seed)
    longer = students.fit(copy.deepcopy(beginner), students.denoising(teacher), students.BUDGET, seed=5_000 + seed)
    jumps = {
        n: students.consistency_path(consistent, noise, n, torch.Generator().manual_seed(70_000 + seed)) for n in STEPS
    }
    paths = {
        "teacher": {n: sample_path(teacher.velocity, noise, n) for n in STEPS},
        "beginner": {n: sample_path(beginner, noise, n) for n in STEPS},
        "progressive": {n: sample_path(student, noise, n) for n, student in halved.items()}
        | {32: sample_path(teacher.velocity, noise, 32)},
        "consistency": {n: [noise, *path] for n, path in jumps.items()},
        "straight": {1: sample_path(direct, noise, 1)},
        "denoiser, trained on": {1: sample_path(longer, noise, 1)},
    }
    end = paths["teacher"][32][-1]
    run = {
        "part": "samplers",
        "seed": seed,
        "exact": [measured(x, density) for x in exact],
        "samplers": {
            name: {n: measured(path[-1], density) for n, path in sorted(found.items())} for name, found in paths.items()
        },
        "miss": {
            name: round((paths[name][1][-1] - end).norm(dim=1).median().item(), 5)
            for name in ("progressive", "consistency", "straight")
        },
    }
    if seed == SEEDS[0]:
        drawn = ("teacher", "progressive", "consistency")
        run["paths"] = {
            name: {n: [rounded(points[:PATHS]) for points in path] for n, path in paths[name].items()} for name in drawn
        }
        run["clouds"] = {name: {n: rounded(path[-1][:CLOUD]) for n, path in paths[name].items()} for name in drawn}
    return run


# ---- distribution matching -------------------------------------------------------------------------------------------


def train_matching(name: str, arm: str, seed: int) -> dict[str, Any]:
    """A generator of one step, trained by distribution matching from the denoiser of its teacher."""
    density = TEACHERS[name][0]
    teacher = NoisyMixture(density)
    model = match(teacher, students.denoiser(teacher, seed), seed=6_000 + seed, **ARMS[arm])
    with torch.no_grad():
        x = generate(model, noise_of(seed))
    return {
        "part": "matching",
        "density": name,
        "arm": arm,
        "seed": seed,
        **measured(x, density),
        "modes": modes_kept(x, density),
        "shares": [round(share, 4) for share in shares_of(x, density).tolist()],
    }


LONG = (0, 800, 2_000, 5_000)  # steps of particles that are given time


def train_long(gradient: str) -> dict[str, Any]:
    """Particles that begin on the heavy mode of "one heavy", trained for longer: modes kept at the steps of LONG."""
    density, particles = TEACHERS["one heavy"]
    start = start_of(STARTS[0], density, len(SEEDS), particles, seed=0)
    training = replace((GRADIENTS | HIGH)[gradient], steps=LONG[-1])
    looks = train_particles(density, start, training, seed=0, keep=LONG[:-1])
    return {
        "part": "long",
        "gradient": gradient,
        "seed": 0,
        "kept": [modes_with_particles(look, density).tolist() for look in looks],
    }


# ---- the command -----------------------------------------------------------------------------------------------------


def about() -> dict[str, Any]:
    """The head of the file: what made it."""
    return head(
        "python -m kd_lab.lessons.l11b_few_steps.experiment",
        seeds=SEEDS,
        samples=POINTS,
        batch=students.BATCH,
        adam_steps={"per halving": students.ROUND, "in all": students.BUDGET},
        critic_steps=CRITIC_STEPS,
    )


def tasks() -> Iterator[tuple[tuple[Any, ...], Callable[[], dict[str, Any]]]]:
    """Everything there is to train: what tells it from the others, and a function that does it."""
    for gradient in GRADIENTS | HIGH:
        yield ("long", gradient, 0), lambda gradient=gradient: train_long(gradient)
    for seed in SEEDS:
        yield ("samplers", seed), lambda seed=seed: train_samplers(seed)
    for seed in SEEDS:
        for name in MATCHED:
            for arm in ARMS:
                yield ("matching", name, arm, seed), lambda n=name, a=arm, s=seed: train_matching(n, a, s)


def key_of(run: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(run[field] for field in ("part", "gradient", "density", "arm", "seed") if field in run)


def missing(finished: list[dict[str, Any]]) -> list[tuple[Any, Callable[[], dict[str, Any]]]]:
    """Key and task of what is not in a list of runs yet."""
    done = {key_of(run) for run in finished}
    return [(key, task) for key, task in tasks() if key not in done]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=FILE)
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # networks this small gain nothing from a second thread, and sums keep their order
    complete(arguments.output, about(), missing, lambda task: task[1](), name=lambda task: ", ".join(map(str, task[0])))


if __name__ == "__main__":
    main()
