"""The longer pieces of lesson 02's experiments: a gradient's noise, greedy against beam, bytes on disk, free logits."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor, nn

from kd_lab.how import sampled, top_k
from kd_lab.how.sparse_file import save_sparse_teacher
from kd_lab.lessons.l02_word_and_sequence.exercises import END
from kd_lab.models import generate, target_logp
from kd_lab.where import beam_search
from kd_lab.worlds import Batch, World


def stray(student: nn.Module, teacher: nn.Module, texts: Batch, what: Any, how: Any, seed: int) -> float:
    """The mean squared distance of a batch's gradient, 32 texts each, from the mean over all batches."""
    gradients, read = [], what.bind(student, teacher, seed).read
    for rows in torch.arange(len(texts)).split(32):
        batch = texts[rows]
        loss = how(*read(batch), batch)
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(student.parameters()))]))
    stacked = torch.stack(gradients)
    return (stacked - stacked.mean(0)).square().sum(1).mean().item()


def slope(errors: Float[Tensor, "repeats most"], sizes: Sequence[int]) -> float:
    """The slope of log error against log N, for the typical error of a mean over N texts.

    Args:
        errors: price − exact loss of each text, in rows of texts that are independent.
        sizes: the N, each of which divides the length of a row: a row gives several means of few texts.
    """
    means = [errors.unflatten(1, (-1, size)).mean(-1) for size in sizes]
    typical = torch.stack([mean.square().mean().sqrt().log() for mean in means])
    n = torch.tensor(sizes, dtype=errors.dtype).log()
    return float(((n - n.mean()) * (typical - typical.mean())).sum() / (n - n.mean()).square().sum())


def split_prompts(world: World, length: int, asked: int, unseen: int, seed: int) -> tuple[World, Tensor]:
    """Draw prompts: the world with the texts of `asked` of them alone, and others for a test, [unseen, length]."""
    prompts, which = torch.unique(world.train.tokens[:, :length], dim=0, return_inverse=True)
    order = torch.randperm(len(prompts), generator=torch.Generator().manual_seed(seed))
    is_asked = torch.zeros(len(prompts), dtype=torch.bool)
    is_asked[order[:asked]] = True
    return replace(world, train=world.train[is_asked[which]]), prompts[order[asked : asked + unseen]]


def greedy_and_beam(model: nn.Module, prompts: Int[Tensor, "B P"], room: int, width: int = 5) -> tuple[Tensor, Tensor]:
    """The greedy text of a model after each prompt, and the best text of its beam: two [B, P + room]."""
    greedy = generate(model, prompts, room, greedy=True)
    beam = torch.full_like(greedy, END)
    for row, prompt in enumerate(prompts):
        best = beam_search(model, prompt, width=width, max_new_tokens=room)[0].tokens
        beam[row, : len(best)] = torch.tensor(best)
    return greedy, beam


@torch.no_grad()
def log_probability(model: nn.Module, tokens: Int[Tensor, "B L"], prompt_length: int) -> Float[Tensor, " B"]:
    """log p of what follows the prompt of each text, in nats."""
    batch = Batch.from_tokens(tokens, prompt_length=prompt_length, end=END)
    return target_logp(model, batch).where(batch.mask, 0.0).sum(1)


def bytes_per_token(
    logits: Float[Tensor, "N V"], ids: Int[Tensor, " N"], k: int, generator: torch.Generator
) -> dict[str, float]:
    """Write four caches of the same tokens to disk and weigh the files."""
    with TemporaryDirectory() as folder:
        full, text = Path(folder) / "logits.safetensors", Path(folder) / "text.safetensors"
        save_file({"logits": logits.half()}, full)
        save_file({"ids": ids.to(torch.uint16)}, text)  # two bytes name 65,536 tokens
        sizes = {
            "all logits": full.stat().st_size,
            "top k": save_sparse_teacher(top_k(logits, k), Path(folder) / "top"),
            "k sampled": save_sparse_teacher(sampled(logits, k, generator=generator), Path(folder) / "sampled"),
            "token ids": text.stat().st_size,
        }
    return {name: size / len(ids) for name, size in sizes.items()}


def minimise(
    loss: Callable[[Float[Tensor, "N V"]], Float[Tensor, " N"]], starts: int, vocabulary: int, seed: int
) -> Float[Tensor, "N V"]:
    """Probabilities of students that are nothing but logits, at the minimum of a loss; they begin at random."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(starts, vocabulary, dtype=torch.float64, generator=generator).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=0.1)
    for _ in range(500):
        optimizer.zero_grad()
        loss(logits).sum().backward()
        optimizer.step()
    return logits.detach().softmax(-1)
