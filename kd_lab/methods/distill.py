"""The one training loop: every method of the library runs through it.

>>> from kd_lab.methods import word_level
>>> from kd_lab.models import GPT, GPTConfig, TabularModel
>>> from kd_lab.worlds import language
>>> spoken = language("brackets")
>>> world, teacher = spoken.world(rows=64, seed=0), TabularModel(spoken.logp)
>>> sizes = {"vocab_size": len(world.vocabulary), "context": world.context, "end": world.vocabulary.end}
>>> student = GPT(GPTConfig(**sizes, layers=1, heads=1, width=8))
>>> result = distill(student, teacher, world, word_level(), steps=3, progress=False)
>>> result.history["step"]
array([1, 2, 3])
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from os import PathLike

import torch
from torch import nn
from tqdm.auto import tqdm

from kd_lab.arguments import Positive, checked
from kd_lab.how import SparseTeacher
from kd_lab.methods.checkpoint import Checkpoint
from kd_lab.methods.parallel import Interrupts, Ranks
from kd_lab.methods.recipe import Recipe
from kd_lab.methods.training import Clip, Result, Training, check_model, warm_up_cosine
from kd_lab.models import evaluating
from kd_lab.where import TextTeacher
from kd_lab.worlds import World


@checked
def distill(
    student: nn.Module,
    teacher: nn.Module | TextTeacher | SparseTeacher | None,
    world: World,
    recipe: Recipe,
    *,
    steps: int = 300,
    seed: int = 0,
    batch_size: int = 64,
    accumulate: int = 1,
    learning_rate: Positive = 3e-3,
    schedule: Callable[[int, int], float] = warm_up_cosine,
    clip: Clip = 1.0,
    autocast: torch.dtype | None = None,
    evaluate: Callable[[nn.Module], float] | None = None,
    evaluate_every: int = 50,
    on_step: Callable[[dict[str, float]], None] | None = None,
    checkpoint: str | PathLike[str] | None = None,
    checkpoint_every: int = 50,
    progress: bool = True,
) -> Result:
    """Train `student` in place by `recipe`, with AdamW; under `torchrun` on all processes together.

    Args:
        student: a language model of the library, or `HuggingFace(model, tokenizer)`; it trains in fp32 or fp64.
        teacher: a model; a `TextTeacher` where text is enough, a `SparseTeacher` for `KeptLogits`, or None for labels.
        world: the texts, or the prompts from which student and teacher write.
        recipe: such as `gkd(...)` or `Recipe(name, what, how, where)`.
        steps, seed: updates of the weights; all chance of the training, dropout's too, comes from the seed.
        batch_size: texts per step, over all parts and processes.
        accumulate: forward and backward passes per step, each over its part of the texts.
        learning_rate, schedule: the peak, and the factor on it as a function of step (from 1) and steps.
        clip: the largest gradient norm that is let through; math.inf for no clipping.
        autocast: torch.bfloat16 lets both models read in it; weights, writing and losses keep their own precision.
        evaluate, evaluate_every: called with the student in eval mode after so many steps, and after the last.
        on_step: called with each row of the history.
        checkpoint, checkpoint_every: a folder for the state of the run after so many steps. The same call goes on from
            there, to the same weights bit for bit. It is also written when `evaluate` or `on_step` fails.
        progress: show a bar.

    Returns:
        The history. Ctrl-C (or the stop button) is no error: the run returns early, and the student keeps its weights.

    Raises:
        ValueError: student, teacher, world and recipe do not fit together, a number is out of range, or the checkpoint
            cannot be written or is of another run.
        NonFiniteLoss: loss or gradient is NaN or infinite; says at which step and where it came from.
    """
    positive = {"steps": steps, "evaluate_every": evaluate_every, "checkpoint_every": checkpoint_every}
    _check(student, teacher, world, recipe, batch_size, accumulate, autocast, **positive)
    training = Training(student, recipe, steps, seed, batch_size, accumulate, learning_rate, schedule, clip, autocast)
    kept = None if checkpoint is None else Checkpoint(checkpoint)
    breaks = _Breaks(evaluate, evaluate_every, on_step, kept, checkpoint_every)
    try:
        with evaluating(student), evaluating(teacher) if isinstance(teacher, nn.Module) else nullcontext():
            _train(training, teacher, world, breaks, progress and training.ranks.rank == 0)
        return training.result()
    except KeyboardInterrupt:
        return training.result(interrupted=training.done < steps)


@dataclass(frozen=True)
class _Breaks:
    """The things that are done between two steps."""

    evaluate: Callable[[nn.Module], float] | None
    evaluate_every: int
    on_step: Callable[[dict[str, float]], None] | None
    checkpoint: Checkpoint | None
    checkpoint_every: int

    def __call__(self, training: Training, interrupts: Interrupts) -> None:
        """Call back and save: also where a callback fails, after which its error goes on."""
        failure = None
        with interrupts.held():
            try:
                self._call_back(training)
            except Exception as error:
                failure = error
        failed = interrupts.settle(failure is not None)
        if self.checkpoint is not None and (failed or _due(training, self.checkpoint_every)):
            self.checkpoint.save(training)
        if failure is not None:
            raise failure
        if failed:
            raise RuntimeError(f"evaluate or on_step failed on another process after step {training.done}")

    def _call_back(self, training: Training) -> None:
        if self._evaluates(training):
            training.student.eval()
            training.history["evaluation"][-1] = float(self.evaluate(training.student))
        if self.on_step is not None and training.ranks.rank == 0:
            self.on_step({name: values[-1] for name, values in training.history.items()})

    def _evaluates(self, training: Training) -> bool:
        return self.evaluate is not None and _due(training, self.evaluate_every)

    def is_behind(self, training: Training) -> bool:
        """Whether the last step of a run that goes on is still without its evaluation, which failed before."""
        return training.done > 0 and self._evaluates(training) and math.isnan(training.history["evaluation"][-1])


def _due(training: Training, every: int) -> bool:
    return training.done % every == 0 or training.done == training.steps


def _train(training: Training, teacher: object, world: World, breaks: _Breaks, progress: bool) -> None:
    """Steps until the last, after those that a checkpoint holds."""
    if breaks.checkpoint is not None:
        breaks.checkpoint.begin(training, world)
    training.begin(teacher, world)
    if breaks.checkpoint is not None:
        breaks.checkpoint.load(training)
    bar = tqdm(total=training.steps, initial=training.done, desc=training.recipe.name, leave=False,
               disable=not progress)  # fmt: skip
    with bar, Interrupts(training.ranks, training.device) as interrupts:
        if breaks.is_behind(training):
            breaks(training, interrupts)
        while training.done < training.steps:
            training.step()
            bar.set_postfix_str(f"loss {training.history['loss'][-1]:.3f}", refresh=False)
            bar.update()
            breaks(training, interrupts)


def _check(
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
            check_model(role, model, world)
    recipe.fits(teacher)
