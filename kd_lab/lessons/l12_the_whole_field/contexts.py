"""A teacher that reads more than its student: a better instruction, or the solution of the problem.

The teacher is the student itself, frozen as it was at the beginning. See `forms.py` for the three forms of a problem.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.contracts import Access, Kind, Signal, stream
from kd_lab.how import Divergence, forward_kl
from kd_lab.lessons.l12_the_whole_field.forms import (
    HINTED,
    IN_STEPS_ID,
    MOVES_EACH,
    NOW,
    PLAIN,
    TOLD,
    answers,
    base,
    learn,
    world_of,
)
from kd_lab.methods import Recipe, labels_only
from kd_lab.models import generate, next_token_logp
from kd_lab.where import StudentRollouts, rollout
from kd_lab.worlds import Batch
from kd_lab.worlds.moves import EQUALS, FACTS, MOVES, SYMBOLS, rewards

# ---- a WHAT whose teacher reads more ---------------------------------------------------------------------------------

TABLE = torch.tensor([[FACTS[digit, move] for move in MOVES] for digit in range(10)])
FIRST_DIGIT = SYMBOLS.symbols.index("0")


def solutions(asked: Int[Tensor, "B M"]) -> Int[Tensor, "B m"]:
    """The ids of the traces of problems, given as ids: a digit and its moves."""
    digit, trace = asked[:, 0] - FIRST_DIGIT, []
    for move in asked[:, 1:].unbind(1):
        digit = TABLE[digit, move - FIRST_DIGIT]
        trace.append(digit + FIRST_DIGIT)
    return torch.stack(trace, 1)


CONTEXTS = ("nothing", "instruction", "solution", "another's solution")


@dataclass(frozen=True)
class InContext:
    """Logits at the same tokens, of a teacher that has read something else before the problem.

    A solution stands between the mark that begins a text and the rest, so that position t of the student is position
    t + k of the teacher, k being the number of ids that were put in.
    """

    reads: str = "solution"
    gives: ClassVar[Kind] = "distributions"
    needs: ClassVar[Access] = "logits"

    def __post_init__(self):
        if self.reads not in CONTEXTS:
            raise ValueError(f"reads is {self.reads!r}; expected one of {', '.join(map(repr, CONTEXTS))}")

    def __str__(self) -> str:
        return f"logits, teacher reads {self.reads}"

    def shown(self, inputs: Int[Tensor, "B T"]) -> Int[Tensor, "B U"]:
        """The ids that the teacher reads where the student reads `inputs`."""
        mark, rest = inputs[:, :1], inputs[:, 1:]
        if self.reads == "nothing":
            return inputs
        if self.reads == "instruction":
            return torch.cat([mark, torch.full_like(mark, IN_STEPS_ID), rest[:, 1:]], 1)
        solved = solutions(rest[:, 1 : 2 + MOVES_EACH])
        return torch.cat([mark, solved if self.reads == "solution" else solved.roll(1, 0), rest], 1)

    def bind(self, student: nn.Module, teacher: nn.Module, seed: int) -> Signal:
        """A reader of both models' logits at the tokens that the student reads."""

        def read(batch: Batch) -> tuple[Float[Tensor, "B T V"], Float[Tensor, "B T V"]]:
            with torch.no_grad():
                logits = teacher(self.shown(batch.inputs))
            return student(batch.inputs), logits[:, -batch.inputs.shape[1] :]

        return Signal(read)


def self_distillation(reads: str, divergence: str = "reverse_kl") -> Recipe:
    """On-policy distillation from a teacher that reads more; pass the frozen student itself as the teacher."""
    return Recipe("self-distillation", InContext(reads), Divergence(divergence), StudentRollouts())


# ---- the ways --------------------------------------------------------------------------------------------------------


def taught(seed: int, form: str, reads: str) -> nn.Module:
    """A copy of the base after on-policy self-distillation in a form, from the base with a context."""
    student = copy.deepcopy(base(seed))
    return learn(student, base(seed), world_of(form), self_distillation(reads), seed)


def read_off(seed: int) -> nn.Module:
    """A copy of the base after reading, without the instruction, what the base wrote with it: off-policy."""
    place = world_of(TOLD)
    prompts = place.train.prompts(SYMBOLS.pad)[0]
    tokens = generate(base(seed), prompts, place.context + 1 - prompts.shape[1], generator=stream(seed, "read off"))
    tokens[:, 1] = SYMBOLS.symbols.index(NOW)  # the student reads the other instruction
    train = Batch.from_tokens(tokens, prompts.shape[1], end=SYMBOLS.end)
    return learn(copy.deepcopy(base(seed)), None, replace(world_of(PLAIN), train=train), labels_only(), seed)


def shown_solutions(seed: int) -> nn.Module:
    """A copy of the base after reading the solutions themselves: labels, the same problems, the same steps."""
    return learn(copy.deepcopy(base(seed)), None, world_of(TOLD), labels_only(), seed)


def instruction_run(seed: int) -> dict[str, object]:
    """Context distillation: accuracy without the instruction, digits per answer and seconds, of each way."""
    models = {
        "base": lambda: base(seed),
        "on-policy": lambda: taught(seed, PLAIN, "instruction"),
        "off-policy": lambda: read_off(seed),
        "no instruction": lambda: taught(seed, PLAIN, "nothing"),
    }
    found = {label: timed(make, lambda model: reading(model, PLAIN)) for label, make in models.items()}
    return {"ways": found | {"base, told": [*reading(base(seed), TOLD), 0.0]}}


def solution_run(seed: int) -> dict[str, object]:
    """Privileged self-distillation: accuracy without a hint, digits per answer, how far the model moved, and seconds.

    Moved is measured where nothing was trained: the KL from the base's answers at once to the model's, in nats per
    answer.
    """
    models = {
        "base": lambda: base(seed),
        "own solution": lambda: taught(seed, TOLD, "solution"),
        "another's solution": lambda: taught(seed, TOLD, "another's solution"),
        "nothing": lambda: taught(seed, TOLD, "nothing"),
        "solutions as labels": lambda: shown_solutions(seed),
    }
    found = {
        label: timed(make, lambda model: [*reading(model, TOLD), moved(model, seed)]) for label, make in models.items()
    }
    return {"ways": found | {"base, hinted": [*reading(base(seed), HINTED), 0.0, 0.0]}}


def timed(make: Callable[[], nn.Module], read: Callable[[nn.Module], list[float]]) -> list[float]:
    """The marks of a model, and after them the processor seconds that making it took."""
    began = time.process_time()
    model = make()
    seconds = time.process_time() - began
    return [*read(model), round(seconds, 2)]


def reading(model: nn.Module, form: str) -> list[float]:
    """Accuracy, and digits per answer."""
    written = answers(model, form)
    digits = sum(len(text.partition(EQUALS)[2]) for text in written) / len(written)
    return [round(rewards(written).mean().item(), 4), round(digits, 3)]


@torch.no_grad()
def moved(model: nn.Module, seed: int) -> float:
    """KL from the base to the model over answers at once, in nats per answer, on the base's own answers."""
    place = world_of(PLAIN)
    prompts = place.held_out.prompts(SYMBOLS.pad)[0]
    batch = rollout(base(seed), place, prompts, torch.Generator().manual_seed(1))
    before, after = (next_token_logp(one, batch.inputs) for one in (base(seed), model))
    return round(forward_kl(after, before).where(batch.mask, 0.0).sum().item() / len(batch), 4)
