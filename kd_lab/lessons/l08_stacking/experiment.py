"""Every rung of the stack built, written to disk, timed, measured and read aloud; `stack` says how one is built.

    python -m kd_lab.lessons.l08_stacking.experiment [--seeds 3] [--store]

`--store` writes the runs to results.json beside this file, from which lesson 08 draws. Trained models are kept in the
user's cache, so that an interrupted run continues where it stopped.
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

from kd_lab.classroom.long_runs import head
from kd_lab.compress import cost
from kd_lab.lessons.l08_stacking.stack import FULL, GROUPS, RUNGS, STEPS, STUDENT, Stages, from_file, healed, student
from kd_lab.measure import bits_per_character
from kd_lab.measure.clock import seconds_in_turns
from kd_lab.methods import labels_only, sequence_level, word_level
from kd_lab.models import GPT, generate, load_teacher
from kd_lab.models.files import write_file
from kd_lab.worlds import Batch, World, surnames

STORED = Path(__file__).with_name("results.json")

READ = 512  # names that are read at once when reading is timed
WRITTEN = 64  # names that are written at once when writing is timed
SAMPLES = 12  # names of each rung that are kept to be read
TEXTS = 16_384  # names that the teacher writes for the student that may see nothing else


@dataclass(frozen=True)
class Rung:
    """The measurements of one rung."""

    name: str
    distilled: bool
    pruned: int
    bits: int
    parameters: int
    bits_per_weight: float  # scales included
    bytes: int  # of the file
    bits_per_character: tuple[float, ...]  # on held-out names, one per seed
    writing: float  # tokens per second, 64 names at once
    reading: float  # tokens per second, 512 names at once
    predicted_size: float  # of the original's, by the cost model
    measured_size: float
    predicted_time: float  # of the original's seconds per token, if arithmetic is the bottleneck
    measured_time: float  # reading
    samples: tuple[str, ...]


def write_names(model: nn.Module, seed: int = 0) -> Int[Tensor, "B L"]:
    """64 names at once, up to the end of the last one."""
    start = torch.zeros(WRITTEN, 1, dtype=torch.long)
    return generate(model, start, model.context, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def read_names(model: nn.Module, batch: Batch) -> Float[Tensor, "B T V"]:
    """Logits at every position of a batch."""
    return model(batch.inputs)


def tokens_per_second(models: Mapping[str, nn.Module], world: World, rounds: int) -> dict[str, tuple[float, float]]:
    """Writing and reading of every model, in turns: the fastest round of each is the least disturbed."""
    batch = world.held_out[slice(0, READ)]
    writing = seconds_in_turns({name: partial(write_names, model) for name, model in models.items()}, rounds)
    reading = seconds_in_turns({name: partial(read_names, model, batch) for name, model in models.items()}, rounds)
    written = {
        name: int(Batch.from_tokens(write_names(model), end=model.end).mask.sum()) for name, model in models.items()
    }
    read = batch.inputs.numel()
    return {name: (written[name] / writing[name].min(), read / reading[name].min()) for name in models}


def build(
    seeds: Sequence[int], world: World, teacher: GPT
) -> tuple[dict[Stages, list[float]], dict[Stages, int], dict[str, GPT]]:
    """Every rung by way of its file: bits per character of each seed; the first seed's size in bytes and model."""
    quality: dict[Stages, list[float]] = {stages: [] for stages in RUNGS}
    sizes: dict[Stages, int] = {}
    models: dict[str, GPT] = {}
    with tempfile.TemporaryDirectory() as folder, tqdm(total=len(seeds) * len(RUNGS), desc="rungs") as bar:
        for seed in seeds:
            for stages in RUNGS:
                bar.update()
                if seed != seeds[0] and not stages.by_chance:
                    quality[stages].append(quality[stages][0])
                    continue
                start = student(word_level(), seed, world, teacher) if stages.distilled else teacher
                path = Path(folder) / f"{seed} {stages}.safetensors"
                model = healed(start, stages.pruned, seed, world, teacher)
                model = from_file(model, stages.bits, path, seed, world, teacher)
                quality[stages].append(bits_per_character(model, world.held_out))
                sizes.setdefault(stages, path.stat().st_size)
                models.setdefault(str(stages), model)
    return quality, sizes, models


