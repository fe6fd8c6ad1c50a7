"""A teacher that reads more than its student: an instruction, or the solution of the problem.

The world is sums told move by move. One base model has learned three forms:

    n4t9=1           "n" for now: the answer at once
    s4t9=21          "s" for steps: every step is written
    21s4t9=21        the solution stands before it: it is copied

The second form is the first with another instruction, the third the second with a hint. So one set of weights can teach
itself: whoever reads the better instruction, or the hint, is the teacher.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.contracts import Access, Kind, Signal, stream
from kd_lab.how import Divergence, forward_kl
from kd_lab.methods import Recipe, distill, labels_only
from kd_lab.models import GPT, GPTConfig, generate, next_token_logp
from kd_lab.where import StudentRollouts, rollout
from kd_lab.worlds import Batch, World
from kd_lab.worlds.moves import EQUALS, FACTS, MOVES, SYMBOLS, draw_problems, rewards, solve

MOVES_EACH = 4  # of a problem
PROBLEMS, JUDGED = 20_000, 500
OWN_PROBLEMS = 2_000  # that the methods train on
TEXTS, LEARNING_RATE = 64, 3e-3
BASE_ACCURACY, MOST_STEPS = 0.4, 800
STEPS = 150

PLAIN, TOLD, HINTED = "plain", "told", "hinted"
FORMS = (PLAIN, TOLD, HINTED)
SHARES = (PLAIN, TOLD, TOLD, TOLD, HINTED)
"""The forms of five texts of the base."""

NOW, IN_STEPS = "n", "s"
IN_STEPS_ID = SYMBOLS.symbols.index(IN_STEPS)


# ---- texts -----------------------------------------------------------------------------------------------------------


def texts(problems: list[str], form: str) -> tuple[list[str], list[str]]:
    """Prompts and answers of problems in one of the FORMS.

    >>> texts(["4t9"], "hinted")
    (['21s4t9='], ['21'])
    """
    traces = [solve(problem) for problem in problems]
    before = {PLAIN: lambda trace: NOW, TOLD: lambda trace: IN_STEPS, HINTED: lambda trace: trace + IN_STEPS}[form]
    prompts = [before(trace) + problem + EQUALS for problem, trace in zip(problems, traces, strict=True)]
    return prompts, [trace[-1] if form == PLAIN else trace for trace in traces]


def width(form: str) -> int:
    """Columns of a text in this form with all its steps: the mark, the prompt, the trace and the end."""
    return len(texts(["0" * (MOVES_EACH + 1)], form)[0][0]) + MOVES_EACH + 2


def batch_of(prompts: list[str], answers: list[str], columns: int) -> Batch:
    tokens = SYMBOLS.encode(map("".join, zip(prompts, answers, strict=True)))
    tokens = torch.nn.functional.pad(tokens, (0, columns - tokens.shape[1]), value=SYMBOLS.pad)
    return Batch.from_tokens(tokens, torch.tensor([len(prompt) + 1 for prompt in prompts]), end=SYMBOLS.end)


@cache
def problems() -> tuple[list[str], list[str]]:
    """Those that are held out, and those to train on."""
    drawn = draw_problems(JUDGED + PROBLEMS, torch.Generator().manual_seed(0), MOVES_EACH)
    return drawn[:JUDGED], drawn[JUDGED:]


def world_of(form: str, train: list[str] | None = None, held_out: list[str] | None = None) -> World:
    """Problems in one form; by default the ones that the methods train on."""
    train, held_out = train or problems()[1][:OWN_PROBLEMS], held_out or problems()[0]
    columns = width(form)
    return World(f"moves, {form}", SYMBOLS, *(batch_of(*texts(some, form), columns) for some in (train, held_out)))


@cache
def base_world() -> World:
    """All problems: three fifths in steps, a fifth at once, a fifth with the solution to copy."""
    held_out, train = problems()
    mixed = [texts(train[i :: len(SHARES)], form) for i, form in enumerate(SHARES)]
    prompts, answers = ([text for part in parts for text in part] for parts in zip(*mixed, strict=True))
    shown = batch_of(*texts(held_out, HINTED), width(HINTED))
    return World("moves, three forms", SYMBOLS, batch_of(prompts, answers, width(HINTED)), shown)


class _Reached(Exception):
    """The base writes as well as it should."""


@cache
def base(seed: int) -> GPT:
    """One layer of width 64, 54,000 weights, stopped as soon as it solves `BASE_ACCURACY` of the problems, told how.

    Copy it before training.

    Raises:
        RuntimeError: it did not get there.
    """
    student = GPT(GPTConfig(len(SYMBOLS), width(HINTED) - 1, layers=1, heads=4, width=64), seed=seed)

    def look(model: nn.Module) -> float:
        if (reached := accuracy(model, TOLD, problems()[0][:200])) >= BASE_ACCURACY:
            raise _Reached
        return reached

    try:
        distill(
            student, None, base_world(), labels_only(), steps=MOST_STEPS, seed=seed, batch_size=TEXTS,
            learning_rate=LEARNING_RATE, schedule=_flat, progress=False, evaluate=look, evaluate_every=10,
        )  # fmt: skip
    except _Reached:
        return student
    raise RuntimeError(f"the base of seed {seed} did not solve {BASE_ACCURACY:.0%} in {MOST_STEPS} steps")


def _flat(step: int, steps: int) -> float:
    return min(1.0, step / 20)


def learn(
    student: nn.Module, teacher: nn.Module | None, place: World, recipe: Recipe, seed: int, steps: int = STEPS
) -> nn.Module:
    """The one budget of this world: so many steps of `TEXTS` texts.

    Raises:
        KeyboardInterrupt: training was stopped.
    """
    result = distill(
        student, teacher, place, recipe, steps=steps, seed=seed, batch_size=TEXTS,
        learning_rate=LEARNING_RATE, progress=False,
    )  # fmt: skip
    if result.interrupted:
        raise KeyboardInterrupt
    return student


def answers(model: nn.Module, form: str, held_out: list[str] | None = None, seed: int = 1) -> list[str]:
    """What a model writes for held-out problems in this form, without instruction and hint: "4t9=21"."""
    some = held_out or problems()[0]
    prompts = world_of(form, some, some).held_out.prompts(SYMBOLS.pad)[0]
    tokens = rollout(model, world_of(form, some, some), prompts, torch.Generator().manual_seed(seed)).tokens
    problem = prompts.shape[1] - MOVES_EACH - 2  # the column of its first digit
    return SYMBOLS.decode(tokens[:, problem:])


def accuracy(model: nn.Module, form: str, held_out: list[str] | None = None) -> float:
    """The share of held-out problems with the right last digit, drawn at temperature 1."""
    return rewards(answers(model, form, held_out)).mean().item()


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
        """What the teacher reads where the student reads `inputs`."""
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
