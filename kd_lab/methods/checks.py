"""The fit of student, teacher, world and recipe, looked at before anything moves."""

import torch
from torch import nn

from kd_lab.methods.parallel import Ranks
from kd_lab.methods.recipe import Recipe
from kd_lab.models import HuggingFace
from kd_lab.worlds import World


def check(
    student: nn.Module,
    teacher: object,
    world: World,
    recipe: Recipe,
    batch_size: int,
    accumulate: int,
    autocast: torch.dtype | None,
    **positive: int,
) -> None:
    """Refuse a run that cannot be right.

    Raises:
        ValueError: saying what is wrong, what came, what was expected and how to fix it.
    """
    for name, value in {"batch_size": batch_size, "accumulate": accumulate, **positive}.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; expected at least 1")
    ranks = Ranks.here().size
    if batch_size % ranks or batch_size // ranks < accumulate:
        raise ValueError(
            f"batch_size is {batch_size} for {ranks} processes and accumulate={accumulate}; expected a multiple of "
            f"{ranks} with at least {ranks * accumulate} texts, since each process takes its share in as many parts"
        )
    if autocast not in (None, torch.bfloat16):
        raise ValueError(
            f"autocast is {autocast}; expected torch.bfloat16 or None: gradients in float16 vanish without a loss "
            "scale, which this loop has not"
        )
    for role, model in (("student", student), ("teacher", teacher)):
        if role == "student" or isinstance(model, nn.Module):
            _check_model(role, model, world)
    recipe.fits(teacher)
    if not any(parameter.requires_grad for parameter in student.parameters()):
        raise ValueError("no parameter of the student requires a gradient; expected something to train: unfreeze it")


def _check_model(role: str, model: nn.Module, world: World) -> None:
    missing = [name for name in ("vocab_size", "context", "new_cache") if not hasattr(model, name)]
    if missing:
        raise ValueError(
            f"the {role} is a {type(model).__name__} without {', '.join(missing)}; expected a language model of the "
            "library: wrap a model of transformers as kd_lab.models.HuggingFace(model, tokenizer), and hand over the "
            "module inside a DistributedDataParallel, since distill adds up the gradients itself"
        )
    if isinstance(model, HuggingFace):
        model.check_tokenizer(world.vocabulary, role)
    if model.vocab_size != len(world.vocabulary):
        raise ValueError(
            f"the {role} has a vocabulary of {model.vocab_size} and the world {world.name} of "
            f"{len(world.vocabulary)}; expected the same ids on both: build it with vocab_size=len(world.vocabulary)"
        )
    if model.context < world.context:
        raise ValueError(
            f"the {role} reads {model.context} tokens and the texts of {world.name} have up to {world.context}; "
            "expected a context at least as long: build the model with context=world.context"
        )
