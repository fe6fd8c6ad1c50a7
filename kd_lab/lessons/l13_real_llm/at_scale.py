"""Healing on several processes: the same recipe under torchrun, and a head that no process holds whole.

    torchrun --nproc-per-node 2 -m kd_lab.lessons.l13_real_llm.at_scale             # a tiny random Llama, seconds
    torchrun --nproc-per-node 2 -m kd_lab.lessons.l13_real_llm.at_scale --smollm 4  # SmolLM2, 4 steps, 20 layers

`distill` is data parallel by itself: each process reads its share of every batch, and the gradient is that of the whole
batch. The last lines compare the loss and the gradients of several processes with those of one. With `--store` the
numbers go into `at_scale.json` beside this file, which the lesson shows.
"""

import argparse
import copy
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from kd_lab.classroom.long_runs import head, write
from kd_lab.contracts import stream
from kd_lab.how import Divergence, linear_softmax_kl, vocab_parallel_softmax_kl
from kd_lab.lessons.l13_real_llm.pruning import evenly, shallower
from kd_lab.lessons.l13_real_llm.smollm import load_smollm, versions
from kd_lab.methods import Recipe, distill
from kd_lab.models import HuggingFace
from kd_lab.what import Heads
from kd_lab.where import Corpus
from kd_lab.worlds import Batch, World

LETTERS = "abcdefgh "
STORED = Path(__file__).with_name("at_scale.json")
RECIPE = Recipe("heads", Heads(), Divergence("forward_kl"), Corpus())


def random_llama(layers: int = 6, width: int = 32) -> HuggingFace:
    """A Llama of random weights and a vocabulary of 14, made in memory: the teacher of the tests."""
    import tokenizers
    import transformers

    marks = ("<end>", "<pad>", "<begin>")
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({token: i for i, token in enumerate((*marks, *LETTERS, "?"))}, unk_token="?")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Split("", "isolated")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, eos_token="<end>", pad_token="<pad>", bos_token="<begin>"
    )
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers,
        num_attention_heads=2, num_key_value_heads=1, max_position_embeddings=64, initializer_range=0.3,
        bos_token_id=2, eos_token_id=0, pad_token_id=1, tie_word_embeddings=True,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(config)
    return HuggingFace(model.requires_grad_(False), tokenizer).eval()


