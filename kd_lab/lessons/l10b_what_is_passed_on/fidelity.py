"""Students that are equally often right about names, and differ in what they took from the teacher."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.contracts import Cache, stream
from kd_lab.how import forward_kl
from kd_lab.measure import agreement, calibration_error
from kd_lab.methods import Recipe, distill, labels_only, word_level
from kd_lab.models import GPT, GPTConfig, load_teacher, next_token_logp
from kd_lab.worlds import Batch, World, surnames

STEPS = 300
CERTAIN = 30.0  # by which logits are multiplied so that softmax gives the likeliest token nearly everything
READ = 500  # texts behind each measure


class Certain(nn.Module):
    """A teacher that shows its likeliest next token and nothing else, as an endpoint that answers greedily does."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.vocab_size, self.context, self.end = model.vocab_size, model.context, model.end

    def new_cache(self, batch_size: int, length: int) -> Cache:
        """The model's own."""
        return self.model.new_cache(batch_size, length)

    def forward(self, tokens: Int[Tensor, "B T"], cache: Cache | None = None) -> Float[Tensor, "B T V"]:
        return CERTAIN * self.model(tokens, cache=cache)


STUDENTS: dict[str, tuple[Recipe, Callable[[nn.Module], nn.Module | None]]] = {
    "labels": (labels_only(), lambda teacher: None),
    "mimic": (word_level(), Certain),
    "distilled": (word_level(), lambda teacher: teacher),
}
"""Recipe, and how the teacher appears to it: not at all, with its likeliest token, or whole."""

MEASURES = ("accuracy", "agreement", "kl", "calibration")
"""Shares of right next letters and of equal likeliest letters; KL(p‖q) in nats per position; calibration error."""


def prompts_of(world: World) -> dict[str, Batch]:
    """Texts to be read on: names of the training set, held-out names, and letters in random order."""
    shuffled = torch.randint(1, len(world.vocabulary), (READ, world.context + 1), generator=stream(0, "random letters"))
    shuffled[:, 0] = world.vocabulary.end
    chosen = torch.randperm(len(world.train), generator=stream(0, "training names"))[:READ]
    return {
        "training": world.train[chosen],
        "held-out": world.held_out[slice(READ)],
        "random letters": Batch(shuffled, torch.ones_like(shuffled[:, 1:], dtype=torch.bool)),
    }


@torch.no_grad()
def measured(student: nn.Module, teacher: nn.Module, batch: Batch) -> list[float]:
    """One number per entry of MEASURES."""
    student_logp, teacher_logp = (next_token_logp(one, batch.inputs)[batch.mask] for one in (student, teacher))
    right = (student_logp.argmax(-1) == batch.targets[batch.mask]).float().mean().item()
    gap = forward_kl(student_logp, teacher_logp).mean().item()
    return [right, agreement(student, teacher, batch), gap, calibration_error(student, batch)]


def compare(seed: int) -> dict:
    """Train the three students of one seed; a table of measures per student and kind of prompt."""
    world, teacher = surnames(), load_teacher("surnames")
    prompts = prompts_of(world)
    shape = GPTConfig(len(world.vocabulary), world.context, layers=2, heads=2, width=32)
    found = {}
    for label, (recipe, shown) in STUDENTS.items():
        student = GPT(shape, seed=seed)
        distill(student, shown(teacher), world, recipe, steps=STEPS, seed=seed, batch_size=64, progress=False)
        found[label] = student
    table = {
        label: {kind: [round(x, 5) for x in measured(student, teacher, batch)] for kind, batch in prompts.items()}
        for label, student in found.items()
    }
    return {"seed": seed, "students": table}
