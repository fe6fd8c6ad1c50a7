"""Sums told move by move, in three forms that one base model has learned:

    n4t9=1           "n" for now: the answer at once
    s4t9=21          "s" for steps: every step is written
    21s4t9=21        the solution stands before it: it is copied

The second form is the first with another instruction, the third the second with a hint. So one set of weights can teach
itself: as a teacher it reads the better instruction, or the hint, and as a student it does not.
"""

from functools import cache

import torch
from torch import nn

from kd_lab.methods import Recipe, distill, labels_only
from kd_lab.models import GPT, GPTConfig
from kd_lab.where import rollout
from kd_lab.worlds import Batch, World
from kd_lab.worlds.moves import EQUALS, SYMBOLS, draw_problems, rewards, solve

MOVES_EACH = 4  # of a problem
PROBLEMS, JUDGED = 20_000, 500
OWN_PROBLEMS = 2_000  # that the methods train on
TEXTS, LEARNING_RATE = 64, 3e-3
BASE_ACCURACY, MOST_STEPS, TRIES = 0.4, 800, 5
STEPS = 100

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

    Some weights learn the sums late. A base that is not there after `MOST_STEPS` begins anew with other weights, so
    that all bases are equally good. Copy it before training.

    Raises:
        RuntimeError: none of `TRIES` beginnings got there.
    """
    for attempt in range(TRIES):
        if (student := _base_from(seed + 100 * attempt)) is not None:
            return student
    raise RuntimeError(f"no base of seed {seed} solved {BASE_ACCURACY:.0%} in {TRIES} times {MOST_STEPS} steps")


def _base_from(seed: int) -> GPT | None:
    """The base that these weights become; None if it takes them too long."""
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
    return None


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
    """A model's texts for held-out problems in this form, without instruction and hint: "4t9=21"."""
    place = world_of(form, ["0" * (MOVES_EACH + 1)], held_out)
    prompts = place.held_out.prompts(SYMBOLS.pad)[0]
    tokens = rollout(model, place, prompts, torch.Generator().manual_seed(seed)).tokens
    problem = prompts.shape[1] - MOVES_EACH - 2  # the column of its first digit
    return SYMBOLS.decode(tokens[:, problem:])


def accuracy(model: nn.Module, form: str, held_out: list[str] | None = None) -> float:
    """The share of held-out problems with the right last digit, drawn at temperature 1."""
    return rewards(answers(model, form, held_out)).mean().item()
