"""A teacher of whom K tokens per position were kept: the likeliest, or draws."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kd_lab.how.sparse_checks import TAILS, check_layout


@dataclass(frozen=True)
class SparseTeacher:
    """Parts of a teacher's next-token distributions. `sparse_teacher_kl` compares a student with them.

    Position for position it belongs to the logits that it was made from: of a batch's `[B, T, V]` it has row b and
    time t, and `teacher[rows]` picks the same rows as `batch[rows]`.
    """

    ids: Int[Tensor, "... K"]  # −1 where fewer than K tokens were kept
    logp: Float[Tensor, "... K"]  # nats, of the whole vocabulary's softmax at `temperature`
    vocabulary: int  # size of the teacher's vocabulary
    tail: str  # "bucket" for a top k, "sampled" for draws: the `tail` to give to `sparse_softmax_kl`
    temperature: float = 1.0
    tail_logp: Float[Tensor, "..."] | None = None  # nats, of all tokens that were not kept; draws have none

    def __post_init__(self):
        check_layout(self.ids, self.logp, self.tail_logp)
        if self.tail not in TAILS:
            raise ValueError(f"tail is {self.tail!r}; expected one of {', '.join(map(repr, TAILS))}")
        if type(self.vocabulary) is not int or not 0 < self.vocabulary < 2**31:
            raise ValueError(f"vocabulary is {self.vocabulary!r}; expected the size of the teacher's, 1 or more")
        _check_temperature(self.temperature)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: Int[Tensor, " N"] | Bool[Tensor, "..."] | slice) -> "SparseTeacher":
        tail_logp = None if self.tail_logp is None else self.tail_logp[rows]
        return replace(self, ids=self.ids[rows], logp=self.logp[rows], tail_logp=tail_logp)

    def to(self, device: torch.device | str) -> "SparseTeacher":
        """The same on another device."""
        tail_logp = None if self.tail_logp is None else self.tail_logp.to(device)
        return replace(self, ids=self.ids.to(device), logp=self.logp.to(device), tail_logp=tail_logp)


def top_k(teacher_logits: Float[Tensor, "... V"], k: int, *, temperature: float = 1.0) -> SparseTeacher:
    """The k likeliest tokens of each position, likeliest first, and the mass of all others.

    Raises:
        ValueError: `k` is not between 1 and V, the temperature is not positive, or the logits hold NaN.

    >>> kept = top_k(torch.tensor([[0.0, 2.0, 1.0]]), 2)
    >>> kept.ids, kept.logp, kept.tail_logp
    (tensor([[1, 2]]), tensor([[-0.4076, -1.4076]]), tensor([-2.4076]))
    """
    everything = _log_softmax(teacher_logits, temperature)
    _check_count(k, everything.shape[-1])
    logp, ids = everything.topk(k, dim=-1)
    # In log space: 1 − Σ p has nothing left where the kept tokens round to 1.
    tail_logp = everything.scatter_(-1, ids, -torch.inf).logsumexp(-1)
    return SparseTeacher(ids, logp, everything.shape[-1], "bucket", float(temperature), tail_logp)


def sampled(
    teacher_logits: Float[Tensor, "... V"], k: int, *, generator: torch.Generator, temperature: float = 1.0
) -> SparseTeacher:
    """k draws from the teacher at each position, with replacement: a token that is drawn twice stands there twice.

    Raises:
        ValueError: `k` is less than 1, the temperature is not positive, or the logits hold NaN.

    Source: Anshumann et al., "Sparse Logit Sampling", 2503.16870, section 3 (with the teacher itself as proposal).
    """
    _check_count(k, None)
    logp = _log_softmax(teacher_logits, temperature)
    rows = logp.reshape(logp.shape[:-1].numel(), logp.shape[-1]).exp()
    ids = torch.multinomial(rows, k, replacement=True, generator=generator).view(*logp.shape[:-1], k)
    return SparseTeacher(ids, logp.gather(-1, ids), logp.shape[-1], "sampled", float(temperature))


def rest_of(logp: Float[Tensor, "... K"], resolution: float) -> tuple[Float[Tensor, "..."], Bool[Tensor, "..."]]:
    """log(1 − Σ p), for want of a tail that was kept, and where it is no more than rounding.

    1 − Σ p is taken to be its own rounding at least, so that its log is finite.

    Args:
        logp: log-probabilities of the kept tokens, −inf for none.
        resolution: the relative rounding of the numbers in `logp`.
    """
    p = logp.exp()
    rounding = resolution * torch.special.entr(p).sum(-1) + torch.finfo(p.dtype).eps  # d p = p · d log p
    rest = 1 - p.sum(-1)
    return torch.maximum(rest, rounding).log(), rest <= rounding


def _log_softmax(logits: Tensor, temperature: float) -> Tensor:
    _check_temperature(temperature)
    if not logits.is_floating_point() or logits.dim() == 0 or logits.shape[-1] == 0:
        raise ValueError(
            f"teacher_logits has dtype {logits.dtype} and shape {tuple(logits.shape)}; expected floating point "
            "numbers, [..., V]"
        )
    dtype = torch.promote_types(logits.dtype, torch.float32)
    logp = (logits.detach().to(dtype) / temperature).log_softmax(-1)
    if logp.isnan().any():
        raise ValueError(
            f"teacher_logits make no distribution at {int(logp.isnan().any(-1).sum())} positions (NaN, +inf, or −inf "
            "throughout); expected finite logits, and −inf for impossible tokens; leave such positions out"
        )
    return logp


def _check_temperature(temperature: float) -> None:
    if isinstance(temperature, bool) or not isinstance(temperature, int | float) or not 0 < temperature < math.inf:
        raise ValueError(f"temperature is {temperature!r}; expected a positive number")


def _check_count(k: int, vocabulary: int | None) -> None:
    if isinstance(k, bool) or not isinstance(k, int) or k < 1 or (vocabulary is not None and k > vocabulary):
        most = "or more" if vocabulary is None else f"… {vocabulary}"
        raise ValueError(f"k is {k!r}; expected 1 {most}, the number of tokens to keep at each position")
