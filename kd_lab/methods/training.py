"""The state of a training run, and one step of it."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from kd_lab.arguments import That, checked
from kd_lab.contracts import derive
from kd_lab.methods.objective import Objective
from kd_lab.methods.parallel import Ranks
from kd_lab.methods.recipe import Recipe
from kd_lab.models import HuggingFace
from kd_lab.worlds import Batch, World

Clip = Annotated[float, That("a number above 0, or math.inf for no clipping", lambda norm: norm > 0)]
"""The largest gradient norm that is let through. At 0 nothing would be trained, and below it the loss would climb."""

WARM_UP = 0.1
"""The share of the steps over which the learning rate rises; over the rest it falls to zero along a half cosine."""

COLUMNS = ("step", "loss", "tokens", "seconds", "gradient_norm", "evaluation")


@checked
@dataclass
class Result:
    """The outcome of a training run. The student was trained in place and is here for convenience.

    `history` holds arrays of one length, one entry per step: `step` (from 1), `loss` (nats per counted position),
    `tokens` (counted positions so far), `seconds` (since the start, evaluations left out), `gradient_norm` (before
    clipping) and `evaluation` (the value of `evaluate` after that step, NaN where it was not asked).
    """

    student: nn.Module
    recipe: Recipe
    history: dict[str, np.ndarray]
    interrupted: bool = False  # True after a KeyboardInterrupt: the history ends there and the student is usable


def trainable(student: nn.Module) -> list[nn.Parameter]:
    """The student's parameters that require a gradient, in its own order.

    Raises:
        ValueError: there are none, or one is narrower than fp32, where small steps of AdamW are lost to rounding.
    """
    own = {name: parameter for name, parameter in student.named_parameters() if parameter.requires_grad}
    if not own:
        raise ValueError("no parameter of the student requires a gradient; expected something to train: unfreeze it")
    if narrow := [name for name, parameter in own.items() if parameter.dtype.itemsize < 4]:
        raise ValueError(
            f"{len(narrow)} of the student's {len(own)} trainable parameters are narrower than fp32, such as "
            f"{narrow[0]} in {own[narrow[0]].dtype}; expected fp32 or wider, since small steps of AdamW are lost to "
            "rounding there: write student.float(), with autocast=torch.bfloat16 in distill where both models are to "
            "read in bf16, or freeze the student and train adapters in fp32"
        )
    return list(own.values())


def check_model(role: str, model: nn.Module, world: World) -> None:
    """Refuse a model that does not read and write the world's texts.

    Raises:
        ValueError: it is no language model of the library, or its ids, context or end mark are not the world's.
    """
    missing = [name for name in ("vocab_size", "context", "end", "new_cache") if not hasattr(model, name)]
    if missing:
        raise ValueError(
            f"the {role} is a {type(model).__name__} without {', '.join(missing)}; expected a language model of the "
            "library: wrap a model of transformers as kd_lab.models.HuggingFace(model, tokenizer), and hand over the "
            "module inside a DistributedDataParallel, since distill adds up the gradients itself"
        )
    for part in model.modules():  # also the model inside one that remembers its answers, marks its text or mixes two
        if isinstance(part, HuggingFace):
            part.check_tokenizer(world.vocabulary, role)
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
    if model.end != world.vocabulary.end:
        raise ValueError(
            f"the {role} ends a text with the id {model.end} and the texts of {world.name} end with "
            f"{world.vocabulary.end}; expected the same, or what it writes ends at another token, or nowhere: build it "
            "with end=world.vocabulary.end"
        )


class NonFiniteLoss(FloatingPointError):
    """The loss or its gradient became NaN or infinite.

    `result` is that of the run up to the step before: a `Result` from `distill`, the history from `grpo`.
    """

    def __init__(self, message: str, result: Result | dict[str, np.ndarray]):
        super().__init__(message)
        self.result = result


def warm_up_cosine(step: int, steps: int) -> float:
    """The factor on the learning rate at `step` in 1 … `steps`: linear warm-up, then half a cosine to zero.

    >>> [round(warm_up_cosine(step, 20), 2) for step in (1, 2, 11, 20)]
    [0.5, 1.0, 0.54, 0.01]
    """
    warm_up = max(1, round(WARM_UP * steps))
    if step <= warm_up:
        return step / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up + 1)))


@contextmanager
def own_chance(seed: int, device: torch.device) -> Iterator[None]:
    """Within, the global streams of chance, which dropout reads, start from `seed`; after, they are as they were."""
    streams = [torch.default_generator]
    if device.type in ("cuda", "xpu"):
        streams.append(getattr(torch, device.type).default_generators[device.index])
    elif device.type == "mps":
        streams.append(torch.mps._get_default_mps_generator())
    before = [generator.get_state() for generator in streams]
    try:
        for generator in streams:
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in zip(streams, before, strict=True):
            generator.set_state(state)


class Training:
    """Optimizer, clock and history of one run. It goes on after the steps that its history holds."""

    def __init__(
        self,
        student: nn.Module,
        recipe: Recipe,
        steps: int,
        seed: int,
        batch_size: int,
        accumulate: int,
        learning_rate: float,
        schedule: Callable[[int, int], float],
        clip: float,
        autocast: torch.dtype | None,
    ):
        self.student, self.recipe, self.ranks = student, recipe, Ranks.here()
        self.steps, self.seed, self.batch_size, self.accumulate = steps, seed, batch_size, accumulate
        self.learning_rate, self.schedule, self.clip, self.autocast = learning_rate, schedule, clip, autocast
        self.own = trainable(student)
        self.device = self.own[0].device
        self.history: dict[str, list] = {name: [] for name in COLUMNS}

    def begin(self, teacher: object, world: World) -> None:
        """Bind the recipe, for which a teacher may have to write its texts, and make the optimizer."""
        self.ranks.share_weights(self.student)
        self.objective = Objective.bind(
            self.recipe, self.student, teacher, world, self.seed, self.ranks,
            parts=self.accumulate, autocast=self.autocast,
        )  # fmt: skip
        # the student's parameters may be sharded where a projector is not, and a group must be of one kind
        groups = [{"params": group} for group in (self.own, self.objective.parameters) if group]
        self.optimizer = torch.optim.AdamW(groups, lr=self.learning_rate, weight_decay=0.0)

    @property
    def done(self) -> int:
        """Steps that are complete."""
        return len(self.history["evaluation"])  # the column written last

    def step(self) -> None:
        """Draw, compare, update the weights, and write a row of the history.

        Raises:
            NonFiniteLoss: the weights are as before; on several ranks it is raised on each.
        """
        start, step, ranks = time.perf_counter(), self.done + 1, self.ranks
        batches = self._drawn(step)
        counts = ranks.sum(torch.stack([batch.mask.sum() for batch in batches])).tolist()
        self.student.train()
        self.optimizer.zero_grad()
        with own_chance(derive(self.seed, f"dropout of step {step}, rank {ranks.rank}"), self.device):
            loss = ranks.sum(self._backward(batches, counts))
        ranks.sum_gradients(parameter for group in self.optimizer.param_groups for parameter in group["params"])
        norm = self._clip()
        if not (loss.isfinite() and norm.isfinite()):
            raise NonFiniteLoss(
                f"{self.recipe.name} stopped at step {step}: loss {loss.item():g}, gradient norm {norm.item():g}. "
                f"{self.objective.diagnosis(batches)}. The student keeps its weights from before this step.",
                self.result(),
            )
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * self.schedule(step, self.steps)
        self.optimizer.step()
        tokens, seconds = (self.history[name][-1] if self.done else 0 for name in ("tokens", "seconds"))
        seconds += time.perf_counter() - start
        row = (step, loss.item(), tokens + sum(counts), seconds, norm.item(), float("nan"))
        for name, value in zip(COLUMNS, row, strict=True):
            self.history[name].append(value)

    def _drawn(self, step: int) -> list[Batch]:
        try:
            return self.objective.draw(self.batch_size, self.device)
        except RuntimeError as error:
            if "probability tensor" not in str(error):  # of torch.multinomial
                raise
            raise NonFiniteLoss(
                f"{self.recipe.name} stopped at step {step}: the probabilities with which its text is written are NaN "
                "or infinite: lower learning_rate, or look at the weights that the models came with",
                self.result(),
            ) from error

    def _backward(self, batches: list[Batch], counts: list[int]) -> Float[Tensor, ""]:
        total = torch.zeros((), dtype=torch.float32, device=self.device)
        for loss in self.objective.losses(batches, counts):
            loss.backward()
            total = total + loss.detach()
        return total

    def _clip(self) -> Float[Tensor, ""]:
        """Scale the gradients down to the norm `clip`, and return the norm that they had."""
        norms = []
        for group in self.optimizer.param_groups:
            gradients = [parameter.grad for parameter in group["params"] if parameter.grad is not None]
            norm = nn.utils.get_total_norm(gradients)
            norms.append(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
        norm = norms[0] if len(norms) == 1 else torch.linalg.vector_norm(torch.stack(norms))
        for group in self.optimizer.param_groups:
            nn.utils.clip_grads_with_norm_(group["params"], self.clip, norm)
        return norm

    def result(self, interrupted: bool = False) -> Result:
        """The history of all complete steps."""
        history = {name: np.array(values[: self.done]) for name, values in self.history.items()}
        return Result(self.student, self.recipe, history, interrupted)
