"""softmax_kl against a teacher of whom only a few tokens were kept: `tail` says how the others count.

"bucket": the K tokens and one more event, "any other token", on both sides. It is a divergence of two complete
distributions, zero iff the student gives the K tokens the teacher's probabilities; it is at most the full divergence,
and says nothing about how the rest is spread.

"sampled": the ids were drawn from the teacher (with replacement). (1/K)·Σ (log p − log q) over the draws has the full
forward KL as its expectation, and its gradient has the full gradient. A single value may be negative; it is not
clamped, since that would be a bias. A token that was drawn twice stands there twice and counts twice.

"renormalize": the K probabilities are scaled to sum to 1 and all else gets 0. Common, and biased: the gradient is
q − p/Σ_K p, whose optimum puts all of the student's mass on the K tokens, however much the teacher kept off them.

The mass of the bucket cannot be had from kept tokens that round to 1: its log is then −∞ and reverse KL infinite, on an
ordinary teacher. So a cache keeps it (`top_k` does), and it comes in as `tail_logp`. Without it the rest is 1 − Σ_K p,
and at least the rounding of that sum: finite, but for a sure teacher no more than a rough figure.

Cached log-probabilities cannot be re-tempered without the tokens that were dropped.
"""

from inspect import unwrap
from typing import TypedDict, Unpack

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kd_lab.arguments import check, checked
from kd_lab.how.checks import check_options, check_positions, check_vocabulary, check_weights
from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.reduction import reduce
from kd_lab.how.reference import in_transform
from kd_lab.how.sparse_cache import ABSENT, SparseTeacher, check_layout, check_tail, checked_ids, rest_of
from kd_lab.how.sparse_events import reference_events, sparse_events


@checked
def sparse_softmax_kl(
    student_logits: Float[Tensor, "... V"],
    teacher_ids: Int[Tensor, "... K"],
    teacher_logp: Float[Tensor, "... K_logp"],
    *,
    tail: str = "bucket",
    tail_logp: Float[Tensor, "..."] | None = None,
    divergence: str = "forward_kl",
    beta: float = 0.5,
    temperature: float = 1.0,
    mask: Bool[Tensor, "..."] | None = None,
    reduction: str = "mean",
    normalizer: float | Tensor | None = None,
    scale_by_t2: bool = True,
    backend: str = "auto",
    weights: Float[Tensor, "..."] | None = None,
) -> Float[Tensor, "..."]:
    """The gap to a cached teacher: K token ids per position and their log-probabilities.

    Args:
        student_logits: [..., V].
        teacher_ids: [..., K], integers, −1 where fewer than K were kept; distinct at each position unless sampled.
        teacher_logp: [..., K], log p of these tokens (nats) at `temperature`, which softens the student alone.
        tail: "bucket", "sampled" or "renormalize".
        tail_logp: [...], log of the mass of all other tokens (nats) at `temperature`, read by "bucket" alone.
        divergence: any for "bucket"; "forward_kl" for "sampled", as it is linear in p; for "renormalize" any but
            "reverse_kl", which is infinite.
        beta, temperature, mask, reduction, normalizer, scale_by_t2, weights: as in `softmax_kl`.
        backend: "reference" for the plain formula; "auto" or "chunked" for the same in chunks of rows.

    Returns:
        Nats: a scalar, or [...] with reduction "none". The teacher is detached; derivatives of any order exist.

    Raises:
        ValueError: shapes, ids, probabilities or options do not fit, or a position that counts has no token.

    Source: Anshumann et al., "Sparse Logit Sampling", 2503.16870, sections 2 and 3.

    >>> logits = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()
    >>> ids, logp = torch.tensor([[0, 1]]), torch.tensor([[0.5, 0.25]]).log()
    >>> sparse_softmax_kl(logits, ids, logp)  # the student is right
    tensor(0.)
    >>> sparse_softmax_kl(logits, ids, logp, tail="renormalize")  # and blamed for it: ln 4/3
    tensor(0.2877)
    """
    check_options(divergence, beta, temperature, reduction, normalizer)
    check_tail(tail, divergence)
    mask = _check_student(student_logits, mask, backend)
    weights = check_weights(weights, student_logits, mask)
    check_layout(teacher_ids, teacher_logp, tail_logp, student_logits.shape[:-1])
    ids = checked_ids(teacher_ids, teacher_logp, tail_logp, mask, student_logits.shape[-1], tail)
    dtype = torch.promote_types(torch.promote_types(student_logits.dtype, teacher_logp.dtype), torch.float32)
    if backend == "reference" or dtype == torch.float64 or in_transform():
        student_logp = reference_events(student_logits.to(dtype), ids, temperature)
    else:
        student_logp = sparse_events(student_logits, ids, temperature)
    kept = teacher_logp.detach(), None if tail_logp is None else tail_logp.detach()
    loss = _losses(ids, student_logp, *kept, tail, divergence, beta, student_logits.shape[-1])
    loss = DIVERGENCES[divergence].scale(temperature, scale_by_t2) * loss
    return reduce(loss, mask, reduction, normalizer, weights)


class SparseOptions(TypedDict, total=False):
    """The options of `sparse_softmax_kl`, for functions that hand them on."""

    tail: str
    tail_logp: Float[Tensor, "..."] | None
    divergence: str
    beta: float
    temperature: float
    mask: Bool[Tensor, "..."] | None
    reduction: str
    normalizer: float | Tensor | None
    scale_by_t2: bool
    backend: str
    weights: Float[Tensor, "..."] | None


