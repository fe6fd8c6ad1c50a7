"""The student as a sparse teacher sees it: log q of each kept token, and of all others together."""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kd_lab.how.chunked import CHUNK, as_matrix, row_chunks, take
from kd_lab.how.linear_sweep import LOGITS
from kd_lab.how.sparse_cache import ABSENT


def reference_events(
    logits: Float[Tensor, "... V"], ids: Int[Tensor, "... K"], temperature: float
) -> Float[Tensor, "... K+1"]:
    """log q of each id, −inf where the id is −1, and last that of all other tokens together, by the formula.

    A position with no id at all is never read: all of its mass lies in the rest, whose log is 0.
    """
    absent, chosen = _chosen(ids)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    scaled = torch.where(absent.all(-1, keepdim=True), 0.0, logits) / temperature
    normaliser = scaled.logsumexp(-1, keepdim=True)
    others = torch.where(absent.all(-1, keepdim=True), scaled, scaled.scatter(-1, chosen, -torch.inf))
    impossible = (others == -torch.inf).all(-1, keepdim=True)  # the gradient of its logsumexp would be NaN
    rest = others.masked_fill(impossible, 0.0).logsumexp(-1, keepdim=True).masked_fill(impossible, -torch.inf)
    return torch.cat([scaled.gather(-1, chosen).masked_fill(absent, -torch.inf), rest], -1) - normaliser


def sparse_events(
    logits: Float[Tensor, "... V"], ids: Int[Tensor, "... K"], temperature: float
) -> Float[Tensor, "... K+1"]:
    """`reference_events` in fp32, a chunk of rows at a time; the only large tensor is the gradient.

    With u the upstream gradient of the K + 1 events, U = Σ u, and r the student's distribution among the other tokens:
    the gradient of a logit is (u_id − U·q)/τ for one of the ids, and (u_rest·r − U·q)/τ for any other.
    """
    # As a factor of a tensor and not as a number, for which torch.compile would make a graph for each temperature.
    return _forward(logits, ids, temperature * torch.ones((), dtype=torch.float64, device="cpu"))[0]


@torch.library.custom_op("kd_lab::sparse_events", mutates_args=())
def _forward(logits: Tensor, ids: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
    """The events, and for each row the log-normaliser of all tokens and that of the others."""
    rows, kept = ids.shape[:-1].numel(), ids.shape[-1]
    events = torch.full((rows, kept + 1), -torch.inf, dtype=torch.float32, device=logits.device)
    events[:, -1] = 0
    normalisers = torch.zeros(rows, 2, dtype=torch.float32, device=logits.device)
    for part, chunk, absent, chosen in _chunks(logits, ids):
        scaled = chunk.float() / temperature.item()
        total = scaled.logsumexp(-1, keepdim=True)
        tokens = scaled.gather(-1, chosen).masked_fill_(absent, -torch.inf)
        rest = scaled.scatter_(-1, chosen, -torch.inf).logsumexp(-1, keepdim=True)
        events[part] = torch.cat([tokens, rest], -1) - total
        normalisers[part] = torch.cat([total, rest], -1)
    return events.view(*ids.shape[:-1], kept + 1), normalisers


@_forward.register_fake
def _(logits, ids, temperature):
    events = logits.new_empty((*ids.shape[:-1], ids.shape[-1] + 1), dtype=torch.float32)
    return events, logits.new_empty((ids.shape[:-1].numel(), 2), dtype=torch.float32)


@torch.library.custom_op("kd_lab::sparse_events_gradient", mutates_args=())
def _gradient(logits: Tensor, ids: Tensor, normalisers: Tensor, upstream: Tensor, temperature: Tensor) -> Tensor:
    gradient = torch.empty(logits.shape, dtype=logits.dtype, device=logits.device)
    as_matrix(gradient)[_rows(ids).eq(ABSENT).all(-1)] = 0
    upstream = _rows(upstream) / temperature.item()
    for part, chunk, absent, chosen in _chunks(logits, ids):
        total, rest = normalisers[part].split(1, -1)
        u = upstream[part]
        tokens = u[:, :-1].masked_fill(absent, 0.0)
        scaled = chunk.float() / temperature.item()
        result = (scaled - total).exp_().mul_(-(tokens.sum(-1, keepdim=True) + u[:, -1:]))
        others = scaled.sub_(rest).exp_().mul_(u[:, -1:]).scatter_(-1, chosen, 0.0)
        if not torch.isfinite(rest).all():
            others.nan_to_num_(nan=0.0)  # no other token is possible, so none can gain or lose
        result.add_(others).scatter_add_(-1, chosen, tokens)
        as_matrix(gradient)[part] = result.to(gradient.dtype)
    return gradient


@_gradient.register_fake
def _(logits, ids, normalisers, upstream, temperature):
    return torch.empty(logits.shape, dtype=logits.dtype, device=logits.device)


def _setup_context(ctx, inputs, output):
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*inputs, output[1])


def _backward(ctx, upstream, _):
    logits, ids, temperature, normalisers = ctx.saved_tensors
    if torch.is_grad_enabled():  # a second derivative is wanted: the formula has one
        events = reference_events(logits, ids, temperature.item())
        return torch.autograd.grad(events, logits, upstream, create_graph=True)[0], None, None
    return _gradient(logits, ids, normalisers, upstream, temperature), None, None


_forward.register_autograd(_backward, setup_context=_setup_context)


def _chosen(ids: Int[Tensor, "... K"]) -> tuple[Tensor, Int[Tensor, "... K"]]:
    """Where no token is, and ids that can be looked up: there, another of the same position."""
    absent = ids == ABSENT
    return absent, torch.where(absent, ids.amax(-1, keepdim=True).clamp_min(0), ids)


def _chunks(logits: Tensor, ids: Tensor) -> Iterator[tuple[slice | Tensor, Float[Tensor, "R V"], Tensor, Tensor]]:
    """The rows that have an id, a chunk at a time: their numbers, their logits, where an id is absent, and the ids."""
    matrix, ids = as_matrix(logits), _rows(ids)
    mask = ids.ne(ABSENT).any(-1)
    for part in row_chunks(None if mask.all() else mask, len(ids), rows_at_once(logits.shape[-1], logits.device.type)):
        yield part, take(matrix, part), *_chosen(ids[part])


def rows_at_once(vocabulary: int, device: str) -> int:
    """The rows of a chunk: as many as fit the cache of a CPU; elsewhere, where each chunk waits for the device, more.

    >>> rows_at_once(151_936, "cpu"), rows_at_once(151_936, "cuda")
    (3, 55)
    """
    return max(1, (CHUNK if device == "cpu" else LOGITS) // vocabulary)


def _rows(tensor: Tensor) -> Tensor:
    """[..., K] as a matrix; the count of rows is spelt out, since −1 cannot be inferred for none."""
    return tensor.reshape(tensor.shape[:-1].numel(), tensor.shape[-1])
