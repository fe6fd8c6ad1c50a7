"""The price of a training step where the student has to write first: on-policy against off-policy, in one run.

python -m kd_lab.bench.methods
"""

import argparse
from collections.abc import Callable
from statistics import median

from kd_lab.methods import Recipe, minillm, on_policy, word_level
from kd_lab.methods.distill import distill
from kd_lab.models import GPT, GPTConfig, load_teacher
from kd_lab.worlds import surnames


def seconds_per_step(recipe: Recipe, steps: int) -> float:
    """Median seconds of a step of a 28K student under the surname teacher, 64 names per batch."""
    world = surnames()
    shape = GPTConfig(vocab_size=len(world.vocabulary), context=world.context, layers=2, heads=2, width=32)
    result = distill(GPT(shape, seed=0), load_teacher("surnames"), world, recipe, steps=steps, progress=False)
    elapsed = result.history["seconds"]
    return median(elapsed[i] - elapsed[i - 1] for i in range(1, steps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    methods: list[Callable[[], Recipe]] = [word_level, on_policy, minillm]
    rounds = [[seconds_per_step(method(), arguments.steps) for method in methods] for _ in range(arguments.rounds)]
    print("seconds of a training step, student 28K, teacher 0.8M, 64 surnames per batch")
    for column, method in enumerate(methods):
        own = median(row[column] for row in rounds)
        ratio = median(row[column] / row[0] for row in rounds)
        print(f"  {method().name:<14} {own * 1000:7.1f} ms   {ratio:5.2f} × word-level")


if __name__ == "__main__":
    main()
