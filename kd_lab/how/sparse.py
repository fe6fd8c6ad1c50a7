"""softmax_kl against a teacher of whom only a few tokens were kept: what the rest is worth depends on `tail`."""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from kd_lab.how.checks import check_options, check_positions
from kd_lab.how.chunked import CHUNK, as_matrix, take
from kd_lab.how.divergences import DIVERGENCES
from kd_lab.how.reduction import reduce

TAILS = ("bucket", "sampled", "renormalize")
_ROUNDING = 0.02  # what fp16 or bf16 log-probabilities may add to a sum of 1


def sparse_softmax_kl(
    student_logits: Float[Tensor, "... V"],
    teacher_ids: Int[Tensor, "... K"],
    teacher_logp: Float[Tensor, "... K_logp"],
    *,
    tail: str = "bucket",
    divergence: str = "forward_kl",
    beta: float = 0.5,
    temperature: float = 1.0,
    mask: Bool[Tensor, "..."] | None = None,
    reduction: str = "mean",
    normalizer: float | Tensor | None = None,
    scale_by_t2: bool = True,
    backend: str = "auto",
) -> Float[Tensor, "..."]:
    """The gap to a cached teacher: K token ids a position and their log-probabilities.

    "bucket": the K tokens and one more event, "any other token", on both sides. It is a divergence of two complete
    distributions, zero iff the student gives the K tokens the teacher's probabilities; it is at most the full
    divergence, and says nothing about how the rest is spread.

    "sampled": the ids were drawn from the teacher (with replacement). (1/K)·Σ (log p − log q) over the draws has the
    full forward KL as its expectation, and its gradient has the full gradient. A single value may be negative; it is
    not clamped, since that would be a bias.

    "renormalize": the K probabilities are scaled to sum to 1 and all else gets 0. Common, and biased: the gradient is
    q − p/Σ_K p, whose optimum puts all of the student's mass on the K tokens, however much the teacher kept off them.

    Cached log-probabilities cannot be re-tempered without the tokens that were dropped, so `temperature` must be the
    one they were taken (or drawn) at: it is applied to the student alone.

    Args:
        student_logits: [..., V].
        teacher_ids: [..., K], integers; distinct within a position for "bucket" and "renormalize".
        teacher_logp: [..., K], log p of these tokens (nats) at `temperature`.
        tail: what the tokens that were dropped are worth.
        divergence: any for "bucket"; for "sampled" only "forward_kl", which is linear in p; for "renormalize" any but
            "reverse_kl", which is infinite.
        beta, temperature, mask, reduction, normalizer, scale_by_t2: as in `softmax_kl`.
        backend: "reference" for the plain formula; "auto" or "chunked" for the same in chunks of rows.

    Returns:
        Nats: a scalar, or [...] with reduction "none".

    Raises:
        ValueError: shapes, ids, probabilities or options do not fit.

    Source: Anshumann et al., "Sparse Logit Sampling: Accelerating Knowledge Distillation in LLMs", 2503.16870, sections
    2 and 3.

    >>> logits = torch.tensor([[0.5, 0.25, 0.125, 0.125]]).log()
    >>> ids, logp = torch.tensor([[0, 1]]), torch.tensor([[0.5, 0.25]]).log()
    >>> sparse_softmax_kl(logits, ids, logp)  # the student is right
    tensor(0.)
    >>> sparse_softmax_kl(logits, ids, logp, tail="renormalize")  # and blamed for it: ln 4/3
    tensor(0.2877)
    """
    check_options(divergence, beta, temperature, reduction, normalizer)
    _check_tail(tail, divergence)
    if backend not in ("auto", "reference", "chunked"):
        raise ValueError(f'backend is {backend!r}; expected "auto", "reference" or "chunked" for a sparse teacher')
    mask = check_positions(mask, student_logits.shape[:-1], student_logits.device)
    _check_teacher(student_logits, teacher_ids, teacher_logp, mask, tail)

    counted = slice(None) if mask is None else mask
    logits, ids = student_logits[counted], teacher_ids[counted].long()
    dtype = torch.promote_types(torch.promote_types(logits.dtype, teacher_logp.dtype), torch.float32)
    logp = teacher_logp.detach()[counted].to(dtype)
    if backend == "reference" or dtype == torch.float64:
        student_logp = _events(logits.to(dtype), ids, temperature)
    else:
        student_logp = _Events.apply(logits, ids, temperature)
    if tail == "sampled":
        loss = (logp - student_logp[..., :-1]).mean(-1)
    else:
        # With the whole vocabulary kept, what the tokens leave of 1 is rounding, and the student has nothing there.
        has_bucket = tail == "bucket" and ids.shape[-1] < student_logits.shape[-1]
        loss = DIVERGENCES[divergence](student_logp, _complete(logp, has_bucket), beta)
    loss = DIVERGENCES[divergence].scale(temperature, scale_by_t2) * loss
    if mask is not None:
        loss = torch.zeros(mask.shape, dtype=loss.dtype, device=loss.device).masked_scatter(mask, loss)
    return reduce(loss, mask, reduction, normalizer)


def _complete(logp: Float[Tensor, "... K"], has_bucket: bool) -> Float[Tensor, "... K+1"]:
    """The teacher's log-probabilities of the K tokens and of the bucket: what they leave of 1, or nothing."""
    mass = logp.exp().sum(-1, keepdim=True)
    if not has_bucket:
        return torch.cat([logp - mass.log(), torch.full_like(mass, -torch.inf)], -1)
    # Rounded log-probabilities (fp16 on disk) may sum to a little more than 1; a distribution must not.
    excess = mass.clamp_min(1)
    return torch.cat([logp - excess.log(), (1 - mass / excess).log()], -1)