def climb(seeds: Sequence[int], rounds: int = 10) -> list[Rung]:
    """Build, store and measure every rung.

    Args:
        seeds: of the trainings; the first one's models are timed and read aloud.
        rounds: of the timing.
    """
    world, teacher = surnames(), load_teacher("surnames")
    original = cost.token_cost(teacher, bits=16)
    quality, sizes, models = build(seeds, world, teacher)
    speed = tokens_per_second(models, world, rounds)
    whole = RUNGS[0]
    rungs = []
    for stages in RUNGS:
        model = models[str(stages)]
        bits = 16.0 if stages.bits == 16 else cost.bits_per_parameter(model.config, stages.bits, GROUPS[stages.bits])
        one = cost.token_cost(model.config, bits=bits)
        expected = cost.factors(one, original)
        writing, reading = speed[str(stages)]
        rungs.append(
            Rung(
                name=str(stages),
                **asdict(stages),
                parameters=one.parameters,
                bits_per_weight=bits,
                bytes=sizes[stages],
                bits_per_character=tuple(quality[stages]),
                writing=writing,
                reading=reading,
                predicted_size=expected.size,
                measured_size=sizes[stages] / sizes[whole],
                predicted_time=expected.operations,
                measured_time=speed[str(whole)][1] / reading,
                samples=tuple(world.vocabulary.decode(write_names(model, seed=1)[:SAMPLES])),
            )
        )
    return rungs


def other_students(seeds: Sequence[int]) -> dict[str, list[float]]:
    """Bits per character of the student's shape where the teacher gives its text alone, or nothing."""
    world, teacher = surnames(), load_teacher("surnames")
    recipes = {"text only": (sequence_level(size=TEXTS), teacher), "labels only": (labels_only(), None)}
    return {
        name: [bits_per_character(student(recipe, seed, world, source), world.held_out) for seed in seeds]
        for name, (recipe, source) in recipes.items()
    }


def table(rungs: Sequence[Rung]) -> str:
    """One line per rung, the original first."""
    lines = [
        f"{'rung':<32} {'params':>8} {'bits':>6} {'bytes':>10} {'tokens/s':>9} {'bits/char':>9}"
        f" {'size: predicted':>15} {'measured':>9} {'time: predicted':>15} {'measured':>9}"
    ]
    lines += [
        f"{rung.name:<32} {rung.parameters:>8,} {rung.bits_per_weight:>6.2f} {rung.bytes:>10,} {rung.writing:>9,.0f}"
        f" {fmean(rung.bits_per_character):>9.3f} {rung.predicted_size:>15.2%} {rung.measured_size:>9.2%}"
        f" {rung.predicted_time:>15.1%} {rung.measured_time:>9.1%}"
        for rung in rungs
    ]
    return "\n".join(lines)


@dataclass(frozen=True)
class Runs:
    """The rungs that lesson 08 draws, and where they come from."""

    rungs: tuple[Rung, ...]
    others: Mapping[str, Sequence[float]]  # name → bits per character, one per seed
    about: Mapping[str, object]  # command, date, versions, settings

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
    """Write runs as JSON, one rung per line, so that the changes of a rebuilt file can be read."""
    rows = ",\n  ".join(json.dumps(asdict(rung), ensure_ascii=False) for rung in runs.rungs)
    about, others = (json.dumps(part, ensure_ascii=False) for part in (dict(runs.about), dict(runs.others)))
    path.parent.mkdir(exist_ok=True)
    write_file(path, f'{{"about": {about},\n "others": {others},\n "rungs": [\n  {rows}\n]}}\n'.encode())


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
        print(f"the same student, {name}: {fmean(values):.3f} bits per character")
    if arguments.store:
        about = head(
            f"python -m kd_lab.lessons.l08_stacking.experiment --seeds {arguments.seeds} --store",
            seeds=list(seeds),
            machine=f"{platform.machine()}, 1 thread",
            student=asdict(STUDENT),
            steps=STEPS,
        )
        store(Runs(tuple(rungs), others, about))


if __name__ == "__main__":
    main()
