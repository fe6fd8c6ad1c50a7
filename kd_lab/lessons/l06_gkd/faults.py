"""Eight popular faults of a distillation loop, and what each of them looks like from outside: lesson 06, section 5.

    python -m kd_lab.lessons.l06_gkd.faults

trains a healthy student and eight faulty ones on surnames, three seeds each, about four minutes on one core, and writes
faults.json beside this file. All students of one seed begin alike and read the same batches, word level with forward
KL. `shown` is the loss that the loop itself reports; the judges are those of the grid.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from kd_lab.classroom.long_runs import head, write
from kd_lab.contracts import stream
from kd_lab.how import forward_kl, masked_mean, reverse_kl
from kd_lab.lessons.l06_gkd.experiment import arena
from kd_lab.models import GPT
from kd_lab.where import Corpus, rollout
from kd_lab.worlds import Batch, surnames

FILE = Path(__file__).with_name("faults.json")
SEEDS = (0, 1, 2)
STEPS, POINTS, BATCH_SIZE, LEARNING_RATE = 240, 6, 32, 3e-3
WRITTEN = 512  # names per student for its mean length

Loss = Callable[[Float[Tensor, "B T V"], Float[Tensor, "B T V"], Batch, int], Tensor]
"""(student logits, teacher logits, batch, end) -> the number that the loop minimises."""


def healthy(student: Tensor, teacher: Tensor, batch: Batch, end: int) -> Tensor:
    """Forward KL in nats per counted position."""
    return masked_mean(forward_kl(student.log_softmax(-1), teacher.log_softmax(-1)), batch.mask)


def direction_swapped(student: Tensor, teacher: Tensor, batch: Batch, end: int) -> Tensor:
    return masked_mean(reverse_kl(student.log_softmax(-1), teacher.log_softmax(-1)), batch.mask)


def batchmean(student: Tensor, teacher: Tensor, batch: Batch, end: int) -> Tensor:
    """`reduction="batchmean"` on [B, T, V]: a sum over positions, divided by the number of texts."""
    gap = forward_kl(student.log_softmax(-1), teacher.log_softmax(-1))
    return gap.where(batch.mask, 0.0).sum() / len(batch)


def padding_counted(student: Tensor, teacher: Tensor, batch: Batch, end: int) -> Tensor:
    """The mean over all positions: the teacher is asked about prefixes that no text of the language has."""
    return forward_kl(student.log_softmax(-1), teacher.log_softmax(-1)).mean()


def mask_in_the_sum_only(student: Tensor, teacher: Tensor, batch: Batch, end: int) -> Tensor:
    """Masked values, averaged over all positions: a step shrinks with the padding of its batch."""
    return forward_kl(student.log_softmax(-1), teacher.log_softmax(-1)).where(batch.mask, 0.0).mean()


def off_by_one(student: Tensor, teacher: Tensor, batch: Batch, end: int) -> Tensor:
    """Position t is taught the teacher's distribution of position t − 1: labels that were never shifted."""
    gap = forward_kl(student[:, 1:].log_softmax(-1), teacher[:, :-1].log_softmax(-1))
    return masked_mean(gap, batch.mask[:, 1:])


def end_dropped(student: Tensor, teacher: Tensor, batch: Batch, end: int) -> Tensor:
    """The mask was made of `tokens != pad`, and pad and end are one token: no position teaches how to stop.

    The end also leaves the vocabulary of the loss, as it does where special tokens are ignored.
    """
    kept = torch.arange(student.shape[-1], device=student.device) != end
    mask = batch.mask & (batch.targets != end)
    return masked_mean(forward_kl(student[..., kept].log_softmax(-1), teacher[..., kept].log_softmax(-1)), mask)


def teacher_softened_alone(student: Tensor, teacher: Tensor, batch: Batch, end: int) -> Tensor:
    """τ = 2 for the teacher, τ = 1 for the student, who learns to be as undecided as the softened teacher."""
    return masked_mean(forward_kl(student.log_softmax(-1), (teacher / 2).log_softmax(-1)), batch.mask)


