"""The worth of a healed student after training: fewer bits, speculative decoding, memory, seconds per token."""

import copy
import gc
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kd_lab.compress.quantize import Scheme, round_matrix
from kd_lab.how import linear_softmax_kl, softmax_kl
from kd_lab.lessons.l13_real_llm.study import Study
from kd_lab.models import HuggingFace, generate, speculate
from kd_lab.models.reading import evaluating
from kd_lab.worlds.next_tokens import NextTokens, collect

GROUP = 32  # weights that share a scale
GUESSES = (1, 2, 4)


def quantized(model: HuggingFace, bits: int) -> tuple[HuggingFace, int]:
    """A copy whose matrices stand on the grid of so many bits, and the bytes that it takes on disk.

    Every linear layer and the embedding, which is also the head; norms keep 16 bits. Products are in float32.
    """
    result, scheme, stored, seen = copy.deepcopy(model), Scheme(bits, group=GROUP), 0, set()
    for module in result.model.modules():
        weight = getattr(module, "weight", None)
        if weight is None or id(weight) in seen:
            continue
        seen.add(id(weight))
        if isinstance(module, nn.Linear | nn.Embedding):
            matrix = round_matrix(weight.detach(), scheme)
            weight.data.copy_(matrix.dequantize())
            stored += matrix.stored_bits
        else:
            stored += 16 * weight.numel()
    return result, stored // 8


def half_bytes(model: HuggingFace) -> int:
    """Bytes of all weights at 16 bits each."""
    return 2 * sum(weight.numel() for weight in model.parameters())


# ---- memory ----------------------------------------------------------------------------------------------------------


def loss_memory(vocabulary: int, width: int, positions: int, materialise: bool) -> dict[str, Any]:
    """Bytes that one forward and backward pass of the loss alone adds at its peak, and its seconds.

    It runs in a process of its own, since one that has worked before has memory to spare that no count sees. Hidden
    states and head are noise: memory and time do not depend on what they hold. The peak is None where the system does
    not count it.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        peak, seconds = process.submit(_measured_loss, vocabulary, width, positions, materialise).result()
    logits = 4 * positions * vocabulary
    return {"positions": positions, "materialised": materialise, "peak": peak, "logits": logits, "seconds": seconds}


def _measured_loss(vocabulary: int, width: int, positions: int, materialise: bool) -> tuple[int | None, float]:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    weight, hidden, teacher_hidden = (
        torch.randn(rows, width, generator=generator) for rows in (vocabulary, positions, positions)
    )

    def run(hidden: Tensor, teacher_hidden: Tensor) -> None:
        if materialise:
            softmax_kl(hidden @ weight.T, teacher_hidden @ weight.T, backend="reference").backward()
        else:
            linear_softmax_kl(hidden, weight, teacher_hidden, weight).backward()

    run(hidden[:1].clone().requires_grad_(True), teacher_hidden[:1])  # code that is loaded at the first call
    hidden.requires_grad_(True)
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # Linux: forget the peak so far
        before = _status("VmRSS")
    except OSError:
        before = None
    start = time.perf_counter()
    run(hidden, teacher_hidden)
    seconds = time.perf_counter() - start
    return None if before is None else _status("VmHWM") - before, seconds


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{field}:"))


# ---- speculative decoding --------------------------------------------------------------------------------------------


def _timed(run) -> tuple[float, Any]:
    start = time.perf_counter()
    result = run()
    return time.perf_counter() - start, result


def speculation(study: Study, draft: HuggingFace, row: int) -> dict[str, Any]:
    """One held-out prompt, continued plainly and with each number of guesses, the ways in turn.

    Both sample at temperature 1. Under load seconds are worth little; the ratio within one prompt is what counts.
    """
    teacher, budget = study.teacher, study.budget
    batch = study.world.held_out
    prompt = batch.tokens[row, : int(batch.prompt_lengths[row])]
    generator = torch.Generator().manual_seed(budget.seed + row)
    new = min(budget.new_tokens, teacher.context - len(prompt))
    seconds, text = _timed(lambda: generate(teacher, prompt[None], new, generator=generator)[0])
    written = _length(text[len(prompt) :], teacher.end)
    runs = []
    for guesses in GUESSES:
        taken, found = _timed(
            lambda guesses=guesses: speculate(teacher, draft, prompt, new, guesses=guesses, generator=generator)
        )
        runs.append(
            {
                "guesses": guesses,
                "seconds": round(taken, 3),
                "tokens": len(found.tokens) - len(prompt),
                "calls": found.calls,
                "guessed": found.guessed,
                "accepted": found.accepted,
            }
        )
    return {"row": row, "plain_seconds": round(seconds, 3), "plain_tokens": written, "runs": runs}


def _length(new: Tensor, end: int) -> int:
    ends = (new == end).nonzero()
    return len(new) if not len(ends) else int(ends[0]) + 1


@torch.no_grad()
def call_seconds(model: HuggingFace, prompt: Tensor, widths: tuple[int, ...], rounds: int = 8) -> dict[int, float]:
    """Seconds of a call that reads so many new tokens behind a prompt, the median of `rounds`, by width."""
    taken: dict[int, list[float]] = {width: [] for width in widths}
    with evaluating(model):
        for _ in range(rounds):
            for width in widths:
                cache = model.new_cache(1, len(prompt) + width)
                model(prompt[None], cache=cache)
                new = prompt[:1].expand(width)[None]
                taken[width].append(_timed(lambda new=new, cache=cache: model(new, cache=cache))[0])
    return {width: sorted(some)[len(some) // 2] for width, some in taken.items()}


# ---- next-token distributions ----------------------------------------------------------------------------------------


@torch.no_grad()
def next_tokens(study: Study, models: dict[str, HuggingFace], prompts: int = 200) -> NextTokens:
    """The models' distributions at prompts cut out of the held-out texts, five or so from each.

    Args:
        study: its teacher is the first model.
        models: further ones by name.
        prompts: how many.
    """
    batch = study.world.held_out
    each = -(-prompts // len(batch))
    places = []
    for row in range(len(batch)):
        counted = batch.mask[row].nonzero()[:, 0].tolist()
        places += [(row, counted[round((i + 0.5) * len(counted) / each - 0.5)]) for i in range(each)]
    rows, columns = map(torch.tensor, zip(*places[:prompts], strict=True))
    logp = {}
    for name, model in {"teacher": study.teacher, **models}.items():
        parts = []
        with evaluating(model):
            for row in range(len(batch)):
                if (mine := columns[rows == row]).numel():
                    parts.append(model(batch.inputs[row : row + 1])[0, mine].log_softmax(-1))
        logp[name] = torch.cat(parts)
    backend = study.teacher.tokenizer.backend
    shown = [backend.decode(batch.tokens[row, : column + 1]) for row, column in places[:prompts]]
    actual = [backend.decode([int(batch.targets[row, column])]) for row, column in places[:prompts]]
    k = min(48, next(iter(logp.values())).shape[-1])
    return collect(logp, shown, actual, lambda i: backend.decode([i]), k=k)
