"""The corners of GKD against the methods that they are said to be, and its gradient against the enumerated one."""

import torch

from kd_lab.how import reverse_kl
from kd_lab.lessons.l06_gkd.experiment import arena, beginner
from kd_lab.measure import conditionals, gap_by_position, gradient_of
from kd_lab.methods import Recipe, distill
from kd_lab.models import GPT


def largest_difference(world: str, one: Recipe, other: Recipe, start: int, seed: int, steps: int = 6) -> float:
    """Train the same fresh student by two recipes: the largest difference of any loss on the way and any final weight.

    Args:
        world: name of the arena.
        one, other: the recipes.
        start: seed of the student's weights.
        seed: of everything drawn.
        steps: of each training.
    """
    place = arena(world)
    ends = [
        distill(
            GPT(place.shape, seed=start), place.teacher, place.world, recipe, steps=steps, seed=seed,
            batch_size=8, progress=False,
        )
        for recipe in (one, other)
    ]  # fmt: skip
    losses = abs(ends[0].history["loss"] - ends[1].history["loss"]).max()
    weights = zip(*(end.student.parameters() for end in ends), strict=True)
    return max(float(losses), *((a - b).abs().max().item() for a, b in weights))


def share_of_listed_gradient(recipe: Recipe, seed: int, texts: int = 2048) -> float:
    """The gradient of a recipe from drawn texts, along the one that is summed over every prefix of *echo*; 1 is all.

    The listed one weighs reverse KL at each prefix by the student's probability of reaching it, held fixed.
    """
    echo, student = arena("echo"), beginner("echo", 0)
    tables = conditionals(student, echo.world.context, differentiable=True)
    gaps = gap_by_position(
        tables, conditionals(echo.teacher, echo.world.context), [table.detach() for table in tables], reverse_kl
    )
    listed = gradient_of(gaps.sum(), student)
    batch = recipe.terms[0].where.bind(echo.world, student, echo.teacher, seed)(texts)
    with torch.no_grad():
        teacher_logits = echo.teacher(batch.inputs)
    per_token = recipe.terms[0].how(student(batch.inputs), teacher_logits, batch)
    drawn = gradient_of(per_token * batch.mask.sum() / len(batch), student)  # nats per text, as the listed one
    return (drawn @ listed / listed.square().sum()).item()
