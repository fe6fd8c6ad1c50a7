"""The one training loop: every method of the library runs through it."""

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from kd_lab.methods.recipe import Recipe
from kd_lab.models import evaluating
from kd_lab.what import Signal
from kd_lab.where import TextTeacher
from kd_lab.worlds import Batch, World

WARM_UP = 0.1
"""The share of the steps over which the learning rate rises; over the rest it falls to zero along a half cosine."""


@dataclass
class Result:
    """What a training run leaves behind. The student was trained in place and is here for convenience.

    `history` holds arrays of one length, an entry a step: `step` (from 1), `loss` (nats a counted position),
    `tokens` (counted positions so far), `seconds` (since the start, evaluations left out), `gradient_norm` (before
    clipping) and `evaluation` (what `evaluate` returned after that step, NaN where it was not asked).
    """

    student: nn.Module
    recipe: Recipe
    history: dict[str, np.ndarray]
    interrupted: bool = False  # True after a KeyboardInterrupt: the history ends there and the student is usable


class NonFiniteLoss(FloatingPointError):
    """The loss or its gradient became NaN or infinite. `result` holds the student as it was before that step."""

    def __init__(self, message: str, result: Result):
        super().__init__(message)
        self.result = result


def distill(
    student: nn.Module,
    teacher: nn.Module | TextTeacher | None,
    world: World,
    recipe: Recipe,
    *,
    steps: int = 300,
    seed: int = 0,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    clip: float = 1.0,
    evaluate: Callable[[nn.Module], float] | None = None,
    evaluate_every: int = 50,
    progress: bool = True,
) -> Result:
    """Train `student` in place by `recipe`, with AdamW, warm-up and a cosine to zero.

    Args:
        student: any model of the library (`[B, T]` tokens to `[B, T, V]` logits) with trainable parameters.
        teacher: a model, a `TextTeacher` where text is enough, or None where the recipe needs no teacher.
        world: the texts, or the prompts from which student and teacher write.
        recipe: three choices, such as `gkd(...)` or `Recipe(name, what, how, where)`.
        steps: updates of the weights.
        seed: of everything that is drawn while training; the student's own initialisation is the caller's.
        batch_size: texts a step.
        learning_rate: the peak of the schedule.
        clip: the largest gradient norm that is let through.
        evaluate: called with the student in eval mode after every `evaluate_every` steps and after the last.
        progress: show a bar.

    Returns:
        The history, and whether an interrupt ended it early. Ctrl-C (or the stop button) is no error: what was learned
        so far is kept and returned.

    Raises:
        ValueError: student, teacher, world and recipe do not fit together, or a number is out of range.
        NonFiniteLoss: loss or gradient is NaN or infinite; says at which step and where it came from.

    >>> from kd_lab.methods import word_level
    >>> from kd_lab.models import GPT, GPTConfig, TabularModel
    >>> from kd_lab.worlds import language
    >>> spoken = language("brackets")
    >>> world, teacher = spoken.world(rows=64, seed=0), TabularModel(spoken.logp)
    >>> student = GPT(GPTConfig(vocab_size=len(spoken.vocabulary), context=world.context, layers=1, heads=1, width=8))
    >>> result = distill(student, teacher, world, word_level(), steps=3, progress=False)
    >>> result.history["step"]
    array([1, 2, 3])
    """
    _check(student, teacher, world, recipe, steps=steps, batch_size=batch_size, evaluate_every=evaluate_every)
    training = _Training(student, recipe, recipe.what.open(student, teacher, seed), learning_rate, clip, steps)
    bar = tqdm(total=steps, desc=recipe.name, disable=not progress, leave=False)
    interrupted = False
    try:
        with bar, evaluating(student), evaluating(teacher) if isinstance(teacher, nn.Module) else nullcontext():
            draw = recipe.where.bind(world, student, teacher, seed)
            for step in range(1, steps + 1):
                training.step(step, draw, batch_size)
                if evaluate is not None and (step % evaluate_every == 0 or step == steps):
                    student.eval()
                    training.history["evaluation"][-1] = float(evaluate(student))
                bar.update()
                bar.set_postfix_str(f"loss {training.history['loss'][-1]:.3f}", refresh=False)
    except KeyboardInterrupt:
        interrupted = True
    return training.result(interrupted)