def noise(teacher: HuggingFace, rows: int, length: int) -> World:
    """A world of random ids, split in two: enough to see that processes agree."""
    draws = torch.randint(3, teacher.vocab_size, (rows, length + 1), generator=stream(0, "noise"))
    parts = [Batch(some, torch.ones(len(some), length, dtype=torch.bool)) for some in draws.split(rows // 2)]
    return World("noise", teacher.tokenizer, *parts)


def pruned(teacher: HuggingFace, layers: int) -> HuggingFace:
    """The teacher with so many of its layers, evenly spaced."""
    return shallower(teacher, evenly(len(teacher.model.get_decoder().layers), layers))


def heal(teacher: HuggingFace, layers: int, world: World, steps: int, batch_size: int) -> dict[str, Any]:
    """Every process runs this: prune, train together, and compute one loss in two ways.

    Returns:
        The losses of all steps; the loss of the healed student on the held-out texts, by the head in one piece and by
        a head whose rows are split over the processes; and the number of processes.
    """
    student = pruned(teacher, layers)
    result = distill(student, teacher, world, RECIPE, steps=steps, batch_size=batch_size, seed=0, progress=False)
    with torch.no_grad():
        batch = world.held_out
        own, their = student.factors(batch.inputs), teacher.factors(batch.inputs)
        whole = linear_softmax_kl(*own[:2], *their[:2], mask=batch.mask)
        rows = share_of_the_vocabulary(teacher)
        shards = [head.hidden @ head.weight[rows].T for head in (own, their)]
        split = vocab_parallel_softmax_kl(*shards, mask=batch.mask) if dist.is_initialized() else whole
    return {
        "processes": dist.get_world_size() if dist.is_initialized() else 1,
        "losses": result.history["loss"].tolist(),
        "tokens": int(result.history["tokens"][-1]),
        "whole": whole.item(),
        "split": split.item(),
    }


def share_of_the_vocabulary(model: HuggingFace) -> Tensor:
    """The rows of the head that are this process's."""
    rank, size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    return torch.arange(model.vocab_size).tensor_split(size)[rank]


# ---- gradients -------------------------------------------------------------------------------------------------------

Gradients = list[Tensor]
Run = Callable[[HuggingFace, HuggingFace, World, int], None]
"""Leaves a gradient in the student, from (student, teacher, world, number of texts)."""


def one_step(student: HuggingFace, teacher: HuggingFace, world: World, texts: int) -> None:
    """Data parallel: the first step of `distill`, on as many processes as there are."""
    settings = {"steps": 1, "batch_size": texts, "seed": 0, "clip": math.inf, "progress": False}
    distill(student, teacher, world, RECIPE, **settings)


def whole_head(student: HuggingFace, teacher: HuggingFace, world: World, texts: int) -> None:
    """The loss of the first texts by a head in one piece, which is taken in float64.

    float32 rounds a sum over 49,152 tokens in another way than two sums over half of them, by a millionth or so.
    """
    batch = world.train[:texts]
    sides = [side.double() for side in (*student.factors(batch.inputs)[:2], *_held(teacher, batch))]
    linear_softmax_kl(*sides, mask=batch.mask).backward()


def split_head(student: HuggingFace, teacher: HuggingFace, world: World, texts: int) -> None:
    """Vocabulary parallel: the same loss by a head whose rows are split over the processes.

    The hidden states receive the sum over all shards; each process makes the gradient of its own rows alone.
    """
    batch, rows = world.train[:texts], share_of_the_vocabulary(teacher)
    their_hidden, their_weight = _held(teacher, batch)
    target = their_hidden.double() @ their_weight[rows].double().T
    own = student.factors(batch.inputs)
    hidden, weight = (side.detach().double().requires_grad_(True) for side in (own.hidden, own.weight[rows]))
    loss = vocab_parallel_softmax_kl(hidden @ weight.T, target, mask=batch.mask)
    to_hidden, to_rows = torch.autograd.grad(loss, (hidden, weight))
    to_weight = to_rows.new_zeros(own.weight.shape)
    to_weight[rows] = to_rows
    for part in (to_hidden, to_weight):  # the second only so that one process can be compared with all
        dist.all_reduce(part)
    torch.autograd.backward([own.hidden, own.weight], [to_hidden.float(), to_weight.float()])


@torch.no_grad()
def _held(teacher: HuggingFace, batch: Batch) -> tuple[Tensor, Tensor]:
    """Hidden states and head of the teacher."""
    hidden, weight, *_ = teacher.factors(batch.inputs)
    return hidden, weight


def gradients(run: Run, teacher: HuggingFace, layers: int, world: World, texts: int) -> Gradients:
    """The gradients that a run leaves in a freshly pruned student: of all its weights, the head among them."""
    student = copy.deepcopy(pruned(teacher, layers)).requires_grad_(True)  # a copy: the head is the teacher's own
    run(student, teacher, world, texts)
    return [weight.grad for weight in student.parameters() if weight.grad is not None]


def distance(found: Gradients, expected: Gradients) -> float:
    """‖found − expected‖ ÷ ‖expected‖ over all weights."""
    apart = sum((a - b).double().square().sum() for a, b in zip(found, expected, strict=True))
    return (apart / sum(b.double().square().sum() for b in expected)).sqrt().item()


@contextmanager
def together() -> Iterator[None]:
    """The processes that torchrun has started, as one group."""
    dist.init_process_group("gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def compare(teacher: HuggingFace, layers: int, world: World, steps: int, texts: int) -> dict[str, Any]:
    """Train on all processes, and hold their gradients against those of one. Each process first works alone."""
    given = (teacher, layers, world, texts)
    by_one = {one_step: gradients(one_step, *given), split_head: gradients(whole_head, *given)}
    with together():
        by_all = {run: distance(gradients(run, *given), alone) for run, alone in by_one.items()}
        by_one.clear()
        found = heal(teacher, layers, world, steps, texts)
        found["rank"] = dist.get_rank()
    return found | {"data_parallel": by_all[one_step], "vocabulary_parallel": by_all[split_head]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smollm", type=int, metavar="STEPS", help="the real model instead of a tiny random one")
    parser.add_argument("--store", action="store_true", help="write the numbers of the real model for the lesson")
    options = parser.parse_args()
    if options.store and not (options.smollm and "RANK" in os.environ):
        parser.error("--store keeps the numbers of the real model on several processes: add --smollm 4, under torchrun")
    torch.set_num_threads(1)
    teacher = load_smollm() if options.smollm else random_llama()
    layers, rows, length, steps = (20, 16, 16, options.smollm) if options.smollm else (4, 32, 16, 30)
    given = (teacher, layers, noise(teacher, rows, length), steps, 4)
    found = compare(*given) if "RANK" in os.environ else heal(*given)
    if found.pop("rank", 0):
        return
    print(summary(found))
    if options.store:
        write(STORED, about(found, options.smollm, length), [found])


def summary(found: dict[str, Any]) -> str:
    """The numbers of `heal` or `compare` in two or three lines."""
    losses = found["losses"]
    lines = [
        f"{found['processes']} processes, {len(losses)} steps, {found['tokens']} tokens: "
        f"loss {losses[0]:.4f} → {losses[-1]:.4f}",
        f"held out, head in one piece {found['whole']:.6f}, split over the processes {found['split']:.6f} nats",
    ]
    if "data_parallel" in found:
        lines.append(
            "gradient against that of one process, ‖difference‖ ÷ ‖gradient‖: "
            f"data parallel {found['data_parallel']:.1e}, vocabulary parallel {found['vocabulary_parallel']:.1e}"
        )
    return "\n".join(lines)


def stored_summary() -> str:
    """The stored run on the real model: its command, day and versions, and its numbers."""
    kept = json.loads(STORED.read_text("utf-8"))
    made = kept["about"]
    listed = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    return f"{made['command']}\n{made['date']}: {listed}\n{summary(kept['runs'][0])}"


def about(found: dict[str, Any], steps: int, length: int) -> dict[str, Any]:
    """The command, the day and the versions of a stored run."""
    launcher = f"torchrun --nproc-per-node {found['processes']}"
    return head(
        f"{launcher} -m kd_lab.lessons.l13_real_llm.at_scale --smollm {steps} --store",
        versions=versions(),
        threads=1,
        seed=0,
        texts="random ids, 4 texts per step",
        positions=length,
    )


if __name__ == "__main__":
    main()
