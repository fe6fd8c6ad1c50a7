"""Every rung of the stack distil × prune × quantize, built, written to disk, timed and read aloud.

    python -m kd_lab.lessons.l08_stacking.experiment [--seeds 3] [--store]

The original is the surname teacher in 16-bit numbers. Its rungs: itself, or a student of half its layers and half its
width; none, a quarter, half or three quarters of all heads and channels removed, and the wound healed by distillation
from the original; 16, 8, 4, 3 or 2 bits a weight, the last of them healed too, by distillation through the rounding.
8 bits multiply in integers where torch has a kernel for it; 4 and fewer are unpacked and multiplied in float32.

What is trained is kept in the user's cache, so that a run that was cut off goes on where it was. `--store` writes the
runs to results.json beside this file, from which lesson 08 draws.
"""

import argparse
import json
import platform
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from kd_lab.compress.cost import cost, factors, stored_bits
from kd_lab.compress.integer import integer
from kd_lab.compress.prune import choose, remove, wanda
from kd_lab.compress.quantize import Quantized, load_quantized, quantize, save_quantized
from kd_lab.compress.training import rounding, settled
from kd_lab.measure import bits_per_character
from kd_lab.measure.clock import seconds_in_turns
from kd_lab.methods import Recipe, distill, labels_only, sequence_level, word_level
from kd_lab.models import GPT, GPTConfig, generate, load_model, load_teacher, save_model, trained
from kd_lab.worlds import Batch, World, surnames

STORED = Path(__file__).with_name("results.json")

STUDENT = GPTConfig(vocab_size=27, context=14, layers=2, heads=4, width=64)
PRUNED = (0, 25, 50, 75)  # per cent of the heads and of the channels of every layer
BITS = (16, 8, 4, 3, 2)
GROUPS = {8: "channel", 4: 32, 3: 32, 2: 32}  # weights that share a scale; the integer kernels want one an output
TRAINED_BITS = 2  # so few bits, or fewer, are not only rounded to but trained for
STEPS = {"distil": 600, "heal": 150, "round": 40}
LEARNING_RATE = {"distil": 4e-3, "heal": 3e-3, "round": 1e-3}
CALIBRATION = 512  # training names that tell which heads and channels are used
READ = 512  # names that are read at once when reading is timed
WRITTEN = 64  # names that are written at once when writing is timed
SAMPLES = 12  # names of each rung that are kept to be read
TEXTS = 16_384  # names that the teacher writes for the student that may see nothing else


@dataclass(frozen=True)
class Stages:
    """Which rung: three choices."""

    distilled: bool
    pruned: int  # per cent
    bits: int

    @property
    def by_chance(self) -> bool:
        """Whether anything was trained on the way, so that another seed gives another model."""
        return self.distilled or self.pruned > 0 or self.bits <= TRAINED_BITS

    def __str__(self) -> str:
        parts = [
            "distil" if self.distilled else "",
            f"prune {self.pruned} %" if self.pruned else "",
            f"{self.bits} bits" if self.bits < 16 else "",
        ]
        return " + ".join(filter(None, parts)) or "original"


FULL = (True, 50, 4)
"""The whole stack, as a model goes to production: distil, prune by half, round to 4 bits."""

RUNGS = tuple(Stages(d, p, b) for d in (False, True) for p in PRUNED for b in BITS)


@dataclass(frozen=True)
class Rung:
    """What was measured of one rung."""

    name: str
    distilled: bool
    pruned: int
    bits: int
    parameters: int
    bits_a_weight: float  # scales included
    bytes: int  # of the file
    bits_per_character: tuple[float, ...]  # on held-out names, one a seed
    writing: float  # tokens a second, 64 names at once
    reading: float  # tokens a second, 512 names at once
    predicted_size: float  # of the original's, by the cost model
    measured_size: float
    predicted_time: float  # of the original's seconds a token, if arithmetic is what takes the time
    measured_time: float  # reading
    samples: tuple[str, ...]


# ---- building --------------------------------------------------------------------------------------------------------


def calibration(world: World) -> Batch:
    """Training names that pruning and rounding may look at."""
    return world.train[torch.randperm(len(world.train), generator=torch.Generator().manual_seed(0))[:CALIBRATION]]


def train(
    student: GPT,
    recipe: Recipe,
    kind: str,
    seed: int,
    world: World,
    teacher: GPT | None,
    steps: int | None = None,
) -> None:
    """Train a student in place by a recipe, with the steps and the learning rate of its kind."""
    distill(
        student,
        teacher,
        world,
        recipe,
        steps=steps or STEPS[kind],
        seed=seed,
        learning_rate=LEARNING_RATE[kind],
        progress=False,
    )


