"""A sparse teacher's ids and log-probabilities, checked before they are believed: for a loss, and from a file."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

TAILS = ("bucket", "sampled", "renormalize")
ABSENT = -1
"""The id that fills a position of which fewer than K tokens were kept."""

_ROUNDING = 0.02  # what fp16 or bf16 log-probabilities may move a sum of 1


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
    if torch.compiler.is_compiling():  # a graph cannot look at numbers, an operator in it can
        return _checked_ids(ids, logp, tail_logp, mask, vocabulary, tail)
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
    """`checked_ids` as torch.compile sees it; an operator may not hand back what came in."""
    checked = checked_ids(ids, logp, tail_logp, mask, vocabulary, tail)
    return checked.clone() if checked.data_ptr() == ids.data_ptr() else checked


@_checked_ids.register_fake
def _(ids, logp, tail_logp, mask, vocabulary, tail):
    return torch.empty(ids.shape, dtype=torch.int64, device=ids.device)
