"""Healing on several processes: the same recipe under torchrun, and a head that no process holds whole.

    torchrun --nproc-per-node 2 -m kd_lab.lessons.l13_real_llm.at_scale             # a tiny random Llama, seconds
    torchrun --nproc-per-node 2 -m kd_lab.lessons.l13_real_llm.at_scale --smollm 8  # SmolLM2, 8 steps, 20 layers

`distill` is data parallel by itself: each process reads its share of every batch, and the gradient is that of the whole
batch. The last lines compare a vocabulary-parallel loss with the one of a single process.
"""

import argparse
import os
from typing import Any

import torch
import torch.distributed as dist

from kd_lab.contracts import stream
from kd_lab.how import Divergence, linear_softmax_kl, vocab_parallel_softmax_kl
from kd_lab.lessons.l13_real_llm.pruning import evenly, shallower
from kd_lab.lessons.l13_real_llm.smollm import load_smollm
from kd_lab.methods import Recipe, distill
from kd_lab.models import HuggingFace
from kd_lab.what import Heads
from kd_lab.where import Corpus
from kd_lab.worlds import Batch, World

LETTERS = "abcdefgh "


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


def heal(teacher: HuggingFace, layers: int, world: World, steps: int, batch_size: int) -> dict[str, Any]:
    """Every process runs this: prune, train together, and compare two ways of computing one loss.

    Returns:
        The losses of all steps; the loss of the healed student on the held-out texts, by the head in one piece and by
        a head whose rows are split over the processes; and the number of processes.
    """
    student = shallower(teacher, evenly(len(teacher.model.get_decoder().layers), layers))
    recipe = Recipe("heads", Heads(), Divergence("forward_kl"), Corpus())
    result = distill(student, teacher, world, recipe, steps=steps, batch_size=batch_size, seed=0, progress=False)
    with torch.no_grad():
        batch = world.held_out
        own, their = student.factors(batch.inputs), teacher.factors(batch.inputs)
        whole = linear_softmax_kl(*own[:2], *their[:2], mask=batch.mask)
        rank, size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        rows = torch.arange(teacher.vocab_size).tensor_split(size)[rank]  # this process's share of the vocabulary
        shards = [head.hidden @ head.weight[rows].T for head in (own, their)]
        split = vocab_parallel_softmax_kl(*shards, mask=batch.mask) if dist.is_initialized() else whole
    return {
        "losses": result.history["loss"].tolist(),
        "tokens": int(result.history["tokens"][-1]),
        "whole": whole.item(),
        "split": split.item(),
        "processes": size,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smollm", type=int, metavar="STEPS", help="the real model instead of a tiny random one")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if "RANK" in os.environ:
        dist.init_process_group("gloo")
    teacher = load_smollm() if options.smollm else random_llama()
    layers, length, steps = (20, 96, options.smollm) if options.smollm else (4, 16, 30)
    found = heal(teacher, layers, noise(teacher, 32, length), steps, batch_size=4)
    if not dist.is_initialized() or dist.get_rank() == 0:
        first, last = found["losses"][0], found["losses"][-1]
        print(f"{found['processes']} processes, {steps} steps, {found['tokens']} tokens: loss {first:.4f} → {last:.4f}")
        print(f"held out, head in one piece {found['whole']:.6f}, split over the processes {found['split']:.6f} nats")
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