def _events(logits: Float[Tensor, "... V"], ids: Int[Tensor, "... K"], temperature: float) -> Float[Tensor, "... K+1"]:
    """log q of each id, and of all other tokens together, by the formula."""
    scaled = logits / temperature
    normaliser = scaled.logsumexp(-1, keepdim=True)
    others = scaled.scatter(-1, ids, -torch.inf).logsumexp(-1, keepdim=True)
    return torch.cat([scaled.gather(-1, ids), others], -1) - normaliser


class _Events(torch.autograd.Function):
    """`_events` and its gradient, a chunk of rows at a time, with the gradient as the only large tensor.

    With u the upstream gradient of the K + 1 events, U = Σ u, and r the student's distribution among the other tokens:
    the gradient of a logit is (u_id − U·q)/τ for one of the ids, and (u_rest·r − U·q)/τ for any other.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, logits, ids, temperature):
        rows = logits.shape[:-1]
        events = torch.empty(rows.numel(), ids.shape[-1] + 1, dtype=torch.float32, device=logits.device)
        normalisers = torch.empty(rows.numel(), 1, dtype=torch.float32, device=logits.device)
        for part, chunk, chosen in _chunks(logits, ids):
            scaled = chunk.float() / temperature
            normalisers[part] = scaled.logsumexp(-1, keepdim=True)
            events[part, :-1] = scaled.gather(-1, chosen)
            events[part, -1] = scaled.scatter_(-1, chosen, -torch.inf).logsumexp(-1)
            events[part] -= normalisers[part]
        ctx.save_for_backward(logits, ids, normalisers, events[:, -1:] + normalisers)
        ctx.temperature = temperature
        return events.view(*rows, events.shape[-1])

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, upstream):
        logits, ids, normalisers, normalisers_of_others = ctx.saved_tensors
        gradient = torch.empty(logits.shape, dtype=logits.dtype, device=logits.device)
        upstream = _rows(upstream) / ctx.temperature
        for part, chunk, chosen in _chunks(logits, ids):
            scaled, u = chunk.float() / ctx.temperature, upstream[part]
            result = (scaled - normalisers[part]).exp_().mul_(-u.sum(-1, keepdim=True))
            others = scaled.sub_(normalisers_of_others[part]).exp_().mul_(u[:, -1:]).scatter_(-1, chosen, 0.0)
            if not torch.isfinite(normalisers_of_others[part]).all():
                others.nan_to_num_(nan=0.0)  # no other token is possible, so none can gain or lose
            result.add_(others).scatter_add_(-1, chosen, u[:, :-1])
            as_matrix(gradient)[part] = result.to(gradient.dtype)
        return gradient, None, None


def _chunks(logits: Tensor, ids: Tensor) -> Iterator[tuple[slice, Float[Tensor, "R V"], Int[Tensor, "R K"]]]:
    rows, matrix, ids = logits.shape[:-1].numel(), as_matrix(logits), _rows(ids)
    step = max(1, CHUNK // logits.shape[-1])
    for start in range(0, rows, step):
        part = slice(start, min(start + step, rows))
        yield part, take(matrix, part), ids[part]


def _rows(tensor: Tensor) -> Tensor:
    """[..., K] as a matrix; the count of rows is spelt out, since −1 cannot be inferred for none."""
    return tensor.reshape(tensor.shape[:-1].numel(), tensor.shape[-1])


def _check_tail(tail: str, divergence: str) -> None:
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


def _check_teacher(
    student_logits: Tensor, teacher_ids: Tensor, teacher_logp: Tensor, mask: Tensor | None, tail: str
) -> None:
    positions, vocabulary = student_logits.shape[:-1], student_logits.shape[-1]
    if not student_logits.is_floating_point() or not teacher_logp.is_floating_point():
        raise ValueError(
            f"student_logits has dtype {student_logits.dtype} and teacher_logp {teacher_logp.dtype}; expected floating "
            "point numbers"
        )
    if teacher_ids.is_floating_point() or teacher_ids.dtype == torch.bool:
        raise ValueError(f"teacher_ids has dtype {teacher_ids.dtype}; expected integers")
    if teacher_ids.shape != teacher_logp.shape or teacher_ids.shape[:-1] != positions or not teacher_ids.shape[-1]:
        raise ValueError(
            f"teacher_ids has shape {tuple(teacher_ids.shape)} and teacher_logp {tuple(teacher_logp.shape)}; expected "
            f"{(*positions, 'K')} for both, K ≥ 1 tokens at each position of student_logits"
        )
    counted = slice(None) if mask is None else mask
    ids, logp = teacher_ids[counted].long(), teacher_logp[counted].float()
    if ids.numel() and not 0 <= ids.min() <= ids.max() < vocabulary:
        raise ValueError(
            f"teacher_ids run from {ids.min()} to {ids.max()}; expected 0 … {vocabulary - 1}, the student's vocabulary"
            "; check that both models use one tokenizer"
        )
    if not (logp <= _ROUNDING).all():
        raise ValueError(
            f"teacher_logp goes up to {logp.max()}; expected log-probabilities, 0 at most; write "
            "logits.log_softmax(-1) before you take the top k, so that the tokens that are dropped are counted too"
        )
    if tail == "sampled":
        return
    ordered = ids.sort(-1).values
    if (ordered[..., 1:] == ordered[..., :-1]).any():
        raise ValueError(
            f'tail="{tail}" came with the same id twice at one position; expected distinct tokens, as a top k has; ids '
            'that were drawn with replacement need tail="sampled"'
        )
    if (mass := logp.exp().sum(-1)).numel() and mass.max() > 1 + _ROUNDING:
        raise ValueError(
            f"the probabilities of one position sum to {mass.max():.4f}; expected 1 at most; were they taken before "
            "the softmax's normalisation?"
        )
