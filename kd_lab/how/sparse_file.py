"""A sparse teacher on disk: one safetensors file with its tensors, what they mean, and a checksum over both."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from kd_lab.arguments import checked
from kd_lab.how.sparse_cache import ABSENT, SparseTeacher, checked_ids, rest_of
from kd_lab.models.files import MODEL, whole_file

_FORMAT = "kd_lab sparse teacher 2"
_OLD_FORMAT = "kd_lab sparse teacher 1"  # no mass of the rest, no checksum, no absent token
_DTYPES = {"ids": ("U16", "I32"), "logp": ("F16",), "tail_logp": ("F16",)}


@checked
def save_sparse_teacher(teacher: SparseTeacher, path: str | os.PathLike[str]) -> int:
    """Write to a safetensors file, whole or not at all: ids as uint16 where the vocabulary allows, log-probs as fp16.

    fp16 keeps three digits, which moves a probability of log-prob −8 by up to 0.4 %. A position costs 4·K bytes up to a
    vocabulary of 65,535 and 6·K beyond, and 2 more for the mass of the rest.

    Returns:
        The size of the file in bytes.

    Raises:
        ValueError: the teacher's ids or log-probabilities are none, so that it could not be read again.
        OSError: the file cannot be written; what was there before is untouched.
    """
    path = Path(path)
    tensors = _packed(teacher)
    metadata = {
        "format": _FORMAT,
        "vocabulary": str(teacher.vocabulary),
        "tail": teacher.tail,
        "temperature": repr(float(teacher.temperature)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with whole_file(path, MODEL) as part:
            save_file(tensors, part, metadata | {"sha256": _checksum(tensors, metadata)})
    except SafetensorError as error:
        raise OSError(
            f"{str(path)!r} could not be written ({error}); what was there before is untouched; is the disk full?"
        ) from error
    return path.stat().st_size


@checked
def load_sparse_teacher(path: str | os.PathLike[str]) -> SparseTeacher:
    """Read a file that `save_sparse_teacher` wrote; ids as int64 and log-probs as fp32, ready for use.

    A file of the first format has no mass of the rest. It is made up from what such a file does say: 1 − Σ p, and where
    fp16 left nothing of that at most V − K times the least likely token that was kept.

    Raises:
        ValueError: there is no such file, it is damaged, or it is another kind of file.
    """
    if not Path(path).is_file():
        raise ValueError(f"there is no sparse teacher at {str(path)!r}; write one with save_sparse_teacher")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            _check_header(file, metadata)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, not a mapping
        if metadata["format"] == _FORMAT and metadata.pop("sha256") != _checksum(tensors, metadata):
            raise ValueError("its content does not have the checksum that it names")
        return _unpacked(tensors, metadata)
    except Exception as error:  # the file's own words may be anything, in any type
        raise ValueError(
            f"{str(path)!r} is not a sparse teacher that can be read ({error}); expected a file written by "
            "save_sparse_teacher; write it again if it was cut short or damaged"
        ) from error


def _packed(teacher: SparseTeacher) -> dict[str, Tensor]:
    """The tensors as they stand in the file, where an absent token has id V and log-probability −inf."""
    present = teacher.ids != ABSENT
    ids = checked_ids(
        teacher.ids, teacher.logp, teacher.tail_logp, present.any(-1), teacher.vocabulary, teacher.tail
    ).masked_fill(~present, teacher.vocabulary)
    short = teacher.vocabulary < 2**16 or (teacher.vocabulary == 2**16 and bool(present.all()))
    tensors = {
        "ids": ids.to(torch.uint16 if short else torch.int32),
        "logp": _as_fp16(teacher.logp.masked_fill(~present, -torch.inf)),
    }
    if teacher.tail_logp is not None:
        tensors["tail_logp"] = _as_fp16(teacher.tail_logp)
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _as_fp16(logp: Tensor) -> Tensor:
    """In fp16, where an unlikely token does not become an impossible one."""
    least = torch.finfo(torch.float16).min
    return torch.where(logp == -torch.inf, logp, logp.clamp_min(least)).to(torch.float16)


def _unpacked(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> SparseTeacher:
    """The teacher, with every value checked."""
    vocabulary, tail = int(metadata["vocabulary"]), metadata["tail"]
    ids, logp = tensors["ids"].long(), tensors["logp"].float()
    tail_logp = tensors["tail_logp"].float() if "tail_logp" in tensors else None
    absent = (ids == vocabulary) & (metadata["format"] == _FORMAT)
    if (logp[absent] != -torch.inf).any():
        raise ValueError("a token that is absent has a probability")
    ids = ids.masked_fill(absent, ABSENT)
    if metadata["format"] == _OLD_FORMAT and tail == "bucket":
        most = logp.amin(-1) + torch.tensor(float(vocabulary - ids.shape[-1]), dtype=torch.float32).log()
        tail_logp = torch.minimum(rest_of(logp, torch.finfo(torch.float16).eps)[0], most)
    teacher = SparseTeacher(ids, logp, vocabulary, tail, float(metadata["temperature"]), tail_logp)
    if (ids[~absent] < 0).any():
        raise ValueError("an id is negative")
    checked_ids(ids, logp, tail_logp, (~absent).any(-1), vocabulary, tail)
    return teacher


def _check_header(file: safe_open, metadata: Mapping[str, str]) -> None:
    """Refuse names, dtypes and shapes that do not fit, before any tensor is read."""
    if metadata.get("format") not in (_FORMAT, _OLD_FORMAT):
        raise ValueError(f"its metadata is {metadata}")
    named = {"format", "vocabulary", "tail", "temperature"} | ({"sha256"} if metadata["format"] == _FORMAT else set())
    if set(metadata) != named:
        raise ValueError(f"its metadata names {', '.join(sorted(metadata))}; expected {', '.join(sorted(named))}")
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118, not a mapping
    optional = {"tail_logp"} if metadata["format"] == _FORMAT else set()
    if not {"ids", "logp"} <= set(slices) <= {"ids", "logp"} | optional:
        raise ValueError(f"it holds {', '.join(sorted(slices)) or 'no tensor'}; expected ids and logp")
    for name, tensor in slices.items():
        shape = tensor.get_shape() if name != "tail_logp" else [*tensor.get_shape(), slices["ids"].get_shape()[-1]]
        if tensor.get_dtype() not in _DTYPES[name] or shape != slices["ids"].get_shape():
            raise ValueError(f"its {name} has dtype {tensor.get_dtype()} and shape {tensor.get_shape()}")


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of the tensors and over the metadata."""
    digest = hashlib.sha256(repr(sorted(metadata.items())).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
