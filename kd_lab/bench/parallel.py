"""Data-parallel training: two processes against one with the same global batch, in steps per second and in gradients.

    python -m kd_lab.bench.parallel

Every process has one thread, and the processes talk through gloo. Two of them need two free cores to be the faster.
"""

import argparse
import tempfile
from pathlib import Path
from statistics import median

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from jaxtyping import Float
from torch import Tensor

from kd_lab.methods import distill, on_policy, word_level
from kd_lab.models import GPT, GPTConfig, load_teacher
from kd_lab.worlds import surnames

METHODS = (word_level, on_policy)
BATCH = 256  # texts per step, over all processes


def student(dtype: torch.dtype = torch.float32) -> GPT:
    world = surnames()
    shape = GPTConfig(vocab_size=len(world.vocabulary), context=world.context, layers=2, heads=2, width=64)
    return GPT(shape, seed=0).to(dtype)


def first_gradient() -> Float[Tensor, " parameters"]:
    """The gradient of the first step of word-level distillation, all parameters in one row, in fp64."""
    model = student(torch.float64)
    teacher = load_teacher("surnames").double()
    distill(model, teacher, surnames(), word_level(), steps=1, batch_size=BATCH, clip=1e9, progress=False)
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


def steps_per_second(method, steps: int) -> float:
    """The median over the steps of a run, the first left out."""
    result = distill(
        student(), load_teacher("surnames"), surnames(), method(), steps=steps, batch_size=BATCH, progress=False
    )
    elapsed = result.history["seconds"]
    return 1 / median(elapsed[i] - elapsed[i - 1] for i in range(1, steps))


def measured(steps: int) -> dict[str, Tensor]:
    """All that one process measures, whether it is alone or one of several."""
    torch.set_num_threads(1)
    speeds = {method().name: torch.tensor(steps_per_second(method, steps)) for method in METHODS}
    return {"gradient": first_gradient()} | speeds


def in_processes(processes: int, steps: int) -> dict[str, Tensor]:
    """`measured` on rank 0 of so many processes."""
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_process, (processes, steps, folder), nprocs=processes)
        return torch.load(Path(folder) / "measured.pt")


def _process(rank: int, processes: int, steps: int, folder: str) -> None:
    if processes > 1:
        # a file, since a port that is free now may not be when the processes have started
        meeting = f"file://{folder}/rendezvous"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=processes)
    answers = measured(steps)
    if rank == 0:
        torch.save(answers, Path(folder) / "measured.pt")
    if processes > 1:
        dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    if not dist.is_available():
        print("skipped: this build of torch has no torch.distributed")
        return
    rounds = [[in_processes(processes, arguments.steps) for processes in (1, 2)] for _ in range(arguments.rounds)]
    one, two = (answers["gradient"] for answers in rounds[0])
    print(f"{len(one):,} parameters, {BATCH} texts per step, one thread per process")
    print(
        f"largest difference of the first gradient in fp64: {(one - two).abs().max() / one.abs().max():.1e} of its own"
    )
    for method in METHODS:
        name = method().name
        alone, both = (median(row[i][name].item() for row in rounds) for i in (0, 1))
        ratio = median((row[1][name] / row[0][name]).item() for row in rounds)
        print(f"{name:<14} one process {alone:6.2f} steps/s, two {both:6.2f} steps/s, {ratio:.2f} times as many")


if __name__ == "__main__":
    main()