def student(recipe: Recipe, seed: int, world: World, teacher: GPT | None) -> GPT:
    """A small GPT of its own shape that was trained from nothing."""
    return trained(
        f"stack-{recipe.name.replace(' ', '-')}",
        lambda: GPT(STUDENT, seed=seed),
        partial(train, recipe=recipe, kind="distil", seed=seed, world=world, teacher=teacher),
        key=[recipe, STEPS["distil"], LEARNING_RATE["distil"], seed],
    )


def cut(model: GPT, per_cent: int, world: World) -> GPT:
    """The model without the share of every layer's heads and channels that the calibration names use least."""
    stays = 1 - per_cent / 100
    keep = choose(
        model,
        wanda(model, calibration(world)),
        heads=max(1, round(stays * model.config.heads)),
        channels=round(stays * model.config.hidden_units),
    )
    return remove(model, keep, dropout=0.0)


def healed(model: GPT, per_cent: int, seed: int, world: World, teacher: GPT) -> GPT:
    """The model cut and then distilled from the original for a short while."""
    if not per_cent:
        return model
    return trained(
        f"stack-healed-{per_cent}",
        lambda: cut(model, per_cent, world),
        partial(train, recipe=word_level(), kind="heal", seed=seed, world=world, teacher=teacher),
        key=[STEPS["heal"], LEARNING_RATE["heal"], seed],
    )


def rounded(model: GPT, bits: int, seed: int, world: World, teacher: GPT) -> Quantized:
    """The model in so many bits: rounded to nearest, or trained through the rounding with the original as teacher."""
    if bits > TRAINED_BITS:
        return quantize(model, bits, GROUPS[bits])
    student = trained(
        f"stack-rounded-{bits}",
        lambda: rounding(cut(model, 0, world), bits, GROUPS[bits]),
        partial(train, recipe=word_level(), kind="round", seed=seed, world=world, teacher=teacher),
        key=[STEPS["round"], LEARNING_RATE["round"], seed],
    )
    return settled(student)


def from_file(model: GPT, bits: int, path: Path, seed: int, world: World, teacher: GPT) -> GPT:
    """The model as it comes back from the file that it was written to, ready to run as fast as torch can run it."""
    if bits == 16:
        save_model(model, path, dtype=torch.float16)
        return load_model(path)
    save_quantized(rounded(model, bits, seed, world, teacher), path)
    return ready(load_quantized(path))


def ready(quantized: Quantized) -> GPT:
    """A model that can be called: in integers where torch has a kernel for its codes here, else in float32."""
    try:
        return integer(quantized)
    except ValueError:  # only 8 bits have a kernel, and not on every machine
        return quantized.restore()


# ---- measuring -------------------------------------------------------------------------------------------------------


