"""A teacher on disk: K tokens a position with their log-probabilities, written and read back as safetensors."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

_FORMAT = "kd_lab sparse teacher 1"


@dataclass(frozen=True)
class SparseTeacher:
    """What was kept of a teacher's next-token distributions; feed it to `sparse_softmax_kl`."""

    ids: Int[Tensor, "... K"]
    logp: Float[Tensor, "... K"]  # nats, of the whole vocabulary's softmax at `temperature`
    vocabulary: int  # size of the teacher's vocabulary
    tail: str  # "bucket" for a top k, "sampled" for draws: the `tail` to give to `sparse_softmax_kl`
    temperature: float = 1.0


def top_k(teacher_logits: Float[Tensor, "... V"], k: int, *, temperature: float = 1.0) -> SparseTeacher:
    """The k likeliest tokens of each position, likeliest first.

    Raises:
        ValueError: `k` is not between 1 and V.

    >>> kept = top_k(torch.tensor([[0.0, 2.0, 1.0]]), 2)
    >>> kept.ids, kept.logp
    (tensor([[1, 2]]), tensor([[-0.4076, -1.4076]]))
    """
    _check_count(k, teacher_logits.shape[-1])
    logp, ids = _log_softmax(teacher_logits, temperature).topk(k, dim=-1)
    return SparseTeacher(ids, logp, teacher_logits.shape[-1], "bucket", temperature)


def sampled(
    teacher_logits: Float[Tensor, "... V"], k: int, *, generator: torch.Generator, temperature: float = 1.0
) -> SparseTeacher:
    """k draws from the teacher at each position, with replacement.

    Raises:
        ValueError: `k` is less than 1.

    Source: Anshumann et al., "Sparse Logit Sampling", 2503.16870, section 3 (with the teacher itself as proposal).
    """
    _check_count(k, None)
    logp = _log_softmax(teacher_logits, temperature)
    rows = logp.reshape(-1, logp.shape[-1]).exp()
    ids = torch.multinomial(rows, k, replacement=True, generator=generator).view(*logp.shape[:-1], k)
    return SparseTeacher(ids, logp.gather(-1, ids), logp.shape[-1], "sampled", temperature)


def save_sparse_teacher(teacher: SparseTeacher, path: str | os.PathLike) -> int:
    """Write to a safetensors file, whole or not at all: ids as uint16 where the vocabulary allows, log-probs as fp16.

    fp16 keeps three digits, which moves a probability of log-prob −8 by up to 0.4 %. A position costs 4·K bytes up to a
    vocabulary of 65,536 and 6·K beyond.

    Returns:
        The size of the file in bytes.
    """
    path = Path(path)
    tensors = {
        "ids": teacher.ids.to(torch.uint16 if teacher.vocabulary <= 2**16 else torch.int32).contiguous(),
        "logp": teacher.logp.to(torch.float16).contiguous(),
    }
    metadata = {
        "format": _FORMAT,
        "vocabulary": str(teacher.vocabulary),
        "tail": teacher.tail,
        "temperature": repr(teacher.temperature),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        written = Path(folder) / path.name
        save_file(tensors, written, metadata)
        written.replace(path)
    return path.stat().st_size


def load_sparse_teacher(path: str | os.PathLike) -> SparseTeacher:
    """Read what `save_sparse_teacher` wrote; ids as int64 and log-probs as fp32, ready for use.

    Raises:
        ValueError: the file is no such file.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise ValueError(f"its metadata is {metadata}")
            ids, logp = file.get_tensor("ids"), file.get_tensor("logp")
    except FileNotFoundError:
        raise
    except Exception as error:
        raise ValueError(
            f"{path} is not a sparse teacher ({error}); expected a file written by save_sparse_teacher; write it again "
            "if it was cut short"
        ) from error
    return SparseTeacher(
        ids.long(), logp.float(), int(metadata["vocabulary"]), metadata["tail"], float(metadata["temperature"])
    )


def _log_softmax(logits: Tensor, temperature: float) -> Tensor:
    dtype = torch.promote_types(logits.dtype, torch.float32)
    return (logits.detach().to(dtype) / temperature).log_softmax(-1)


def _check_count(k: int, vocabulary: int | None) -> None:
    if k < 1 or (vocabulary is not None and k > vocabulary):
        most = "or more" if vocabulary is None else f"… {vocabulary}"
        raise ValueError(f"k is {k}; expected 1 {most}, the number of tokens to keep at each position")