@checked
def sparse_teacher_kl(
    student_logits: Float[Tensor, "... V"], teacher: SparseTeacher, **options: Unpack[SparseOptions]
) -> Float[Tensor, "..."]:
    """`sparse_softmax_kl` to a cache, at the cache's own temperature and with its own tail.

    Args:
        student_logits: [..., V], at the positions of the cache.
        teacher: ids and log-probabilities at the same positions.
        options: as in `sparse_softmax_kl`; `tail` may be "renormalize" in place of "bucket".

    Returns:
        Nats: a scalar, or [...] with reduction "none".

    Raises:
        ValueError: as `sparse_softmax_kl`; the vocabularies differ; a temperature other than the cache's is asked for.

    >>> from kd_lab.how import top_k
    >>> teacher = torch.tensor([[25.0, 0.0, 0.0, 0.0]])
    >>> sparse_teacher_kl(torch.zeros(1, 4), top_k(teacher, 1), divergence="reverse_kl")
    tensor(17.3637)
    """
    check(unwrap(sparse_softmax_kl), (), options)
    check_vocabulary(student_logits.shape[-1], teacher.vocabulary, "logits[..., :V]")
    temperature = options.pop("temperature", teacher.temperature)
    if temperature != teacher.temperature:
        raise ValueError(
            f"temperature is {temperature} and the cache's {teacher.temperature}; expected the same, since a cache "
            "cannot be re-tempered without the tokens that it dropped; leave it out, or make the cache anew"
        )
    options = {"tail": teacher.tail, "tail_logp": teacher.tail_logp} | options
    if "sampled" in (teacher.tail, options["tail"]) and teacher.tail != options["tail"]:
        raise ValueError(f"tail is {options['tail']!r} and the cache's {teacher.tail!r}; draws are no top k")
    return sparse_softmax_kl(student_logits, teacher.ids, teacher.logp, temperature=temperature, **options)


def _losses(
    ids: Int[Tensor, "... K"],
    student_logp: Float[Tensor, "... K+1"],
    logp: Float[Tensor, "... K"],
    tail_logp: Float[Tensor, "..."] | None,
    tail: str,
    divergence: str,
    beta: float,
    vocabulary: int,
) -> Float[Tensor, "..."]:
    """The divergence at each position, 0 where there is no token."""
    if tail == "sampled":
        return _mean_over_draws(student_logp[..., :-1], logp.to(student_logp.dtype), ids)
    possible = student_logp.detach()[..., -1] > -torch.inf
    rest = _rest(ids, logp, tail_logp, tail, vocabulary, possible).to(student_logp.dtype)
    return DIVERGENCES[divergence](student_logp, _complete(logp.to(student_logp.dtype), ids, rest), beta)


def _rest(
    ids: Int[Tensor, "... K"],
    logp: Float[Tensor, "... K"],
    tail_logp: Float[Tensor, "..."] | None,
    tail: str,
    vocabulary: int,
    possible: Bool[Tensor, "..."],
) -> Float[Tensor, "..."]:
    """The teacher's log-mass off the kept tokens; `possible` is where the student has any such token."""
    absent = ids == ABSENT
    nothing = (~absent).sum(-1) == vocabulary  # there is no other token, whatever rounding says
    if tail == "renormalize":
        return torch.full(nothing.shape, -torch.inf, device=ids.device).masked_fill(absent.all(-1), 0.0)
    if tail_logp is not None:
        rest = tail_logp
    else:
        exact = logp.to(torch.promote_types(logp.dtype, torch.float32)).masked_fill(absent, -torch.inf)
        rest, is_rounding = rest_of(exact, torch.finfo(logp.dtype).eps)
        nothing |= is_rounding & ~possible
    return rest.masked_fill(nothing, -torch.inf).masked_fill(absent.all(-1), 0.0)


def _complete(
    logp: Float[Tensor, "... K"], ids: Int[Tensor, "... K"], rest: Float[Tensor, "..."]
) -> Float[Tensor, "... K+1"]:
    """The teacher's log-probabilities of the kept tokens and of the rest; rounding on disk may not move their sum."""
    return torch.cat([logp.masked_fill(ids == ABSENT, -torch.inf), rest.unsqueeze(-1)], -1).log_softmax(-1)


def _mean_over_draws(
    student_logp: Float[Tensor, "... K"], teacher_logp: Float[Tensor, "... K"], ids: Int[Tensor, "... K"]
) -> Float[Tensor, "..."]:
    """(1/n)·Σ (log p − log q) over the n draws of each position."""
    absent = ids == ABSENT
    gap = (teacher_logp - student_logp).masked_fill(absent, 0.0).sum(-1)
    return gap / (~absent).sum(-1).clamp_min(1)


def _check_student(student_logits: Tensor, mask: Tensor | None, backend: str) -> Tensor | None:
    """Refuse logits, a mask or a backend that do not fit; return the mask on the logits' device."""
    if backend not in ("auto", "reference", "chunked"):
        raise ValueError(f'backend is {backend!r}; expected "auto", "reference" or "chunked" for a sparse teacher')
    if not student_logits.is_floating_point() or student_logits.dim() == 0:
        raise ValueError(
            f"student_logits has dtype {student_logits.dtype} and shape {tuple(student_logits.shape)}; expected "
            "floating point numbers, [..., V]"
        )
    return check_positions(mask, student_logits.shape[:-1], student_logits.device)