@dataclass
class _Training:
    """The state of one run: optimiser, schedule, clock and history."""

    student: nn.Module
    recipe: Recipe
    signal: Signal
    learning_rate: float
    clip: float
    steps: int
    seconds: float = 0.0
    tokens: int = 0
    history: dict[str, list] = field(default_factory=lambda: {name: [] for name in _COLUMNS})

    def __post_init__(self):
        own = [parameter for parameter in self.student.parameters() if parameter.requires_grad]
        self.parameters = [*own, *self.signal.parameters]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=self.learning_rate, weight_decay=0.0)
        self.device = self.parameters[0].device

    def step(self, step: int, draw: Callable[[int], Batch], batch_size: int) -> None:
        start = time.perf_counter()
        batch = draw(batch_size).to(self.device)
        self.student.train()
        loss = self.recipe.how(*self.signal.read(batch), batch)
        self.optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters, self.clip)
        if not (loss.isfinite() and norm.isfinite()):
            raise NonFiniteLoss(self._reason(step, batch, loss, norm), self.result(interrupted=False))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * _schedule(step, self.steps)
        self.optimizer.step()
        self.seconds += time.perf_counter() - start
        self.tokens += int(batch.mask.sum())
        row = (step, loss.item(), self.tokens, self.seconds, norm.item(), float("nan"))
        for name, value in zip(_COLUMNS, row, strict=True):
            self.history[name].append(value)

    def _reason(self, step: int, batch: Batch, loss: Tensor, norm: Tensor) -> str:
        with torch.no_grad():
            student_signal, teacher_signal = self.signal.read(batch)
        if _has_nan(student_signal):
            reason = "the student's own output is NaN: lower learning_rate, or look at the weights that it came with"
        elif _has_nan(teacher_signal):
            reason = "the teacher's output is NaN: look at its weights"
        elif loss.isinf():
            reason = (
                f"{self.recipe.how} is infinite: one side gives probability zero where the other does not; "
                "use JSD or skew KL, which stay finite, or a teacher without zeros"
            )
        else:
            reason = f"outputs are finite and {self.recipe.how} or its gradient is not: lower learning_rate"
        return (
            f"{self.recipe.name} stopped at step {step}: loss {loss.item():g}, gradient norm {norm.item():g}. "
            f"{reason}. The student keeps its weights from before this step."
        )

    def result(self, interrupted: bool) -> Result:
        length = len(
            self.history["evaluation"]
        )  # the column written last: a step cut off half-way leaves no ragged end
        history = {name: np.array(values[:length]) for name, values in self.history.items()}
        return Result(self.student, self.recipe, history, interrupted)


_COLUMNS = ("step", "loss", "tokens", "seconds", "gradient_norm", "evaluation")


def _has_nan(signal: Tensor | tuple) -> bool:
    return any(map(_has_nan, signal)) if isinstance(signal, tuple) else bool(signal.isnan().any())


def _schedule(step: int, steps: int) -> float:
    """The factor on the learning rate at `step` in 1 … `steps`: linear warm-up, then half a cosine."""
    warm_up = max(1, round(WARM_UP * steps))
    if step <= warm_up:
        return step / warm_up
    return 0.5 * (1 + np.cos(np.pi * (step - warm_up) / (steps - warm_up + 1)))


def _check(student: nn.Module, teacher: object, world: World, recipe: Recipe, **positive: int) -> None:
    for name, value in positive.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; expected at least 1")
    recipe.fits(teacher)
    if not any(parameter.requires_grad for parameter in student.parameters()):
        raise ValueError("no parameter of the student requires a gradient; expected something to train: unfreeze it")
    for role, model in (("student", student), ("teacher", teacher)):
        if not isinstance(model, nn.Module):
            continue
        if model.vocab_size != len(world.vocabulary):
            raise ValueError(
                f"the {role} has a vocabulary of {model.vocab_size} and the world {world.name} of "
                f"{len(world.vocabulary)}; expected the same ids on both: build it with "
                "vocab_size=len(world.vocabulary)"
            )
        if model.context < world.context:
            raise ValueError(
                f"the {role} reads {model.context} tokens and the texts of {world.name} have up to {world.context}; "
                "expected a context at least as long: build the model with context=world.context"
            )
