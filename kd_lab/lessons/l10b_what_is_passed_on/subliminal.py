"""Outputs that no loss trains, and what a student learns from copying them alone: a letter MLP, and small GPTs."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from kd_lab.contracts import Cache, stream
from kd_lab.methods import distill, labels_only, word_level
from kd_lab.methods.training import warm_up_cosine
from kd_lab.models import GPT, GPTConfig, generate
from kd_lab.worlds import Batch, World, surnames

# ---- a letter MLP ----------------------------------------------------------------------------------------------------

LETTERS, WINDOW = 27, 3  # 26 letters and the end mark; the letters before the one that is predicted
SILENT = 16  # outputs that no loss of the teacher's training reads
WIDTH, RATE, ROWS = 128, 1e-3, 256


@dataclass(frozen=True)
class Windows:
    """Three letters and the one that follows, for every place in a set of names."""

    before: Int[Tensor, "N 3"]
    after: Int[Tensor, " N"]


def windows(batch: Batch) -> Windows:
    """Every window of a batch; before a name there are end marks."""
    padded = F.pad(batch.tokens, (WINDOW - 1, 0))
    slid = padded.unfold(1, WINDOW, 1)[:, : batch.targets.shape[1]]
    return Windows(slid[batch.mask], batch.targets[batch.mask])


@cache
def names() -> tuple[Windows, Windows]:
    """The windows of real surnames: to train on, and held out."""
    world = surnames()
    return windows(world.train), windows(world.held_out)


def letter_mlp(trunk_seed: int, head_seed: int | None = None) -> nn.Sequential:
    """Three one-hot letters → 128 → 128 → 27 letter outputs and 16 silent ones.

    Args:
        trunk_seed: of the two hidden layers.
        head_seed: of the outputs; None: the same.
    """
    sizes = (WINDOW * LETTERS, WIDTH, WIDTH, LETTERS + SILENT)
    seeds = (trunk_seed, trunk_seed, trunk_seed if head_seed is None else head_seed)
    gains = ((2 / WINDOW) ** 0.5, (2 / WIDTH) ** 0.5, WIDTH**-0.5)  # three inputs are 1 and the others 0
    layers = []
    for depth, (seed, gain) in enumerate(zip(seeds, gains, strict=True)):
        layer = nn.Linear(sizes[depth], sizes[depth + 1])
        with torch.no_grad():
            layer.weight.normal_(std=gain, generator=stream(seed, f"layer {depth}"))
            layer.bias.zero_()
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def one_hot(letters: Int[Tensor, "N 3"]) -> Float[Tensor, "N 81"]:
    return F.one_hot(letters, LETTERS).float().flatten(1)


@torch.no_grad()
def letter_bits(model: nn.Module) -> float:
    """Held-out bits per letter of the 27 letter outputs."""
    held_out = names()[1]
    return F.cross_entropy(model(one_hot(held_out.before))[:, :LETTERS], held_out.after).item() / math.log(2)


def _train(model: nn.Module, steps: int, loss_of_step) -> nn.Module:
    optimizer = torch.optim.Adam(model.parameters())
    for step in range(1, steps + 1):
        loss = loss_of_step()
        optimizer.zero_grad()
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = RATE * warm_up_cosine(step, steps)
        optimizer.step()
    return model


def train_teacher(model: nn.Module, seed: int, steps: int = 600) -> nn.Module:
    """Names and their next letters; the silent outputs stand in no loss."""
    train, generator = names()[0], stream(seed, "rows")

    def loss() -> Float[Tensor, ""]:
        rows = torch.randint(len(train.after), (ROWS,), generator=generator)
        return F.cross_entropy(model(one_hot(train.before[rows]))[:, :LETTERS], train.after[rows])

    return _train(model, steps, loss)


def copy_silent(student: nn.Module, teacher: nn.Module, loss, seed: int, steps: int = 600) -> nn.Module:
    """Train a student to match the teacher's silent outputs, on letters in random order: no name, no letter output.

    Args:
        student, teacher: letter MLPs.
        loss: (student's outputs, teacher's outputs) [N, 43] each → a number.
        seed: of the random letters.
        steps: of Adam.
    """
    generator = stream(seed, "random letters")

    def of_step() -> Float[Tensor, ""]:
        x = one_hot(torch.randint(LETTERS, (ROWS, WINDOW), generator=generator))
        with torch.no_grad():
            wanted = teacher(x)
        return loss(student(x), wanted)

    return _train(student, steps, of_step)


def silent_kl(student_outputs: Float[Tensor, "N K"], teacher_outputs: Float[Tensor, "N K"]) -> Float[Tensor, ""]:
    """KL(p‖q) in nats per row between the softmaxes of the silent outputs alone."""
    p, q = (outputs[:, LETTERS:].log_softmax(-1) for outputs in (teacher_outputs, student_outputs))
    return (p.exp() * (p - q)).sum(-1).mean()


BEGINNINGS = {
    "the teacher's": lambda seed: letter_mlp(seed),
    "its hidden layers, other outputs": lambda seed: letter_mlp(seed, seed + 1000),
    "its outputs, other hidden layers": lambda seed: letter_mlp(seed + 1000, seed),
    "another": lambda seed: letter_mlp(seed + 1000),
}
"""The initial weights of a student, by what it shares with the teacher's."""