@dataclass(frozen=True)
class Variant:
    """One way of writing the loop."""

    loss: Loss
    teacher_in_training: bool = False  # its dropout is on


VARIANTS: dict[str, Variant] = {
    "healthy": Variant(healthy),
    "direction swapped": Variant(direction_swapped),
    "batchmean": Variant(batchmean),
    "padding counted": Variant(padding_counted),
    "mask in the sum only": Variant(mask_in_the_sum_only),
    "off by one": Variant(off_by_one),
    "end dropped": Variant(end_dropped),
    "teacher softened alone": Variant(teacher_softened_alone),
    "teacher in train mode": Variant(healthy, teacher_in_training=True),
}


LETTERS = {
    "A": "mask in the sum only",
    "B": "off by one",
    "C": "batchmean",
    "D": "end dropped",
    "E": "direction swapped",
    "F": "teacher in train mode",
    "G": "padding counted",
    "H": "teacher softened alone",
}
"""The names under which the lesson shows the faulty runs."""


def train(name: str, seed: int, steps: int = STEPS) -> dict[str, Any]:
    """One student of one variant: the loss that its loop shows, what two judges say, and what it writes.

    Returns:
        `steps`, `shown`, `forward_kl` and `reverse_kl` (nats per name) at POINTS + 1 moments; `length`, the mean number
        of letters that it writes, and `samples`.
    """
    place, world, variant = arena("surnames"), surnames(), VARIANTS[name]
    teacher, student = place.teacher, GPT(place.shape, seed=seed)
    draw = Corpus().bind(world, student, teacher, seed).draw
    optimiser = torch.optim.AdamW(student.parameters(), lr=LEARNING_RATE, weight_decay=0.0)
    end = world.vocabulary.end
    run: dict[str, Any] = {"variant": name, "seed": seed, "steps": [], "shown": [], "forward_kl": [], "reverse_kl": []}
    recent: list[float] = []
    for step in range(steps + 1):
        batch = draw(BATCH_SIZE)
        with torch.no_grad(), torch.random.fork_rng():
            torch.manual_seed(1000 * seed + step)  # the teacher's dropout, where it is on
            teacher.train(variant.teacher_in_training)
            teacher_logits = teacher(batch.inputs)
            teacher.eval()
        loss = variant.loss(student(batch.inputs), teacher_logits, batch, end)
        recent.append(loss.item())
        if step % (steps // POINTS) == 0:
            judged = place.measure(student)
            run["steps"].append(step)
            run["shown"].append(round(sum(recent) / len(recent), 4))
            run["forward_kl"].append(round(judged[0], 3))
            run["reverse_kl"].append(round(judged[1], 3))
            recent = []
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    written = written_by(student, seed)
    run["length"] = round(sum(map(len, written)) / len(written), 2)
    run["samples"] = written[:6]
    return run


def written_by(student: nn.Module, seed: int) -> list[str]:
    world, generator = surnames(), stream(seed, "written")
    texts = rollout(student, world, world.prompts(WRITTEN, generator), generator)
    return world.vocabulary.decode(texts.tokens)


def stored() -> dict[str, list[dict[str, Any]]]:
    """The runs of each variant, one per seed."""
    runs = json.loads(FILE.read_text(encoding="utf-8"))["runs"]
    return {name: [run for run in runs if run["variant"] == name] for name in VARIANTS}


def lettered() -> dict[str, list[dict[str, Any]]]:
    """The stored runs, "healthy" first and the faulty ones as "run A" to "run H"."""
    runs = stored()
    return {"healthy": runs["healthy"]} | {f"run {letter}": runs[name] for letter, name in LETTERS.items()}


def about() -> dict[str, Any]:
    """The command, the day and the versions of the stored runs, and their settings."""
    budget = {"steps": STEPS, "batch_size": BATCH_SIZE, "learning_rate": LEARNING_RATE}
    return head("python -m kd_lab.lessons.l06_gkd.faults", seeds=SEEDS, **budget)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    runs = [train(name, seed) for name in tqdm(VARIANTS, desc="variants") for seed in SEEDS]
    write(FILE, about(), runs)


if __name__ == "__main__":
    main()