def write_names(model: nn.Module, seed: int = 0) -> Int[Tensor, "B L"]:
    """64 names at once, up to the end of the last one."""
    start = torch.zeros(WRITTEN, 1, dtype=torch.long)
    return generate(model, start, model.context, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def read_names(model: nn.Module, batch: Batch) -> Float[Tensor, "B T V"]:
    """Logits at every position of a batch."""
    return model(batch.inputs)


def tokens_a_second(models: Mapping[str, nn.Module], world: World, rounds: int) -> dict[str, tuple[float, float]]:
    """Writing and reading of every model, in turns: the fastest round of each, which others disturbed least."""
    batch = world.held_out[slice(0, READ)]
    writing = seconds_in_turns({name: partial(write_names, model) for name, model in models.items()}, rounds)
    reading = seconds_in_turns({name: partial(read_names, model, batch) for name, model in models.items()}, rounds)
    written = {
        name: int(Batch.from_tokens(write_names(model), end=model.end).mask.sum()) for name, model in models.items()
    }
    read = batch.inputs.numel()
    return {name: (written[name] / writing[name].min(), read / reading[name].min()) for name in models}


def climb(seeds: Sequence[int], rounds: int = 10) -> list[Rung]:
    """Build, store and measure every rung.

    Args:
        seeds: of the trainings; the first one's models are timed and read aloud.
        rounds: of the timing.
    """
    world, teacher = surnames(), load_teacher("surnames")
    original = cost(teacher, bits=16)
    bits_per_name: dict[Stages, list[float]] = {stages: [] for stages in RUNGS}
    sizes, models = {}, {}
    with tempfile.TemporaryDirectory() as folder, tqdm(total=len(seeds) * len(RUNGS), desc="rungs") as bar:
        for seed in seeds:
            for stages in RUNGS:
                start = student(word_level(), seed, world, teacher) if stages.distilled else teacher
                bar.update()
                if seed != seeds[0] and not stages.by_chance:
                    bits_per_name[stages].append(bits_per_name[stages][0])
                    continue
                path = Path(folder) / f"{seed} {stages}.safetensors"
                model = healed(start, stages.pruned, seed, world, teacher)
                model = from_file(model, stages.bits, path, seed, world, teacher)
                bits_per_name[stages].append(bits_per_character(model, world.held_out))
                sizes.setdefault(stages, path.stat().st_size)
                models.setdefault(str(stages), model)
    speed = tokens_a_second(models, world, rounds)
    whole = sizes[RUNGS[0]]
    rungs = []
    for stages in RUNGS:
        model = models[str(stages)]
        bits = 16.0 if stages.bits == 16 else stored_bits(model.config, stages.bits, GROUPS[stages.bits])
        expected = factors(cost(model.config, bits=bits), original)
        writing, reading = speed[str(stages)]
        rungs.append(
            Rung(
                name=str(stages),
                **asdict(stages),
                parameters=cost(model.config, bits=bits).parameters,
                bits_a_weight=bits,
                bytes=sizes[stages],
                bits_per_character=tuple(bits_per_name[stages]),
                writing=writing,
                reading=reading,
                predicted_size=expected.size,
                measured_size=sizes[stages] / whole,
                predicted_time=expected.operations,
                measured_time=speed[str(RUNGS[0])][1] / reading,
                samples=tuple(world.vocabulary.decode(write_names(model, seed=1)[:SAMPLES])),
            )
        )
    return rungs


def other_students(seeds: Sequence[int]) -> dict[str, list[float]]:
    """Bits a character of the student's shape where less can be had of the teacher: its text alone, or nothing."""
    world, teacher = surnames(), load_teacher("surnames")
    recipes = {"text only": (sequence_level(size=TEXTS), teacher), "labels only": (labels_only(), None)}
    return {
        name: [bits_per_character(student(recipe, seed, world, source), world.held_out) for seed in seeds]
        for name, (recipe, source) in recipes.items()
    }


# ---- showing and keeping ---------------------------------------------------------------------------------------------


def table(rungs: Sequence[Rung]) -> str:
    """One line a rung, the original first."""
    lines = [
        f"{'rung':<32} {'params':>8} {'bits':>6} {'bytes':>10} {'tokens/s':>9} {'bits/char':>9}"
        f" {'size: predicted':>15} {'measured':>9} {'time: predicted':>15} {'measured':>9}"
    ]
    lines += [
        f"{rung.name:<32} {rung.parameters:>8,} {rung.bits_a_weight:>6.2f} {rung.bytes:>10,} {rung.writing:>9,.0f}"
        f" {fmean(rung.bits_per_character):>9.3f} {rung.predicted_size:>15.2%} {rung.measured_size:>9.2%}"
        f" {rung.predicted_time:>15.1%} {rung.measured_time:>9.1%}"
        for rung in rungs
    ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Runs:
    """What lesson 08 draws: the rungs, and where they come from."""

    rungs: tuple[Rung, ...]
    others: Mapping[str, Sequence[float]]  # name → bits a character, one a seed
    about: Mapping[str, object]  # command, seeds, versions, settings

    def at(self, distilled: bool, pruned: int, bits: int) -> Rung:
        """The rung of these three choices."""
        return next(r for r in self.rungs if (r.distilled, r.pruned, r.bits) == (distilled, pruned, bits))


def stored_runs(path: Path = STORED) -> Runs:
    """The runs that the course ships with.

    >>> stored_runs().at(False, 0, 16).name
    'original'
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    rungs = [
        Rung(**fields | {name: tuple(fields[name]) for name in ("bits_per_character", "samples")})
        for fields in content["rungs"]
    ]
    return Runs(tuple(rungs), content["others"], content["about"])


def store(runs: Runs, path: Path = STORED) -> None:
    """Write runs as JSON, a rung a line, so that a rebuilt file shows what has changed."""
    rows = ",\n  ".join(json.dumps(asdict(rung), ensure_ascii=False) for rung in runs.rungs)
    about, others = (json.dumps(part, ensure_ascii=False) for part in (dict(runs.about), dict(runs.others)))
    path.parent.mkdir(exist_ok=True)
    path.write_text(f'{{"about": {about},\n "others": {others},\n "rungs": [\n  {rows}\n]}}\n', encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of every rung; 3 by default")
    parser.add_argument("--store", action="store_true", help=f"write {STORED.name} beside this file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(arguments.seeds)
    rungs = climb(seeds)
    print(table(rungs))
    full = next(rung for rung in rungs if (rung.distilled, rung.pruned, rung.bits) == FULL)
    print(
        f"\nthe full stack, {full.name}: predicted {full.predicted_size:.2%} of the original's bytes, measured "
        f"{full.measured_size:.2%}, {abs(full.measured_size / full.predicted_size - 1):.1%} apart"
    )
    others = other_students(seeds)
    for name, values in others.items():
        print(f"the same student, {name}: {fmean(values):.3f} bits a character")
    if arguments.store:
        about = {
            "command": f"python -m kd_lab.lessons.l08_stacking.experiment --seeds {arguments.seeds} --store",
            "seeds": list(seeds),
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "machine": f"{platform.machine()}, 1 thread",
            "student": asdict(STUDENT),
            "steps": STEPS,
        }
        store(Runs(tuple(rungs), others, about))


if __name__ == "__main__":
    main()
