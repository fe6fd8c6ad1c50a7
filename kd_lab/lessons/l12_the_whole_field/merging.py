"""Two experts of one base become one model: by routing, by mixed labels, by their texts, or by averaging weights.

One expert has gone on with sums that only add, the other with sums that only multiply. Sums that do both, which neither
expert has practised, show whether the merged model has one skill or two.
"""

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.contracts import stream
from kd_lab.lessons.l12_the_whole_field.contexts import timed
from kd_lab.lessons.l12_the_whole_field.forms import (
    JUDGED,
    MOVES_EACH,
    STEPS,
    TOLD,
    accuracy,
    base,
    learn,
    problems,
    world_of,
)
from kd_lab.methods import labels_only, on_policy
from kd_lab.models import generate
from kd_lab.worlds import Batch, World
from kd_lab.worlds.moves import ADDITIONS, FACTORS, SYMBOLS

DOMAINS = ("additions", "multiplications")
EXPERT_STEPS = 150
TRAINED = 1_000  # problems of each domain
FACTOR_IDS = torch.tensor([SYMBOLS.symbols.index(move) for move in FACTORS])


@cache
def domain(name: str) -> tuple[list[str], list[str]]:
    """Held-out and training problems whose moves are all of one kind; they share no problem.

    There are 10 · 3^4 = 810 problems that only multiply, so that 200 of them are held out and 610 left to train on.
    """
    moves = ADDITIONS if name == "additions" else "".join(FACTORS)
    generator = torch.Generator().manual_seed(DOMAINS.index(name))
    if name == "multiplications":
        every = [first + "".join(rest) for first in ADDITIONS for rest in _strings(moves, MOVES_EACH)]
        every = [every[i] for i in torch.randperm(len(every), generator=generator)]
        return every[:200], every[200:]
    drawn = torch.randint(10, (JUDGED + TRAINED, MOVES_EACH + 1), generator=generator).tolist()
    found = list(dict.fromkeys("".join(map(str, row)) for row in drawn))
    return found[:JUDGED], found[JUDGED:]


def _strings(symbols: str, length: int) -> list[str]:
    return [""] if not length else [one + rest for one in symbols for rest in _strings(symbols, length - 1)]


@cache
def both_kinds() -> list[str]:
    """Held-out problems that add and multiply."""
    return [one for one in problems()[0] if 0 < sum(move in FACTORS for move in one[1:]) < MOVES_EACH]


def domain_world(name: str) -> World:
    held_out, train = domain(name)
    return world_of(TOLD, train, held_out)


@cache
def both_worlds() -> World:
    """Both domains, equally many texts of each."""
    parts = [domain_world(name).train for name in DOMAINS]
    count = min(map(len, parts))
    tokens, mask = (torch.cat([getattr(part, name)[:count] for part in parts]) for name in ("tokens", "mask"))
    return replace(domain_world(DOMAINS[0]), name="moves, both domains", train=Batch(tokens, mask))


@cache
def experts(seed: int) -> tuple[nn.Module, nn.Module]:
    """The base after so many more steps in one domain, and in the other."""
    return tuple(
        learn(copy.deepcopy(base(seed)), None, domain_world(name), labels_only(), seed, EXPERT_STEPS)
        for name in DOMAINS
    )


def multiplies(tokens: Int[Tensor, "B T"]) -> Tensor:
    """Which texts hold a move that multiplies, the instruction in the second column left out: its letter is one too."""
    return torch.isin(tokens[:, 2:], FACTOR_IDS).any(1)


class Routed(nn.Module):
    """Two experts as one teacher: each text is read by the one whose domain it is of, and by no other."""

    def __init__(self, adds: nn.Module, multiplies: nn.Module):
        super().__init__()
        self.experts = nn.ModuleList([adds, multiplies])
        self.vocab_size, self.context, self.end = adds.vocab_size, adds.context, adds.end
        self.new_cache = adds.new_cache

    def forward(self, tokens: Int[Tensor, "B T"]) -> Float[Tensor, "B T V"]:
        """Logits of each text by its own expert."""
        second = multiplies(tokens)
        logits = torch.empty(*tokens.shape, self.vocab_size)
        for expert, rows in zip(self.experts, (~second, second), strict=True):
            if rows.any():
                logits[rows] = expert(tokens[rows])
        return logits


def averaged(models: Sequence[nn.Module]) -> nn.Module:
    """The model whose every weight is the mean of theirs."""
    result = copy.deepcopy(models[0])
    states = [model.state_dict() for model in models]
    result.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    return result


def written_by_experts(seed: int) -> World:
    """Both domains with the experts' own answers in place of the right ones."""
    place, parts = both_worlds(), []
    half = len(place.train) // 2
    for expert, rows in zip(experts(seed), (slice(0, half), slice(half, 2 * half)), strict=True):
        prompts = place.train[rows].prompts(SYMBOLS.pad)[0]
        generator = stream(seed, f"expert {rows.start}")
        tokens = generate(expert, prompts, place.context + 1 - prompts.shape[1], generator=generator)
        parts.append(Batch.from_tokens(tokens, prompts.shape[1], end=SYMBOLS.end))
    tokens, mask = (torch.cat([getattr(part, name) for part in parts]) for name in ("tokens", "mask"))
    return replace(place, train=Batch(tokens, mask))


def merging_run(seed: int) -> dict[str, object]:
    """Accuracy on additions, on multiplications and on problems that hold both, and seconds, of each way to merge."""
    adds, times = experts(seed)

    def from_base(place: World, steps: int = STEPS, routed: bool = False) -> nn.Module:
        recipe, teacher = (on_policy(), Routed(adds, times)) if routed else (labels_only(), None)
        return learn(copy.deepcopy(base(seed)), teacher, place, recipe, seed, steps)

    models = {
        "base": lambda: base(seed),
        "expert in additions": lambda: adds,
        "expert in multiplications": lambda: times,
        "routed, on-policy": lambda: from_base(both_worlds(), routed=True),
        "their texts": lambda: from_base(written_by_experts(seed)),
        "mixed labels": lambda: from_base(both_worlds()),
        "mixed labels, the experts' steps too": lambda: from_base(both_worlds(), STEPS + 2 * EXPERT_STEPS),
        "average of weights": lambda: averaged((adds, times)),
    }
    return {"ways": {label: timed(make, marks) for label, make in models.items()}}


def marks(model: nn.Module) -> list[float]:
    """Accuracy on each domain's held-out problems, and on those that hold both kinds of move."""
    asked = (domain("additions")[0], domain("multiplications")[0], both_kinds())
    return [round(accuracy(model, TOLD, some), 4) for some in asked]
