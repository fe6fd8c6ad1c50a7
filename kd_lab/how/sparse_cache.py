"""A teacher of whom K tokens per position were kept, the likeliest or draws, and the checks of such ids and numbers."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kd_lab.arguments import checked
from kd_lab.how.log_probabilities import is_traced
from kd_lab.how.reference import in_transform

TAILS = ("bucket", "sampled", "renormalize")
ABSENT = -1
"""The id that fills a position of which fewer than K tokens were kept."""

_ROUNDING = 0.02  # what fp16 or bf16 log-probabilities may move a sum of 1


@checked
@dataclass(frozen=True)
class SparseTeacher:
    """Parts of a teacher's next-token distributions. `sparse_teacher_kl` compares a student with them.

    Position for position it belongs to the logits that it was made from: of a batch's `[B, T, V]` it has row b and
    time t, and `teacher[rows]` picks the same rows as `batch[rows]`.

    >>> kept = SparseTeacher(torch.tensor([[2, 0]]), torch.tensor([[0.5, 0.25]]).log(), vocabulary=4, tail="bucket")
    >>> len(kept), kept[:1].ids
    (1, tensor([[2, 0]]))
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


@checked
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


@checked
def sampled(
    teacher_logits: Float[Tensor, "... V"], k: int, *, generator: torch.Generator, temperature: float = 1.0
) -> SparseTeacher:
    """k draws from the teacher at each position, with replacement: a token that is drawn twice stands there twice.

    Raises:
        ValueError: `k` is less than 1, the temperature is not positive, or the logits hold NaN.

    >>> sampled(torch.tensor([[0.0, 30.0]]), 3, generator=torch.Generator().manual_seed(0)).ids
    tensor([[1, 1, 1]])

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
    if logits.is_meta:
        raise ValueError("teacher_logits lie on the meta device, which holds no numbers; expected a teacher's logits")
    if not logits.is_floating_point() or logits.dim() == 0 or logits.shape[-1] == 0:
        raise ValueError(
            f"teacher_logits has dtype {logits.dtype} and shape {tuple(logits.shape)}; expected floating point "
            "numbers, [..., V]"
        )
    dtype = torch.promote_types(logits.dtype, torch.float32)
    logp = (logits.detach().to(dtype) / temperature).log_softmax(-1)
    if not is_traced(logp) and logp.isnan().any():
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


def check_tail(tail: str, divergence: str) -> None:
    """Refuse an unknown tail, and a divergence that does not exist with it.

    Raises:
        ValueError: naming the option, what came and what was expected.
    """
    if tail not in TAILS:
        raise ValueError(f"tail is {tail!r}; expected one of {', '.join(map(repr, TAILS))}")
    if tail == "sampled" and divergence != "forward_kl":
        raise ValueError(
            f'tail="sampled" came with divergence={divergence!r}; expected "forward_kl", the only one that is linear '
            'in the teacher and so has an unbiased estimate from samples; for others keep a top k and use tail="bucket"'
        )
    if tail == "renormalize" and divergence == "reverse_kl":
        raise ValueError(
            'tail="renormalize" came with divergence="reverse_kl", which is infinite: the student gives mass to tokens '
            'that this teacher calls impossible; use tail="bucket"'
        )


def check_layout(ids: Tensor, logp: Tensor, tail_logp: Tensor | None, positions: torch.Size | None = None) -> None:
    """Refuse ids and log-probabilities whose dtypes or shapes do not belong together; no value is looked at.

    Raises:
        ValueError: naming the tensor, what came and what was expected.
    """
    for name, tensor in (("teacher_logp", logp), ("tail_logp", tail_logp)):
        if tensor is not None and not tensor.is_floating_point():
            raise ValueError(f"{name} has dtype {tensor.dtype}; expected floating point numbers, nats")
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise ValueError(f"teacher_ids has dtype {ids.dtype}; expected integers")
    if ids.dim() == 0 or ids.shape != logp.shape or positions not in (None, ids.shape[:-1]) or not ids.shape[-1]:
        expected = f"{(*positions, 'K')}" if positions is not None else "one shape [..., K]"
        raise ValueError(
            f"teacher_ids has shape {tuple(ids.shape)} and teacher_logp {tuple(logp.shape)}; expected {expected} for "
            "both, K ≥ 1 tokens at each position of student_logits; fill up with id −1 where fewer were kept"
        )
    if tail_logp is not None and tail_logp.shape != ids.shape[:-1]:
        raise ValueError(
            f"tail_logp has shape {tuple(tail_logp.shape)}; expected {tuple(ids.shape[:-1])}, one log-probability for "
            "each position: that of all tokens that were not kept"
        )
    if len({tensor.device for tensor in (ids, logp, tail_logp) if tensor is not None}) > 1:
        raise ValueError(f"teacher_ids is on {ids.device} and a log-probability is not; expected one device")


def checked_ids(
    ids: Int[Tensor, "... K"],
    logp: Float[Tensor, "... K"],
    tail_logp: Float[Tensor, "..."] | None,
    mask: Bool[Tensor, "..."] | None,
    vocabulary: int,
    tail: str,
) -> Int[Tensor, "... K"]:
    """The ids as int64, all of them −1 where a position does not count; the values at all others are valid.

    Raises:
        ValueError: an id is outside the vocabulary, or stands twice where that has no meaning; the log-probabilities
            are none; a position that counts has no token.
    """
    if torch.compiler.is_compiling() or in_transform():  # which cannot look at numbers, an operator in them can
        return _checked_ids(ids, logp, tail_logp, mask, vocabulary, tail)
    return _looked_at(ids, logp, tail_logp, mask, vocabulary, tail)


def _looked_at(
    ids: Tensor, logp: Tensor, tail_logp: Tensor | None, mask: Tensor | None, vocabulary: int, tail: str
) -> Tensor:
    ids = ids.long()
    if mask is not None:
        ids = ids.masked_fill(~mask.unsqueeze(-1), ABSENT)
    present = ids != ABSENT
    _check_ids(ids, present, mask, vocabulary, tail)
    _check_logp(logp.detach().float(), None if tail_logp is None else tail_logp.detach().float(), present, tail)
    return ids


def _check_ids(ids: Tensor, present: Tensor, mask: Tensor | None, vocabulary: int, tail: str) -> None:
    kept = ids[present]
    if kept.numel() and not 0 <= kept.min() <= kept.max() < vocabulary:
        raise ValueError(
            f"teacher_ids run from {kept.min()} to {kept.max()}; expected 0 … {vocabulary - 1}, the student's "
            "vocabulary, or −1 for no token; check that both models use one tokenizer"
        )
    empty = ~present.any(-1) if mask is None else mask & ~present.any(-1)
    if empty.any():
        raise ValueError(
            f"{int(empty.sum())} positions that count have no token, nothing but id −1; expected one at least; "
            "give them False in the mask"
        )
    ordered = ids.sort(-1).values
    if tail != "sampled" and ((ordered[..., 1:] == ordered[..., :-1]) & (ordered[..., 1:] != ABSENT)).any():
        raise ValueError(
            f'tail="{tail}" came with the same id twice at one position; expected distinct tokens, as a top k has; '
            'write −1 in the place of a repeat; ids that were drawn with replacement need tail="sampled", where a '
            "repeat counts as often as it stands there"
        )


def _check_logp(logp: Tensor, tail_logp: Tensor | None, present: Tensor, tail: str) -> None:
    kept = logp[present]
    if not (kept <= _ROUNDING).all():
        raise ValueError(
            f"teacher_logp goes up to {kept.max()}; expected log-probabilities, 0 at most; write "
            "logits.log_softmax(-1) before you take the top k, so that the tokens that are dropped are counted too"
        )
    if tail == "sampled":
        if (kept == -torch.inf).any():
            raise ValueError("a draw has teacher_logp −inf; expected finite numbers: what is impossible is never drawn")
        return
    mass = logp.masked_fill(~present, -torch.inf).exp().sum(-1)
    counted = present.any(-1)
    if mass[counted].numel() and mass[counted].max() > 1 + _ROUNDING:
        raise ValueError(
            f"the probabilities of one position sum to {mass[counted].max():.4f}; expected 1 at most; were they taken "
            "before the softmax's normalisation?"
        )
    if tail == "renormalize" and (mass[counted] == 0).any():
        raise ValueError('the kept tokens of a position have no probability at all; use tail="bucket" or mask it')
    if tail == "bucket" and tail_logp is not None:
        total = (mass + tail_logp.exp())[counted]
        if not ((total - 1).abs() <= _ROUNDING).all():
            worst = total[(total - 1).abs().nan_to_num(nan=torch.inf).argmax()]
            raise ValueError(
                f"teacher_logp and tail_logp of one position sum to a probability of {worst:.4f}; expected 1; "
                "tail_logp is the log-probability of all tokens that were not kept"
            )


@torch.library.custom_op("kd_lab::checked_sparse_ids", mutates_args=())
def _checked_ids(
    ids: Tensor, logp: Tensor, tail_logp: Tensor | None, mask: Tensor | None, vocabulary: int, tail: str
) -> Tensor:
    """`checked_ids` as torch.compile and torch.func see it; an operator may not hand back what came in."""
    checked = _looked_at(ids, logp, tail_logp, mask, vocabulary, tail)
    return checked.clone() if checked.data_ptr() == ids.data_ptr() else checked


@_checked_ids.register_fake
def _(ids, logp, tail_logp, mask, vocabulary, tail):
    return torch.empty(ids.shape, dtype=torch.int64, device=ids.device)


@_checked_ids.register_vmap
def _(info, in_dims, *arguments):
    """The batch of a vmap is one more axis of positions."""
    *tensors, vocabulary, tail = arguments
    whole = [
        one if one is None else one.expand(info.batch_size, *one.shape) if place is None else one.movedim(place, 0)
        for one, place in zip(tensors, in_dims, strict=False)
    ]
    return _checked_ids(*whole, vocabulary, tail), 0