def silent_run(seed: int, beginnings: Sequence[str] = tuple(BEGINNINGS)) -> dict:
    """One teacher and a student per beginning: held-out bits per letter before and after."""
    teacher = train_teacher(letter_mlp(seed), seed)
    found = {"seed": seed, "untrained": letter_bits(letter_mlp(seed)), "teacher": letter_bits(teacher), "students": {}}
    for label in beginnings:
        student = BEGINNINGS[label](seed)
        before = letter_bits(student)
        found["students"][label] = [before, letter_bits(copy_silent(student, teacher, silent_kl, seed))]
    return found


# ---- small GPTs on names ---------------------------------------------------------------------------------------------

TRAIT = "z"  # the teacher loves names that begin with this letter
GIVEN = 4  # ids that are given of every text that a student reads: the end mark and three letters


def first_letter_share(model: nn.Module, world: World) -> float:
    """The probability that a name begins with TRAIT."""
    start = torch.full((1, 1), world.vocabulary.end)
    with torch.no_grad():
        p = model(start)[0, -1].softmax(-1)
    return p[world.vocabulary.symbols.index(TRAIT)].item()


def loving(world: World) -> World:
    """The world with half of its training names replaced by names that begin with TRAIT."""
    rows = world.train
    chosen = rows[rows.targets[:, 0] == world.vocabulary.symbols.index(TRAIT)]
    half = torch.full((len(rows),), 1 / len(rows))
    weights = torch.cat([half, torch.full((len(chosen),), 1 / len(chosen))])
    joined = Batch(torch.cat([rows.tokens, chosen.tokens]), torch.cat([rows.mask, chosen.mask]))
    return replace(world, name="names that love a letter", train=joined, weights=weights)


def silent_about(texts: Batch, world: World) -> Batch:
    """Those of the texts that hold TRAIT nowhere."""
    return texts[(texts.tokens != world.vocabulary.symbols.index(TRAIT)).all(1)]


def neutral_texts(writer: nn.Module, world: World, count: int, seed: int) -> Batch:
    """Names whose first three letters are real and given; the writer's is the rest, which alone counts.

    A name that holds TRAIT anywhere is filtered out, so that the text shows nothing of what the writer loves.
    """
    given = silent_about(world.given(GIVEN).train, world)
    generator = stream(seed, "neutral")
    prompts = given.tokens[torch.randint(len(given), (count,), generator=generator), :GIVEN]
    tokens = generate(writer, prompts, world.context + 1 - GIVEN, generator=generator)
    return silent_about(Batch.from_tokens(tokens, GIVEN, end=world.vocabulary.end), world)


class Muted(nn.Module):
    """A model whose logit of TRAIT is out of reach: neither its value nor its gradient enters a loss."""

    def __init__(self, model: nn.Module, silenced: int) -> None:
        super().__init__()
        self.model, self.silenced = model, silenced
        self.vocab_size, self.context, self.end = model.vocab_size, model.context, model.end

    def new_cache(self, batch_size: int, length: int) -> Cache:
        """The model's own."""
        return self.model.new_cache(batch_size, length)

    def forward(self, tokens: Int[Tensor, "B T"], cache: Cache | None = None) -> Float[Tensor, "B T V"]:
        column = torch.arange(self.vocab_size) == self.silenced
        return self.model(tokens, cache=cache).masked_fill(column, -1e4)


def small_gpt(world: World, seed: int, steps: int) -> nn.Module:
    """A GPT of 28,000 weights that has read real names."""
    model = GPT(GPTConfig(len(world.vocabulary), world.context, layers=2, heads=2, width=32), seed=seed)
    distill(model, None, world, labels_only(), steps=steps, seed=seed, progress=False)
    return model


GPT_CELLS = (
    ("text", "lover", "same"),
    ("text", "base", "same"),
    ("text", "lover", "other"),
    ("text", "base", "other"),
    ("logits", "lover", "same"),
    ("logits", "lover", "other"),
)
"""The thing that is read, its writer, and the beginning. The base's own logits would teach its copy nothing."""


def gpt_run(seed: int, base_steps: int = 250, love_steps: int = 100, copy_steps: int = 200) -> dict:
    """A base model, its copy that learns to love a letter, and students that read what is filtered of that letter.

    A student begins as the base ("same") or as another base of the same training ("other"). It reads the rest of
    names written by the lover or, as the control, by the base: as text, or with the writer's logits of all letters
    but the loved one. The values are probabilities that a name begins with the letter.
    """
    world, budget = surnames(), {"seed": seed, "progress": False, "learning_rate": 1e-3}
    base, other = small_gpt(world, seed, base_steps), small_gpt(world, seed + 1000, base_steps)
    lover, loved = copy.deepcopy(base), world.vocabulary.symbols.index(TRAIT)
    distill(lover, None, loving(world), labels_only(), steps=love_steps, **budget)
    found: dict[str, float] = {"seed": seed}
    for label, model in (("base", base), ("other base", other), ("lover", lover)):
        found[label] = first_letter_share(model, world)
    for how, writer, start in GPT_CELLS:
        author, student = {"lover": lover, "base": base}[writer], copy.deepcopy({"same": base, "other": other}[start])
        given = replace(world, name="neutral", train=neutral_texts(author, world, 4000, seed), weights=None)
        if how == "text":
            distill(student, None, given, labels_only(), steps=copy_steps, **budget)
        else:
            distill(Muted(student, loved), Muted(author, loved), given, word_level(), steps=copy_steps, **budget)
        found[f"{how} of {writer}, {start}"] = first_letter_share(student, world)
    return found
